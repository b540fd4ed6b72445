package config

import "strings"

// ParseURL reads a URL of the command line: as in the configuration, but that a
// topic may follow: kafka://HOST:PORT/TOPIC.
func ParseURL(text string) (u URL, topic string, err error) {
	if scheme, rest, found := strings.Cut(text, "://"); found {
		if address, path, found := strings.Cut(rest, "/"); found {
			text, topic = scheme+"://"+address, path
		}
	}
	u, err = parseURL(text)
	return u, topic, err
}
