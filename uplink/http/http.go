// Package http sends records to servers over HTTP: to a Kafka REST proxy, to an
// OpenTelemetry server, or to any endpoint that takes a POST.
//
// # How a server makes it exactly once
//
// An answer can be lost after the server has taken a request; the request is
// then sent again. Each has the header Idempotency-Key, which says which records
// it has (see appendIdempotencyKey for its form) and is the same whenever the
// same group of records is sent again. A server that keeps the keys of what it
// has taken, in the same transaction as the records, and answers a request whose
// key it has with the same 2xx without taking it again, has each record once.
// Keys need to be kept for as long as an answer can be late plus a client may
// wait to send again: an hour is plenty.
//
// After a restart of the gateway records can be grouped otherwise, and the groups
// under way then have other keys. Who needs exactly once over that too, compares
// the records' own keys (device, boot, sequence).
package http

import (
	"context"
	"errors"
	"fmt"
	nethttp "net/http"
	"net/url"
	"time"

	"milepost/uplink"
)

// Sink sends records over HTTP. It implements uplink.Sink.
//
// A group of records becomes one request or, where they are too many for
// MaxBody or for the server, several, one after the other. Those that the server
// has acknowledged while others failed are remembered, so that they are left out
// when the group comes again.
type Sink struct {
	o         Options
	url       *url.URL
	form      form
	network   *network
	transport *nethttp.Transport

	body, compressed []byte // of the request
	key              []byte
	compressor       compressor
	compression      compressionState

	limit   int       // of bodies; below MaxBody when the server wants it so
	limited time.Time // when it was lowered
	// doubtful says that the last request failed: the server is asked before it
	// gets the next large body.
	doubtful bool
	acked    acknowledged
	hidden   secrets // of the request under way
}

// compressionState is what is known of the server's liking for the compression.
type compressionState uint8

const (
	compressionUnknown compressionState = iota
	compressionTaken                    // a compressed body was taken
	compressionRefused                  // one was refused that was taken uncompressed
)

// New checks the options and makes a Sink. It does not connect.
func New(o Options) (*Sink, error) {
	o, u, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Sink{o: o, url: u, limit: o.MaxBody, network: newNetwork(o.DialTimeout)}
	if o.Compression != noCompression {
		s.compressor = newCompressor(o.Compression)
	}
	base := trimSlash(u.EscapedPath())
	switch o.Form {
	case KafkaRESTv2:
		s.form = &restV2{restTopic: restTopic(o.Topic), base: base, encoding: o.Encoding}
	case KafkaRESTv3:
		s.form = &restV3{restTopic: restTopic(o.Topic), base: base, cluster: url.PathEscape(o.Cluster), encoding: o.Encoding}
	default:
		s.form = &generic{encoding: o.Encoding, array: o.JSONArray, template: u.EscapedPath()}
	}
	if s.transport, err = newTransport(&o, s.network); err != nil {
		return nil, err
	}
	return s, nil
}

func trimSlash(path string) string {
	for len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}

// Traffic is the number of bytes that have gone over the sockets, TLS and the
// HTTP headers included. It is safe to call at any time.
func (s *Sink) Traffic() (sent, received uint64) {
	return s.network.sent.Load(), s.network.received.Load()
}

