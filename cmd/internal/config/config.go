// Package config reads milepost's configuration: one strict YAML file.
//
// The tables in schema.go say what keys there are. Decoding, the commented
// default file, docs/configuration.md and the JSON Schema for editors all come
// from them, so that none can disagree with another.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"milepost/uplink"
)

// Config is a whole configuration. Paths in it are relative to the working
// directory or absolute: Parse has joined them with the folder of the file.
type Config struct {
	// Device is the first part of every record's key; never empty.
	Device string
	// Window is the length of a window; it divides an hour evenly.
	Window time.Duration
	// Lateness is how far behind the newest window a window stays open.
	Lateness time.Duration
	// ClockStep is how far back time must jump for the clock to count as set.
	ClockStep time.Duration
	// HoldBack is how long nothing is sent at the start while the time is not known.
	HoldBack     time.Duration
	Match        Match
	NotAvailable NotAvailable
	// DBC are the databases of all buses.
	DBC     []string
	Buses   []Bus
	Dedup   Dedup
	Sensors []Sensor
	// Priorities say how important signals are: the first rule that matches counts.
	Priorities []PriorityRule
	Spool      Spool
	Sinks      []Sink
	Power      Power
	Metrics    Metrics
	Log        Log
}

// Power says what happens when the vehicle is switched off.
type Power struct {
	// Ignition is the line that says whether the vehicle is on; none if its Line is
	// empty.
	Ignition Ignition
	// Drain is how long a stop waits for the sinks.
	Drain time.Duration
	// Off is run when the ignition is off and everything is stored; empty for
	// nothing: then the gateway waits for the ignition.
	Off []string
}

// Ignition is a line, and how long it must be off to count.
type Ignition struct {
	Line
	Hold time.Duration
}

// Match says how frames find their message in a database.
type Match string

const (
	MatchAuto  Match = "auto"
	MatchExact Match = "exact"
	MatchJ1939 Match = "j1939"
)

// NotAvailable says what becomes of raw values that stand for "not available".
type NotAvailable string

const (
	NotAvailableMissing NotAvailable = "missing"
	NotAvailableKeep    NotAvailable = "keep"
)

// Bus is what belongs to one bus. What follows DBC is for live buses.
type Bus struct {
	Name string
	// DBC are the databases of this bus, besides those of all buses.
	DBC []string
	// Interface is the network interface; never empty.
	Interface string
	// Bitrate is in bit/s, 0 to leave the interface as it is set; DataBitrate that
	// of CAN FD frames with a switched bit rate, 0 for a bus without FD.
	// SamplePoint and DataSamplePoint are shares of a bit, 0 for the driver's choice.
	Bitrate, DataBitrate         int
	SamplePoint, DataSamplePoint float64
	// Transmit lets the controller take part in the bus: acknowledge frames and
	// send error frames. Without it, it only listens.
	Transmit bool
	// Restart is how long after a bus-off the controller starts again; 0 for never.
	Restart time.Duration
	// TxQueue is the length of the transmit queue in frames, 0 to leave it.
	TxQueue int
	// Filter keeps frames that no database knows from waking the program.
	Filter bool
	// CountForeign counts those all the same.
	CountForeign bool
	// Coalesce is how long frames may be left to gather after some were read.
	Coalesce time.Duration
	// ReceiveBuffer is how much the kernel keeps for the program.
	ReceiveBuffer Size
}

// Dedup says what is left out because it says nothing new.
type Dedup struct {
	// Unchanged counts a repeated payload without decoding it again.
	Unchanged bool
	Mirrors   []Mirror
	// Overlap drops the frames that logs share.
	Overlap   bool
	Exception Exception
}

// Mirror is a group of buses that carry the same frames.
type Mirror struct {
	Buses []string
	// Within is how far apart in time the copies of a frame may be.
	Within time.Duration
}

// Exception is report by exception: summaries equal to the last one sent are
// left out, but for a full set every Refresh.
type Exception struct {
	Enabled bool
	Refresh time.Duration
}

