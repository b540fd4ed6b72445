package mqtt

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"milepost/uplink"
)

// Options configure a Sink. The zero value of a field is its default.
type Options struct {
	// URL of the broker: mqtt://HOST[:PORT] or mqtts://HOST[:PORT] (1883, 8883), or
	// behind a WebSocket ws://HOST[:PORT][/PATH] or wss://… (80, 443, /mqtt). It is
	// required. Credentials do not belong into it.
	URL string
	// Header is sent with the request for a WebSocket.
	Header http.Header
	// ClientID by default is "milepost-" and the device of Presence or, without
	// one, random digits. It has to be the same after a restart where there is
	// Presence, and another one for each client of the broker: two clients of the
	// same ID throw each other out.
	ClientID string
	// Username and Password, if the broker asks for them. No error repeats them.
	Username, Password string
	// TLS is used with mqtts and wss; nil is the system's roots and the URL's host
	// name. Versions below 1.2 are not spoken. A certificate for the broker to
	// check (mutual TLS) is part of it.
	TLS *tls.Config

	// Topic is a template: {device}, {bus}, {message}, {signal} and {id} stand
	// for those of the record ("milepost/{device}/records").
	Topic string
	// Encoding of the payloads; CSV has no place here.
	Encoding uplink.Encoding
	// MaxPayload limits a payload, in bytes (64 KiB). As many records as fit share
	// one. A record that alone is larger is poison. A broker disconnects who
	// exceeds its own limit: the Sink finds that out, but it takes some
	// connections.
	MaxPayload int
	// Single makes every record a message of its own.
	Single bool
	// Window is how many messages may be under way without an acknowledgement
	// (100). Over a link of a given round-trip time at most that many messages
	// get through in each.
	Window int

	// Presence tells who subscribes whether the device is connected.
	Presence Presence
	// Latest keeps the newest value of each signal at the broker.
	Latest Latest

	// KeepAlive is the time after which a silent link is probed, in whole seconds
	// (30 s). The broker takes the device for gone after one and a half of it.
	KeepAlive time.Duration
	// DialTimeout limits connecting, TLS and MQTT handshakes included (10 s).
	DialTimeout time.Duration
	// AckTimeout is how long Send waits without any progress (30 s).
	AckTimeout time.Duration
}

// String leaves out what may be secret.
func (o Options) String() string {
	u := o.URL
	if parsed, err := url.Parse(u); err == nil {
		parsed.User, parsed.RawQuery, parsed.Fragment = nil, "", ""
		u = parsed.String()
	} else {
		u = "(unreadable)"
	}
	return fmt.Sprintf("mqtt.Options{URL: %s, ClientID: %s, Topic: %s, Encoding: %v, MaxPayload: %d, Window: %d, …}", u, o.ClientID, o.Topic, o.Encoding, o.MaxPayload, o.Window)
}

// GoString is String: %#v must not tell either.
func (o Options) GoString() string { return o.String() }

// ports are those of the schemes.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

// withDefaults checks the options and fills them in.
func (o Options) withDefaults() (Options, *url.URL, error) {
	u, err := o.parseURL()
	if err != nil {
		return o, nil, err
	}
	if o.Encoding == uplink.CSV {
		return o, nil, errors.New("mqtt: csv is for files: use json, protobuf or otlp")
	}
	if err := o.Presence.setDefaults(); err != nil {
		return o, nil, err
	}
	switch {
	case o.ClientID != "":
	case o.Presence.Device != "":
		o.ClientID = "milepost-" + o.Presence.Device
	default:
		var b [8]byte
		rand.Read(b[:])
		o.ClientID = "milepost-" + hex.EncodeToString(b[:])
	}
	if len(o.ClientID) > maxString || !utf8.ValidString(o.ClientID) || strings.ContainsFunc(o.ClientID, isControl) {
		return o, nil, fmt.Errorf("mqtt: client ID %.80q: it has to be UTF-8 without control characters, and at most %d bytes", o.ClientID, maxString)
	}
	o.TLS = o.TLS.Clone()
	if o.TLS == nil {
		o.TLS = new(tls.Config)
	}
	o.TLS.ServerName = cmp.Or(o.TLS.ServerName, u.Hostname())
	o.TLS.MinVersion = max(o.TLS.MinVersion, tls.VersionTLS12)
	o.Header = o.Header.Clone()
	o.Topic = cmp.Or(o.Topic, "milepost/{device}/records")
	o.MaxPayload = cmp.Or(o.MaxPayload, 64<<10)
	o.Window = cmp.Or(o.Window, 100)
	o.KeepAlive = cmp.Or(o.KeepAlive, 30*time.Second)
	o.DialTimeout = cmp.Or(o.DialTimeout, 10*time.Second)
	o.AckTimeout = cmp.Or(o.AckTimeout, 30*time.Second)
	switch {
	case o.Window < 1 || o.Window > 65_535:
		return o, nil, fmt.Errorf("mqtt: a window of %d messages: it has to be from 1 to 65535", o.Window)
	case o.MaxPayload < 1:
		return o, nil, fmt.Errorf("mqtt: payloads of at most %d bytes: they have to hold a record", o.MaxPayload)
	case o.KeepAlive < time.Second || o.KeepAlive > 65_535*time.Second:
		return o, nil, fmt.Errorf("mqtt: keep-alive of %v: it has to be from 1 s to 65535 s", o.KeepAlive)
	}
	return o, u, o.Latest.setDefaults()
}

// parseURL reads the URL and completes it. What is wrong is said without the
// parts of it that may be secret.
func (o *Options) parseURL() (*url.URL, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) { // its text repeats the URL
			err = cause.Err
		}
		return nil, fmt.Errorf("mqtt: the broker's URL: %w", err)
	}
	web := u.Scheme == "ws" || u.Scheme == "wss"
	port := ports[u.Scheme]
	shown := u.Scheme + "://" + u.Host
	switch {
	case port == "" || u.Hostname() == "":
		return nil, fmt.Errorf("mqtt: the broker's URL is %q: it has to be mqtt://HOST[:PORT], mqtts://HOST[:PORT], ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]", shown)
	case u.User != nil:
		return nil, fmt.Errorf("mqtt: the broker's URL %s has credentials in it: set username and password apart", shown)
	case !web && (strings.Trim(u.Path, "/") != "" || u.RawQuery != ""):
		return nil, fmt.Errorf("mqtt: the broker's URL %s has more than a host and a port: the topic is an option of its own", shown)
	case !web && len(o.Header) > 0:
		return nil, fmt.Errorf("mqtt: the broker's URL %s is not that of a WebSocket: only those have headers", shown)
	}
	for name := range o.Header {
		if slices.Contains(handshakeHeaders, http.CanonicalHeaderKey(name)) {
			return nil, fmt.Errorf("mqtt: header %s belongs to the WebSocket's handshake and cannot be set", name)
		}
	}
	if web && u.Path == "" {
		u.Path = "/mqtt"
	}
	u.Host = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	return u, nil
}

var handshakeHeaders = []string{"Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol"}

// maxString limits every text of MQTT, in bytes.
const maxString = 65_535

func isControl(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }
