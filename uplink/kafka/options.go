package kafka

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"milepost/uplink"
)

// Options configure a Sink. The zero value of a field is its default. Printed,
// they show no password.
type Options struct {
	// URL of the brokers to begin with, and of the topic:
	// kafka://HOST[:PORT][,HOST[:PORT]...][/TOPIC], or kafkas:// for TLS (port
	// 9092, topic "milepost.records"). It is required.
	//
	// The topic is a template: {device}, {bus}, {message}, {signal} and {id} stand
	// for those of the record; characters that a topic cannot have become '_'.
	// Records are in order within a device and topic.
	URL string
	// TLS is used with kafkas; nil is the system's roots and the broker's host
	// name. Certificates make it mutual.
	TLS *tls.Config
	// SASL is how Username and Password are presented, if there is a Username:
	// "plain", "scram-sha-256" or "scram-sha-512" ("plain").
	SASL               string
	Username, Password string
	// ClientID is what the brokers' logs and metrics call this client
	// ("milepost").
	ClientID string

	// Encoding of the messages' values. JSON and Protobuf make one message a
	// record, OTLP one message a request. CSV has no place here.
	Encoding uplink.Encoding
	// Registry, if its URL is set, is where the schema of Protobuf is registered;
	// each value then begins with the ID that it has there.
	Registry Registry
	// Compression of the batches: "zstd", "lz4", "snappy", "gzip" or "none"
	// ("zstd": of 600 JSON records a batch it makes a twelfth, where snappy and lz4
	// make a seventh, for 1.3 µs a record instead of 0.9 and 1.1; Kafka 2.1).
	Compression string
	// NoFormatHeaders leaves out the headers content-type and schema, which are
	// the same for all messages: 56 bytes each, unless they are compressed.
	NoFormatHeaders bool
	// NoTopicCreation keeps the brokers from creating a topic that does not
	// exist.
	NoTopicCreation bool

	// MaxBuffered limits the memory of messages under way, in bytes (8 MiB), and so
	// the size of a message. A few are under way in a fraction of that.
	MaxBuffered int
	// DialTimeout limits connecting to a broker, and how long it may take to answer
	// what needs no waiting for replicas (10 s).
	DialTimeout time.Duration
	// AckTimeout is how long Send waits without any progress (30 s). Where brokers
	// cannot even be dialled it waits a third of that.
	AckTimeout time.Duration
}

// Registry configures the use of a schema registry.
type Registry struct {
	// URL of the registry: http://HOST[:PORT] or https://HOST[:PORT].
	URL string
	// Username and Password for basic authentication, if it asks for them.
	Username, Password string
	// TLS is used with https.
	TLS *tls.Config
	// LookupOnly never registers a schema: it has to be there.
	LookupOnly bool
}

// secret is what is printed instead of a password.
func secret(password string) string {
	if password == "" {
		return ""
	}
	return "[secret]"
}

// String shows the options without passwords.
func (o Options) String() string {
	type plain Options // without this method
	o.Password = secret(o.Password)
	return fmt.Sprintf("%+v", plain(o))
}

// GoString is String for %#v.
func (o Options) GoString() string { return "kafka.Options" + o.String() }

// LogValue is String for logs.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// String shows the options without passwords.
func (r Registry) String() string {
	type plain Registry
	r.Password = secret(r.Password)
	return fmt.Sprintf("%+v", plain(r))
}

// GoString is String for %#v.
func (r Registry) GoString() string { return "kafka.Registry" + r.String() }

// LogValue is String for logs.
func (r Registry) LogValue() slog.Value { return slog.StringValue(r.String()) }

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
	topic   uplink.TopicTemplate
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
	if o.Registry.URL != "" && o.Encoding != uplink.Protobuf {
		return o, t, fmt.Errorf("kafka: the schema registry is for protobuf, and the encoding is %v", o.Encoding)
	}
	return o, t, nil
}

// login makes what presents username and password, nil without them.
func (o *Options) login() (sasl.Mechanism, error) {
	if o.Username == "" {
		if o.Password != "" || o.SASL != "" {
			return nil, errors.New("kafka: there is a password or a SASL mechanism, but no username")
		}
		return nil, nil
	}
	switch strings.ToLower(cmp.Or(o.SASL, "plain")) {
	case "plain":
		return plain.Auth{User: o.Username, Pass: o.Password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: o.Username, Pass: o.Password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: o.Username, Pass: o.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("kafka: unknown SASL mechanism %q: use plain, scram-sha-256 or scram-sha-512", o.SASL)
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
	var err error
	if t.topic, err = parseTopic(cmp.Or(topic, defaultTopic)); err != nil {
		return t, err
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
