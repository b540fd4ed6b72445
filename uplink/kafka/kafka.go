// Package kafka sends records to a Kafka topic.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"milepost/uplink"
)

// Sink sends records to a Kafka topic. It implements uplink.Sink.
//
// The producer is idempotent and waits for all in-sync replicas. Messages have
// the device as their key, so that a device's are in one partition and in
// order, and the headers boot and seq.
//
// A client that cannot deliver is closed, which is the only way to make it
// stop trying: the time limits of a record do not hold once it may be on the
// wire. Send then reports the error, and the next one begins with a new client.
type Sink struct {
	o      Options
	target target

	client   *kgo.Client  // nil while there is none
	hangUp   func()       // closes its connections
	maxBatch int32        // bytes; made smaller when the broker takes no such batches
	lastDial *dialFailure // of the client

	buffer   []byte // what the messages refer to
	messages []message
	records  []kgo.Record
	headers  []kgo.RecordHeader
}

const (
	// largestBatch is Kafka's max.message.bytes, as it is unless it is changed.
	largestBatch = 1_000_012
	// maxRequest keeps an OTLP message well below the usual limit.
	maxRequest = 512 << 10
)

// New checks the options and makes a Sink. It does not connect.
func New(o Options) (*Sink, error) {
	o, t, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Sink{o: o, target: t, maxBatch: largestBatch}, nil
}

// Send implements uplink.Sink: it returns nil when all in-sync replicas of the
// partition have all records.
func (s *Sink) Send(ctx context.Context, records []uplink.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	poison := s.encode(records)
	if largest := int32(s.largest()); largest > s.maxBatch { // it was made smaller for others
		s.drop()
		s.maxBatch = largest
	}
	if err := s.connect(ctx); err != nil {
		s.drop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("kafka %s: connect: %w", &s.target, err)
	}
	delivery, err := s.produce(ctx)
	if err != nil {
		s.drop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.explain(err, delivery, len(records))
	}
	if len(poison) > 0 {
		return s.tooLarge(poison)
	}
	return nil
}

