package mqtt

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"milepost/uplink"
)

// Options configure a Sink. The zero value of a field is its default.
type Options struct {
	// URL of the broker: mqtt://HOST[:PORT] or mqtts://HOST[:PORT] (1883, 8883).
	// It is required. Credentials do not belong into it.
	URL string
	// ClientID by default is "milepost-" and random digits. Two clients of the
	// same ID throw each other out.
	ClientID string
	// Username and Password, if the broker asks for them.
	Username, Password string
	// TLS is used with mqtts; nil is the system's roots and the URL's host name.
	TLS *tls.Config

	// Topic is a template: {device}, {bus}, {message}, {signal} and {id} stand
	// for those of the record ("milepost/{device}/records").
	Topic string
	// Encoding of the payloads; CSV has no place here.
	Encoding uplink.Encoding
	// MaxPayload limits a payload, in bytes (64 KiB). As many records as fit share
	// one. A record that alone is larger is poison. Brokers disconnect who
	// exceeds their own limit, so this must not be above it.
	MaxPayload int
	// Single makes every record a message of its own.
	Single bool
	// Window is how many messages may be under way without an acknowledgement
	// (100). Over a link of a given round-trip time at most that many messages
	// get through in each.
	Window int

	// KeepAlive is the time after which a silent link is probed (30 s).
	KeepAlive time.Duration
	// DialTimeout limits connecting, TLS and MQTT handshakes included (10 s).
	DialTimeout time.Duration
	// AckTimeout is how long Send waits without any progress (30 s).
	AckTimeout time.Duration
}

// withDefaults checks the options and fills them in.
func (o Options) withDefaults() (Options, *url.URL, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) { // its text repeats the URL, with a password that may be in it
			err = cause.Err
		}
		return o, nil, fmt.Errorf("mqtt: the broker's URL: %w", err)
	}
	port := map[string]string{"mqtt": "1883", "mqtts": "8883"}[u.Scheme]
	switch {
	case port == "" || u.Hostname() == "":
		return o, nil, fmt.Errorf("mqtt: the broker's URL is %q: it has to be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]", u.Redacted())
	case u.User != nil:
		return o, nil, fmt.Errorf("mqtt: the broker's URL %s has credentials in it: set username and password apart", u.Redacted())
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return o, nil, fmt.Errorf("mqtt: the broker's URL %s has more than a host and a port: the topic is an option of its own", u.Redacted())
	case o.Encoding == uplink.CSV:
		return o, nil, errors.New("mqtt: csv is for files: use json, protobuf or otlp")
	}
	u.Host = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	if o.ClientID == "" {
		var b [8]byte
		rand.Read(b[:])
		o.ClientID = "milepost-" + hex.EncodeToString(b[:])
	}
	o.Topic = cmp.Or(o.Topic, "milepost/{device}/records")
	o.MaxPayload = cmp.Or(o.MaxPayload, 64<<10)
	o.Window = cmp.Or(o.Window, 100)
	o.KeepAlive = cmp.Or(o.KeepAlive, 30*time.Second)
	o.DialTimeout = cmp.Or(o.DialTimeout, 10*time.Second)
	o.AckTimeout = cmp.Or(o.AckTimeout, 30*time.Second)
	if o.Window < 1 || o.Window > 65_535 {
		return o, nil, fmt.Errorf("mqtt: a window of %d messages: it has to be from 1 to 65535", o.Window)
	}
	if o.MaxPayload < 1 {
		return o, nil, fmt.Errorf("mqtt: payloads of at most %d bytes: they have to hold a record", o.MaxPayload)
	}
	return o, u, nil
}