// Spool is where and how records wait for the sinks.
type Spool struct {
	Dir string
	// Sync is as in spool.Options, spool.SyncAlways and spool.SyncNever included.
	Sync        time.Duration
	MaxSize     Size
	ChapterSize Size
	Compression Compression
	// Memory is what may wait in memory while the disk fails, Quarantine the most
	// that is kept of what was damaged.
	Memory, Quarantine Size
	// Ballast is the size of a file that makes way when the disk is full.
	Ballast Size
	// Thin are the widths to which old windows are merged where the spool is nearly
	// full, ascending; none for not at all.
	Thin []time.Duration
}

// SinkType names what a sink delivers to.
type SinkType string

const (
	SinkFile  SinkType = "file"
	SinkMQTT  SinkType = "mqtt"
	SinkKafka SinkType = "kafka"
	SinkHTTP  SinkType = "http"
)

// Format is the format of a file sink.
type Format string

const (
	FormatJSONL Format = "jsonl"
	FormatCSV   Format = "csv"
)

// Start is where a sink that has no cursor yet begins.
type Start string

const (
	StartOldest Start = "oldest"
	StartNewest Start = "newest"
)

// Order is the order in which a sink gets the records.
type Order string

const (
	OrderOldestFirst Order = "oldest-first"
	OrderNewestFirst Order = "newest-first"
	OrderStrict      Order = "strict"
)

// Delivery is what a receiver can count on.
type Delivery string

const (
	DeliveryAtLeastOnce Delivery = "at-least-once"
	DeliveryExactlyOnce Delivery = "exactly-once"
)

// Compression is how what is sent is compressed; the client's default if empty.
type Compression string

const (
	CompressionNone   Compression = "none"
	CompressionGzip   Compression = "gzip"
	CompressionSnappy Compression = "snappy"
	CompressionLZ4    Compression = "lz4"
	CompressionZstd   Compression = "zstd"
)

// SASL is how Kafka is told who we are.
type SASL string

const (
	SASLPlain       SASL = "plain"
	SASLScramSHA256 SASL = "scram-sha-256"
	SASLScramSHA512 SASL = "scram-sha-512"
)

// Form is what an HTTP server expects.
type Form string

const (
	FormGeneric     Form = "generic"
	FormKafkaRESTv2 Form = "kafka-rest-v2"
	FormKafkaRESTv3 Form = "kafka-rest-v3"
)

// Sink is one receiver of the records. What does not belong to its Type has its
// default value and means nothing.
type Sink struct {
	Name string
	Type SinkType

	// Path and Format are those of a file; the path "-" is the standard output.
	Path   string
	Format Format

	// URL is where the broker is, Encoding what it gets.
	URL      URL
	Encoding uplink.Encoding
	// Topic is a template, see topicPlaceholders; neither it nor ClientID is empty
	// for a broker.
	Topic    string
	ClientID string
	Username string
	// Password is what the file says; see Sink.ReadPassword for PasswordFile.
	Password     Secret
	PasswordFile string
	// TLS is nil where the configuration has no such section.
	TLS *TLS

	// Delivery and TransactionalID are those of Kafka.
	Delivery        Delivery
	TransactionalID string
	Compression     Compression
	SASL            SASL
	Registry        Registry

	// Presence is the template of the topic that tells whether the device is
	// connected; empty for none.
	Presence string
	Latest   Latest

	Form    Form
	Cluster string
	Headers []string
	// Token is what the file says; see Sink.ReadToken for TokenFile.
	Token     Secret
	TokenFile string
	Proxy     string

	// MaxPayload is the most bytes that one message or request holds.
	MaxPayload Size
	// InFlight is how many messages may wait for their acknowledgements.
	InFlight int
	Order    Order
	Start    Start
	Budget   Budget
	// GiveUp is how long a record is tried before it is set aside; 0 is forever.
	GiveUp  time.Duration
	Backoff Backoff
}

// Registry is a schema registry.
type Registry struct {
	// URL is the zero one where there is none.
	URL          URL
	Username     string
	Password     Secret
	PasswordFile string
	TLS          *TLS
	LookupOnly   bool
}