// connect makes a client that has reached a broker, unless there is one.
func (s *Sink) connect(ctx context.Context) error {
	if s.client != nil {
		return nil
	}
	failure := new(dialFailure)
	connected, hangUp := context.WithCancel(context.Background())
	options := []kgo.Opt{
		kgo.SeedBrokers(s.target.brokers...),
		kgo.ClientID(s.o.ClientID),
		kgo.DefaultProduceTopic(s.target.topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // as Kafka's own clients hash keys
		kgo.ProducerBatchCompression(codecs[s.o.Compression], kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(s.maxBatch),
		kgo.MaxBufferedBytes(s.o.MaxBuffered),
		kgo.ProducerLinger(0),
		kgo.ConnIdleTimeout(5 * time.Minute), // a gateway sends every few seconds, at worst
		kgo.RetryBackoffFn(func(int) time.Duration { return 250 * time.Millisecond }),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.Dialer(s.dialer(connected)),
		kgo.DisableClientMetrics(), // nobody asked for that traffic
		kgo.WithHooks(failure),
	}
	if !s.o.NoTopicCreation {
		options = append(options, kgo.AllowAutoTopicCreation())
	}
	if s.o.Username != "" {
		options = append(options, kgo.SASL(plain.Auth{User: s.o.Username, Pass: s.o.Password}.AsMechanism()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		hangUp()
		return err
	}
	s.client, s.hangUp, s.lastDial = client, hangUp, failure
	ctx, cancel := context.WithTimeout(ctx, s.o.DialTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, hangUp) // which Ping alone does not heed while it reads
	err = client.Ping(ctx)
	if !stop() {
		return fmt.Errorf("no answer within %v", s.o.DialTimeout)
	}
	if cause := failure.cause(); err != nil && cause != nil {
		return cause
	}
	return err
}

// dialer makes connections that last as long as connected does: a client that is
// closed waits for the answers to some requests, which a silent link never
// brings.
func (s *Sink) dialer(connected context.Context) func(ctx context.Context, network, address string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: s.o.DialTimeout}
	dial := plain.DialContext
	if s.target.tls {
		dial = (&tls.Dialer{NetDialer: plain, Config: s.o.TLS}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &connection{conn, context.AfterFunc(connected, func() { conn.Close() })}, nil
	}
}

// connection is one that forgets what would close it when it is closed.
type connection struct {
	net.Conn
	forget func() bool
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.forget()
	return c.Conn.Close()
}

// message is what makes a kgo.Record: parts of the buffer, by their ends, and
// the records in it, by their positions in what Send was given.
type message struct {
	first, records       int
	key, boot, seq, body int // ends; the first part begins where the message before ends
}

// encode makes messages of the records, and returns the positions of those that
// are too large for one.
func (s *Sink) encode(records []uplink.Record) (poison []int) {
	s.buffer, s.messages = s.buffer[:0], s.messages[:0]
	for i := 0; i < len(records); {
		r := &records[i]
		m := message{first: i, records: 1}
		start := len(s.buffer)
		s.buffer = append(s.buffer, r.Device...)
		m.key = len(s.buffer)
		s.buffer = r.Boot.AppendString(s.buffer)
		m.boot = len(s.buffer)
		s.buffer = strconv.AppendUint(s.buffer, r.Sequence, 10)
		m.seq = len(s.buffer)
		limit := min(largestBatch, s.o.MaxBuffered) - batchOverhead - (m.seq - start)
		if s.o.Encoding == uplink.OTLP {
			n := 1 // one device a message: it is the key
			for i+n < len(records) && records[i+n].Device == r.Device {
				n++
			}
			s.buffer, m.records = s.o.Encoding.AppendUpTo(s.buffer, records[i:i+n], min(limit, maxRequest))
		} else if s.buffer = s.o.Encoding.AppendOne(s.buffer, r); len(s.buffer)-m.seq > limit {
			m.records = 0
		}
		if m.body = len(s.buffer); m.records == 0 {
			poison = append(poison, i)
			s.buffer = s.buffer[:start]
			i++
			continue
		}
		s.messages = append(s.messages, m)
		i += m.records
	}
	return poison
}

// batchOverhead is more than what Kafka's format adds to a message alone in its
// batch: 61 bytes, some varints, the names of the headers.
const batchOverhead = 128

// delivery is how far the messages of one Send are.
type delivery struct {
	left  atomic.Int64  // messages whose promise is open
	done  chan struct{} // closed when none is left
	mu    sync.Mutex
	err   error // the first one
	acked int
}

// produce hands the messages to the client and waits until it has delivered all
// of them, or cannot.
func (s *Sink) produce(ctx context.Context) (*delivery, error) {
	d := &delivery{done: make(chan struct{})}
	if len(s.messages) == 0 {
		return d, nil
	}
	d.left.Store(int64(len(s.messages)))
	s.prepare()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, records := s.client, s.records
	handed := make(chan struct{})
	go func() { // Produce blocks while the client's buffer is full
		defer close(handed)
		for i := range records {
			client.Produce(ctx, &records[i], d.promise)
		}
	}()
	defer func() { <-handed }()

	ticker := time.NewTicker(s.o.AckTimeout / 4)
	defer ticker.Stop()
	moved := time.Now()
	for before := d.left.Load(); ; {
		select {
		case <-d.done:
			return d, d.err
		case <-ctx.Done():
			s.abandon(d)
			return d, ctx.Err()
		case now := <-ticker.C:
			if left := d.left.Load(); left != before {
				before, moved = left, now
			} else if now.Sub(moved) >= s.o.AckTimeout {
				cancel(errStalled)
				s.abandon(d)
				return d, errStalled
			}
		}
	}
}

var errStalled = errors.New("no progress for too long; the broker or the link is stuck")

// promise notes what became of a message.
func (d *delivery) promise(_ *kgo.Record, err error) {
	d.mu.Lock()
	if err == nil {
		d.acked++
	} else if d.err == nil {
		d.err = err
	}
	d.mu.Unlock()
	if d.left.Add(-1) == 0 {
		close(d.done)
	}
}

// abandon closes the client and waits for its last promises: then nothing refers
// to the buffers any more.
func (s *Sink) abandon(d *delivery) {
	s.drop()
	<-d.done
}

// prepare makes the client's records of the messages.
func (s *Sink) prepare() {
	n := len(s.messages)
	if cap(s.records) < n {
		s.records, s.headers = make([]kgo.Record, n), make([]kgo.RecordHeader, 2*n)
	}
	s.records, s.headers = s.records[:n], s.headers[:2*n]
	start := 0
	for i := range s.messages {
		m := &s.messages[i]
		headers := s.headers[2*i : 2*i+2 : 2*i+2]
		headers[0] = kgo.RecordHeader{Key: "boot", Value: s.buffer[m.key:m.boot:m.boot]}
		headers[1] = kgo.RecordHeader{Key: "seq", Value: s.buffer[m.boot:m.seq:m.seq]}
		s.records[i] = kgo.Record{
			Key:     s.buffer[start:m.key:m.key],
			Value:   s.buffer[m.seq:m.body:m.body],
			Headers: headers,
		}
		start = m.body
	}
}

// largest is the size that the largest message has, alone in its batch.
func (s *Sink) largest() int {
	n, start := 0, 0
	for i := range s.messages {
		n = max(n, s.messages[i].body-start+batchOverhead)
		start = s.messages[i].body
	}
	return n
}

// explain makes Send's error of what the client says, with the next step.
func (s *Sink) explain(err error, d *delivery, records int) error {
	where := fmt.Sprintf("kafka %s: topic %s", &s.target, s.target.topic)
	switch {
	case errors.Is(err, kerr.MessageTooLarge):
		// The broker says so of a batch, in which all messages may be good ones.
		if largest := int32(s.largest()); s.maxBatch > largest {
			s.maxBatch = max(s.maxBatch/2, largest)
			return fmt.Errorf("%s: %w: trying again with batches of at most %d bytes (raise the topic's max.message.bytes to avoid it)", where, err, s.maxBatch)
		}
		if records > 1 {
			return s.tooLarge(nil) // which ones is found by sending fewer
		}
		return s.tooLarge([]int{0})
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("%s: %w: create it, or let the brokers create topics (auto.create.topics.enable there, topic creation here)", where, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("%s: %w: check username, password and the brokers' access rules", where, err)
	}
	if cause := s.lastDial.cause(); cause != nil {
		err = fmt.Errorf("%w; last of all: %w", err, cause)
	}
	return fmt.Errorf("%s: with %d of %d messages unacknowledged: %w", where, len(s.messages)-d.acked, len(s.messages), err)
}

func (s *Sink) tooLarge(positions []int) error {
	return uplink.Permanent(fmt.Errorf("kafka %s: topic %s: larger than a message may be: raise the topic's max.message.bytes", &s.target, s.target.topic), positions...)
}

// drop gives the client up.
func (s *Sink) drop() {
	if s.client != nil {
		s.hangUp()
		s.client.Close()
		s.client = nil
	}
}

// Close closes the connections.
func (s *Sink) Close() error {
	s.drop()
	return nil
}

// dialFailure is a hook that remembers why the client did not reach a broker:
// the client itself says only that it ran out of time.
type dialFailure struct {
	mu  sync.Mutex
	err error
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (f *dialFailure) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *dialFailure) cause() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