// Send implements uplink.Sink: it returns nil when the server has acknowledged
// all records with a status of 2xx and, from a REST proxy, with a report on each.
//
// A record that a REST proxy refuses, or that alone is too large, is named in a
// permanent error. A server that refuses a whole request as invalid (400, 422)
// does not say which record is to blame; the error then has no positions. Of an
// OpenTelemetry server that drops n points of a request it is known only that
// there were n: the last n positions stand for them, because the request must not
// be sent again to find out.
func (s *Sink) Send(ctx context.Context, records []uplink.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := tally{acked: make([]bool, len(records))}
	err := s.sendAll(ctx, records, &t)
	if err == nil {
		err = t.err(redact(s.url))
	}
	if err == nil {
		s.acked.forget(records)
		return nil
	}
	s.acked.remember(records, t.acked)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (s *Sink) sendAll(ctx context.Context, records []uplink.Record, t *tally) error {
	for _, b := range s.batches(records, t) {
		if err := s.sendBatch(ctx, b, t); err != nil {
			return err
		}
	}
	return nil
}

// sendBatch sends a batch, request by request.
func (s *Sink) sendBatch(ctx context.Context, b *batch, t *tally) error {
	for from := 0; from < len(b.records); {
		n := s.encode(b.records[from:])
		if n == 0 {
			t.refuse(b.position(from), fmt.Sprintf("larger than a body may be (%d bytes): raise the limit of this sink, if the server's is higher", s.o.MaxBody))
			from++
			continue
		}
		a, err := s.request(ctx, b.device, b.records[from:from+n])
		var refusal *refusal
		if errors.As(err, &refusal) {
			switch {
			case refusal.status == nethttp.StatusRequestEntityTooLarge && n > 1:
				s.limit, s.limited = max(len(s.body)/2, 1), time.Now()
				continue
			case refusal.isOfRecords() && n == 1:
				t.refuse(b.position(from), refusal.Error())
				from++
				continue
			case refusal.isOfRecords():
				return uplink.Permanent(err)
			}
		}
		if a != nil {
			t.note(b, from, n, a)
		}
		if err != nil {
			return err
		}
		from += n
	}
	return nil
}

// limitPeriod is how long a lowered limit holds.
const limitPeriod = time.Hour

// encode makes a body of as many records as the limits allow and returns their
// number: 0 if the first one is larger than MaxBody.
func (s *Sink) encode(records []uplink.Record) (n int) {
	if s.limit < s.o.MaxBody && time.Since(s.limited) > limitPeriod {
		s.limit = s.o.MaxBody
	}
	s.body, n = s.form.encode(s.body[:0], records, s.limit)
	if n == 0 && s.limit < s.o.MaxBody {
		s.body, n = s.form.encode(s.body[:0], records[:1], s.o.MaxBody)
	}
	return n
}

// request sends the records that s.body holds. The answer is not nil where the
// server has taken some of them, be there an error or not.
func (s *Sink) request(ctx context.Context, name string, records []uplink.Record) (*answer, error) {
	if err := s.findCluster(ctx); err != nil {
		return nil, err
	}
	u, err := s.at(s.form.path(name))
	if err != nil {
		return nil, err
	}
	s.key = appendIdempotencyKey(s.key[:0], records)
	r := request{method: nethttp.MethodPost, url: u, body: s.body, key: string(s.key), records: len(records)}
	if s.compressor == nil {
		a, err := s.exchange(ctx, &r)
		s.forgetCluster(err)
		return a, err
	}
	s.compressed = s.compressor.compress(s.compressed[:0], s.body)
	r.body, r.compression = s.compressed, s.o.Compression
	a, err := s.exchange(ctx, &r)
	s.forgetCluster(err)
	if err == nil {
		s.compression = compressionTaken
	}
	var refusal *refusal
	if !errors.As(err, &refusal) || refusal.status != nethttp.StatusBadRequest || s.compression == compressionTaken {
		return a, err
	}
	// Is it the records, or the compression? A server that knows nothing of
	// compressed bodies takes them for garbage.
	if s.compression == compressionUnknown {
		r.body, r.compression = s.body, ""
		if a, err = s.exchange(ctx, &r); err != nil {
			return a, err
		}
		s.compression = compressionRefused
	}
	// Not the records' fault: the refusal must not be found in this error.
	return a, fmt.Errorf("POST %s: %v: the server takes bodies only if they are not compressed with %s: set the sink's compression to none", redact(u), refusal, s.o.Compression)
}

// at is the server's URL with another path, which is escaped.
func (s *Sink) at(path string) (*url.URL, error) {
	u := *s.url
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		return nil, fmt.Errorf("http: path %q: %w", path, err)
	}
	u.RawPath = path
	return &u, nil
}

// Close ends the connections.
func (s *Sink) Close() error {
	s.network.end()
	s.transport.CloseIdleConnections()
	return nil
}
