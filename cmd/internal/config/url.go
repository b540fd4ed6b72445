package config

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// URL says where brokers and servers are.
type URL struct {
	// Scheme is one of those in defaultPorts.
	Scheme string
	// Addresses are host:port, exactly one but for kafka.
	Addresses []string
	// Path is empty or begins with a slash; only WebSockets and HTTP have one.
	Path string
}

// String writes the URL with all its ports; the zero URL is empty.
func (u URL) String() string {
	if u.Scheme == "" {
		return ""
	}
	return u.Scheme + "://" + strings.Join(u.Addresses, ",") + u.Path
}

// urlForm is what parseURL wants.
const urlForm = "mqtt://host[:port] (or mqtts), ws://host[:port]/path (or wss), kafka://host[:port],host[:port],… or http://host[:port]/path (or https)"

var defaultPorts = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443", "kafka": "9092", "http": "80", "https": "443"}

// hasPath says whether URLs of a scheme can have a path.
func hasPath(scheme string) bool {
	return strings.HasPrefix(scheme, "ws") || strings.HasPrefix(scheme, "http")
}

// sinkType is the type of sink that URLs of a scheme are for.
func sinkType(scheme string) SinkType {
	if strings.HasPrefix(scheme, "ws") {
		return SinkMQTT
	}
	return SinkType(strings.TrimSuffix(scheme, "s"))
}

// SinkType is the type of sink that the URL is for.
func (u URL) SinkType() SinkType { return sinkType(u.Scheme) }

// parseURL reads a URL of urlForm; of any other form the error is errForm.
func parseURL(text string) (URL, error) {
	// First of all, so that no other error shows a password.
	if strings.Contains(text, "@") {
		return URL{}, errors.New("credentials do not belong into a URL, which is shown: use the keys username and password")
	}
	scheme, rest, _ := strings.Cut(text, "://")
	path := ""
	if i := strings.IndexByte(rest, '/'); i >= 0 && hasPath(scheme) {
		rest, path = rest[:i], rest[i:]
		if strings.ContainsAny(path, "?# ") || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' }) {
			return URL{}, errForm
		}
	}
	rest = strings.TrimSuffix(rest, "/")
	port := defaultPorts[scheme]
	if port == "" || strings.ContainsAny(rest, "/?#") || scheme != "kafka" && strings.Contains(rest, ",") {
		return URL{}, errForm
	}
	u := URL{Scheme: scheme, Path: strings.TrimSuffix(path, "/")}
	for _, address := range strings.Split(rest, ",") {
		a, err := url.Parse("tcp://" + address)
		if err != nil || a.Hostname() == "" || strings.HasSuffix(a.Host, ":") ||
			strings.Contains(a.Hostname(), ":") && a.Host[0] != '[' {
			return URL{}, errForm
		}
		p := a.Port()
		if p == "" {
			p = port
		}
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return URL{}, errForm
		}
		u.Addresses = append(u.Addresses, net.JoinHostPort(a.Hostname(), p))
	}
	return u, nil
}