// Latest keeps the newest value of each signal at an MQTT broker.
type Latest struct {
	// Topic is a template with {signal}; empty for no such messages.
	Topic    string
	Interval time.Duration
}

// Budget limits the bytes that go over a sink's link; 0 is no limit.
type Budget struct {
	Second, Day, Month Size
	// Zone is the name of the time zone whose days and months count.
	Zone  string
	Steps []BudgetStep
}

// BudgetStep says that beyond a share of the budget, in percent, only records of
// a priority and higher ones are sent.
type BudgetStep struct {
	Percent  int
	Priority Priority
}

// TLS says whom to trust and who we are. The paths are those of PEM files.
type TLS struct {
	// CA replaces the system's certificate authorities, if given.
	CA string
	// Cert and Key are the client's certificate; both or neither.
	Cert, Key string
	// ServerName is the name that the certificate must have, if it is not the
	// URL's.
	ServerName         string
	InsecureSkipVerify bool
}

// Backoff is the pause after a failure: Min at first, doubling up to Max.
type Backoff struct {
	Min, Max time.Duration
}

// Metrics is where the numbers are shown.
type Metrics struct {
	// Listen is host:port, or empty for nowhere.
	Listen string
}

// LogFormat is the form of the program's own log.
type LogFormat string

const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Log is the program's own log.
type Log struct {
	Level  slog.Level
	Format LogFormat
}

// Default is the configuration of an empty file, and of docs/milepost.yaml.
func Default() *Config {
	c := defaults()
	c.complete()
	return c
}

// DefaultFile is the complete commented file whose values are those of Default.
func DefaultFile() []byte { return renderFile() }

// Load reads the file at path; environment variables are those of the process.
// What is wrong with its contents is reported as Errors.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file; write one with `milepost check --default > %s`", path, shellQuote(path))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, data, os.LookupEnv)
}

// shellQuote makes a path into one word of a shell command.
func shellQuote(path string) string {
	if strings.Trim(path, nameCharacters+"/") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// ReadPassword returns the password: the configured one or, if there is a
// PasswordFile, its first line as it is now.
func (s *Sink) ReadPassword() (Secret, error) {
	return readSecret(s.Password, s.PasswordFile, "password_file of sink "+s.Name)
}

// ReadPassword is that of the registry.
func (r *Registry) ReadPassword() (Secret, error) {
	return readSecret(r.Password, r.PasswordFile, "registry.password_file")
}

// ReadToken returns the token: the configured one or, if there is a TokenFile,
// its first line as it is now.
func (s *Sink) ReadToken() (Secret, error) {
	return readSecret(s.Token, s.TokenFile, "token_file of sink "+s.Name)
}

func readSecret(given Secret, path, key string) (Secret, error) {
	if path == "" {
		return given, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("%s: %w", key, err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return NewSecret(strings.TrimSuffix(line, "\r")), nil
}

// complete fills in what depends on the machine or on other keys.
func (c *Config) complete() {
	if c.Device == "" {
		c.Device = hostDevice(os.Hostname)
	}
	for i := range c.Buses {
		if b := &c.Buses[i]; b.Interface == "" {
			b.Interface = b.Name
		}
	}
	for i := range c.Sinks {
		s := &c.Sinks[i]
		if s.Type == SinkFile {
			continue
		}
		if s.ClientID == "" {
			s.ClientID = "milepost-" + c.Device + "-" + s.Name
		}
		if s.Topic == "" {
			s.Topic = defaultTopics[s.Type]
		}
		if s.TransactionalID == "" {
			s.TransactionalID = "milepost-" + c.Device + "-" + s.Name
		}
	}
}

// hostDevice makes the host name into a device name.
func hostDevice(hostname func() (string, error)) string {
	name, err := hostname()
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(nameCharacters, r) {
			return r
		}
		return '-'
	}, name)
	if err != nil || name == "" {
		return "milepost"
	}
	return name[:min(len(name), maxName)]
}

// relative joins path with the folder of the configuration file.
func relative(folder, path string) string {
	if path == "" || path == "-" || filepath.IsAbs(path) || path[0] == '/' {
		return path
	}
	return filepath.Join(folder, path)
}
