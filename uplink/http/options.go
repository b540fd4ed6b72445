package http

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	nethttp "net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"milepost/uplink"
)

// Form is what a server expects of a request.
type Form uint8

const (
	// Generic is a POST of a batch to a URL.
	Generic Form = iota
	// KafkaRESTv2 is the version 2 API of the Confluent REST Proxy, which the
	// Strimzi Kafka Bridge and Karapace have as well.
	KafkaRESTv2
	// KafkaRESTv3 is the version 3 API of the Confluent REST Proxy and of
	// Confluent Cloud.
	KafkaRESTv3
)

var formNames = [...]string{Generic: "generic", KafkaRESTv2: "kafka-rest-v2", KafkaRESTv3: "kafka-rest-v3"}

// String is the form's name in configurations.
func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return fmt.Sprintf("Form(%d)", uint8(f))
}

// ParseForm is the inverse of String.
func ParseForm(name string) (Form, error) {
	if i := slices.Index(formNames[:], name); i >= 0 {
		return Form(i), nil
	}
	return 0, fmt.Errorf("unknown form %q: use %s", name, strings.Join(formNames[:], ", "))
}

// Options configure a Sink. The zero value of a field is its default.
type Options struct {
	// URL is http://HOST[:PORT][/PATH] or https://. It is required. For Generic it
	// is where batches are posted: {device} in the path stands for the records'
	// device, and OTLP without a path goes to /v1/metrics. For the REST proxies it
	// is what their own paths (/topics, /v3) are appended to. Credentials do not
	// belong into it.
	URL  string
	Form Form

	// Encoding of the records. The REST proxies take JSON and Protobuf, a record a
	// message; CSV has no place here.
	Encoding uplink.Encoding
	// JSONArray posts JSON as one array (application/json) instead of a line a
	// record (application/x-ndjson); Generic only.
	JSONArray bool
	// Topic of the REST proxies; {device} stands for the records' device
	// ("milepost.records").
	Topic string
	// Cluster is the Kafka cluster's ID for KafkaRESTv3; if empty, the proxy is
	// asked, which must know of one only.
	Cluster string

	// Compression of the bodies: "gzip", "zstd" or "none" (gzip for OTLP, which
	// every server must take, else none, because others may not).
	Compression string
	// MaxBody limits a request's body before compression, in bytes (1 MiB). A
	// record that alone is larger is poison.
	MaxBody int

	// Header is added to each request.
	Header map[string]string
	// Token is sent as a bearer token. TokenSource gives it instead, for each
	// request anew, for tokens that are renewed in a file.
	Token       string
	TokenSource func() (string, error)
	// Username and Password for basic authentication.
	Username, Password string
	// TLS is used with https, client certificates included; nil is the system's
	// roots and the URL's host name.
	TLS *tls.Config
	// Proxy is the URL of an HTTP proxy, or "none"; if empty, the environment says
	// (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
	Proxy string

	// DialTimeout limits connecting, and the TLS handshake after it (10 s).
	DialTimeout time.Duration
	// StallTimeout is how long not a byte of a request may get away before the
	// link is given up (30 s). A link that is slow, but moves, is not.
	StallTimeout time.Duration
	// AnswerTimeout is how long the server may take to answer once it has the
	// request, and then for each 4 KiB of its answer (60 s).
	AnswerTimeout time.Duration
}

const (
	defaultTopic = "milepost.records"
	// device is the placeholder in URLs and topics.
	device = "{device}"
)

