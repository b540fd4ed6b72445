package kafka

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"milepost/uplink"
)

// Options configure a Sink. The zero value of a field is its default.
type Options struct {
	// URL of the brokers to begin with, and of the topic:
	// kafka://HOST[:PORT][,HOST[:PORT]...][/TOPIC], or kafkas:// for TLS (port
	// 9092, topic "milepost.records"). It is required.
	URL string
	// TLS is used with kafkas; nil is the system's roots and the broker's host
	// name.
	TLS *tls.Config
	// Username and Password for SASL PLAIN, if the brokers ask for them.
	Username, Password string
	// ClientID is what the brokers' logs and metrics call this client
	// ("milepost").
	ClientID string

	// Encoding of the messages' values. JSON and Protobuf make one message a
	// record, OTLP one message a request. CSV has no place here.
	Encoding uplink.Encoding
	// Compression of the batches: "zstd", "lz4", "snappy", "gzip" or "none"
	// ("zstd": of 600 JSON records a batch it makes a twelfth, where snappy and lz4
	// make a seventh, for 1.3 µs a record instead of 0.9 and 1.1; Kafka 2.1).
	Compression string
	// NoTopicCreation keeps the brokers from creating the topic when it does not
	// exist.
	NoTopicCreation bool

	// MaxBuffered limits what the client holds, in bytes (8 MiB).
	MaxBuffered int
	// DialTimeout limits connecting to a broker (10 s).
	DialTimeout time.Duration
	// AckTimeout is how long Send waits without any progress (30 s).
	AckTimeout time.Duration
}

const (
	defaultTopic = "milepost.records"
	defaultPort  = "9092"
)

var codecs = map[string]kgo.CompressionCodec{
	"zstd":   kgo.ZstdCompression(),
	"lz4":    kgo.Lz4Compression(),
	"snappy": kgo.SnappyCompression(),
	"gzip":   kgo.GzipCompression(),
	"none":   kgo.NoCompression(),
}

// target is a parsed URL.
type target struct {
	brokers []string
	topic   string
	tls     bool
}

func (t *target) String() string { return strings.Join(t.brokers, ",") }

func (o Options) withDefaults() (Options, target, error) {
	t, err := parseURL(o.URL)
	if err != nil {
		return o, t, err
	}
	o.ClientID = cmp.Or(o.ClientID, "milepost")
	o.Compression = cmp.Or(o.Compression, "zstd")
	o.MaxBuffered = cmp.Or(o.MaxBuffered, 8<<20)
	o.DialTimeout = cmp.Or(o.DialTimeout, 10*time.Second)
	o.AckTimeout = cmp.Or(o.AckTimeout, 30*time.Second)
	if _, ok := codecs[o.Compression]; !ok {
		return o, t, fmt.Errorf("kafka: unknown compression %q: use zstd, lz4, snappy, gzip or none", o.Compression)
	}
	if o.Encoding == uplink.CSV {
		return o, t, errors.New("kafka: csv is for files: use json, protobuf or otlp")
	}
	return o, t, nil
}

// parseURL takes the URL apart by hand: net/url knows no list of hosts.
func parseURL(s string) (target, error) {
	const form = "it has to be kafka://HOST[:PORT][,HOST[:PORT]...][/TOPIC]"
	var t target
	scheme, rest, _ := strings.Cut(s, "://")
	if strings.ContainsRune(rest, '@') {
		return t, errors.New("kafka: the URL has credentials in it: set username and password apart")
	}
	switch scheme {
	case "kafka":
	case "kafkas":
		t.tls = true
	default:
		return t, fmt.Errorf("kafka: the URL is %q: %s", s, form)
	}
	hosts, topic, _ := strings.Cut(rest, "/")
	t.topic = cmp.Or(topic, defaultTopic)
	if !validTopic(t.topic) {
		return t, fmt.Errorf("kafka: topic %q: letters, digits, '.', '_' and '-' only, at most 249", t.topic)
	}
	for _, host := range strings.Split(hosts, ",") {
		u, err := url.Parse("//" + host)
		if err != nil || u.Hostname() == "" {
			return t, fmt.Errorf("kafka: %q in the URL is not a host: %s", host, form)
		}
		t.brokers = append(t.brokers, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPort)))
	}
	return t, nil
}

func validTopic(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return s != "" && s != "." && s != ".." && len(s) <= 249
}
