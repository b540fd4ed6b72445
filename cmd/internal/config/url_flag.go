package config

import (
	"fmt"
	"strings"
)

// ParseURL reads a URL of the command line: as in the configuration, but that a
// topic may follow for brokers: kafka://HOST:PORT/TOPIC.
func ParseURL(text string) (u URL, topic string, err error) {
	if scheme, rest, found := strings.Cut(text, "://"); found && !hasPath(scheme) {
		if address, path, found := strings.Cut(rest, "/"); found && !strings.Contains(rest, "@") {
			text, topic = scheme+"://"+address, path
		}
	}
	if u, err = parseURL(text); err == errForm {
		err = fmt.Errorf("want %s", urlForm)
	}
	return u, topic, err
}
