package config

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// URL says where brokers are.
type URL struct {
	// Scheme is mqtt, mqtts or kafka.
	Scheme string
	// Addresses are host:port, exactly one but for kafka.
	Addresses []string
}

// String writes the URL with all its ports; the zero URL is empty.
func (u URL) String() string {
	if u.Scheme == "" {
		return ""
	}
	return u.Scheme + "://" + strings.Join(u.Addresses, ",")
}

// urlForm is what parseURL wants.
const urlForm = "mqtt://host[:port], mqtts://host[:port] or kafka://host[:port],host[:port],…"

var defaultPorts = map[string]string{"mqtt": "1883", "mqtts": "8883", "kafka": "9092"}

// parseURL reads a URL of urlForm; of any other form the error is errForm.
func parseURL(text string) (URL, error) {
	// First of all, so that no other error shows a password.
	if strings.Contains(text, "@") {
		return URL{}, errors.New("credentials do not belong into a URL, which is shown: use the keys username and password")
	}
	scheme, rest, _ := strings.Cut(text, "://")
	rest = strings.TrimSuffix(rest, "/")
	port := defaultPorts[scheme]
	if port == "" || strings.ContainsAny(rest, "/?#") || scheme != "kafka" && strings.Contains(rest, ",") {
		return URL{}, errForm
	}
	u := URL{Scheme: scheme}
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