func (o Options) withDefaults() (Options, *url.URL, error) {
	u, err := parseURL(o.URL, "the URL")
	if err != nil {
		return o, nil, err
	}
	shown := redact(u)
	switch {
	case u.User != nil:
		return o, nil, fmt.Errorf("http: the URL %s has credentials in it: set username and password apart", shown)
	case strings.ContainsAny(u.Host+u.RawQuery+strings.ReplaceAll(u.Path, device, ""), "{}"):
		return o, nil, fmt.Errorf("http: the URL %s: {device} is the only placeholder, and has its place in the path", shown)
	case u.Fragment != "":
		return o, nil, fmt.Errorf("http: the URL %s has a fragment (#), which servers never see", shown)
	case int(o.Form) >= len(formNames):
		return o, nil, fmt.Errorf("http: %v is not a form", o.Form)
	case o.Encoding == uplink.CSV:
		return o, nil, errors.New("http: csv is for files: use json, protobuf or otlp")
	case o.JSONArray && (o.Form != Generic || o.Encoding != uplink.JSON):
		return o, nil, errors.New("http: a JSON array is for the form generic with json")
	case o.Token != "" && o.TokenSource != nil:
		return o, nil, errors.New("http: two tokens are set: use one")
	case (o.Token != "" || o.TokenSource != nil) && o.Username != "":
		return o, nil, errors.New("http: a token and a username are set: use one")
	case o.MaxBody < 0:
		return o, nil, fmt.Errorf("http: bodies of at most %d bytes: they have to hold a record", o.MaxBody)
	}
	if o.Form == Generic {
		if o.Topic != "" || o.Cluster != "" {
			return o, nil, errors.New("http: topic and cluster are for the forms kafka-rest-v2 and kafka-rest-v3")
		}
		if o.Encoding == uplink.OTLP && strings.Trim(u.Path, "/") == "" {
			u.Path = "/v1/metrics"
		}
	} else if err := o.checkREST(u); err != nil {
		return o, nil, err
	}
	if o.Compression == "" {
		o.Compression = noCompression
		if o.Encoding == uplink.OTLP {
			o.Compression = "gzip"
		}
	}
	if o.Compression != noCompression && newCompressor(o.Compression) == nil {
		return o, nil, fmt.Errorf("http: unknown compression %q: use gzip, zstd or none", o.Compression)
	}
	if err := checkHeader(o.Header); err != nil {
		return o, nil, err
	}
	o.Header = maps.Clone(o.Header)
	o.MaxBody = cmp.Or(o.MaxBody, 1<<20)
	o.DialTimeout = cmp.Or(o.DialTimeout, 10*time.Second)
	o.StallTimeout = cmp.Or(o.StallTimeout, 30*time.Second)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 60*time.Second)
	return o, u, nil
}

func (o *Options) checkREST(u *url.URL) error {
	o.Topic = cmp.Or(o.Topic, defaultTopic)
	switch {
	case !validTopic(strings.ReplaceAll(o.Topic, device, "d")):
		return fmt.Errorf("http: topic %q: letters, digits, '.', '_', '-' and {device} only, at most %d", o.Topic, maxTopic)
	case strings.Contains(u.Path, device):
		return fmt.Errorf("http: the URL %s: {device} has its place in the topic", redact(u))
	case u.RawQuery != "":
		return fmt.Errorf("http: the URL %s has a query, which a REST proxy has no use for", redact(u))
	case o.Encoding == uplink.OTLP:
		return fmt.Errorf("http: %v takes json or protobuf; otlp goes to an OpenTelemetry server with the form generic", o.Form)
	case o.Cluster != "" && o.Form != KafkaRESTv3:
		return errors.New("http: a cluster is for the form kafka-rest-v3")
	}
	return nil
}

const maxTopic = 249

func validTopic(s string) bool {
	for i := range len(s) {
		if !isTopicByte(s[i]) {
			return false
		}
	}
	return s != "" && s != "." && s != ".." && len(s) <= maxTopic
}

func isTopicByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// ours are the headers that a Sink sets itself.
var ours = []string{"Accept", "Authorization", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Idempotency-Key", "Transfer-Encoding"}

func checkHeader(header map[string]string) error {
	for name, value := range header {
		canonical := nethttp.CanonicalHeaderKey(name)
		switch {
		case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r) }):
			return fmt.Errorf("http: header %q: that is not a header's name", name)
		case slices.Contains(ours, canonical):
			return fmt.Errorf("http: header %s is not yours to set: there are options for what it says", canonical)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return fmt.Errorf("http: header %s: its value has control characters", canonical)
		}
	}
	return nil
}

// parseURL tells errors without the text, which may hold a password.
func parseURL(text, what string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err
		}
		if strings.Contains(text, "@") { // and the cause may hold a part of it
			err = errors.New("it cannot be parsed")
		}
		return nil, fmt.Errorf("http: %s: %w", what, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("http: %s is %q: it has to be http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]", what, redact(u))
	}
	return u, nil
}

// redact writes a URL without what may be secret in it: user, password, query.
func redact(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	text := shown.String()
	if u.Opaque != "" {
		text += "…"
	}
	if u.RawQuery != "" {
		text += "?…"
	}
	return text
}
