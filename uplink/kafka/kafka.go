// Package kafka sends records to Kafka topics.
package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"milepost/uplink"
)

// Sink sends records to Kafka topics. It implements uplink.Sink and
// uplink.Pipelined.
//
// The producer is idempotent and waits for all in-sync replicas. Messages have
// the device as their key, so that a device's are in one partition of a topic and
// in order, and the headers boot and seq.
type Sink struct{ p *producer }

// New checks the options and makes a Sink. It does not connect.
func New(o Options) (*Sink, error) {
	p, err := newProducer(o)
	if err != nil {
		return nil, err
	}
	return &Sink{p}, nil
}

// String names the brokers.
func (s *Sink) String() string { return "kafka " + s.p.target.String() }

// Traffic is how many bytes have gone over the wire since New, TLS and the schema
// registry included. It is safe for concurrent use.
func (s *Sink) Traffic() (sent, received uint64) { return s.p.wire() }

func (p *producer) wire() (sent, received uint64) {
	return p.traffic.sent.Load(), p.traffic.received.Load()
}

// Send implements uplink.Sink: it returns nil when all in-sync replicas of the
// partitions have all records.
func (s *Sink) Send(ctx context.Context, records []uplink.Record) error {
	return s.Begin(ctx, records)()
}

// Begin implements uplink.Pipelined.
func (s *Sink) Begin(ctx context.Context, records []uplink.Record) (wait func() error) {
	begin := func(from int) (*shipment, error) {
		if err := ctx.Err(); err != nil || from == len(records) {
			return nil, err
		}
		if err := s.p.connect(ctx); err != nil {
			return nil, s.p.unreachable(ctx, err)
		}
		return s.p.start(ctx, records[from:]), nil
	}
	shipment, err := begin(0)
	return func() error {
		for from := 0; shipment != nil; shipment, err = begin(from) {
			n, again, err := s.p.finish(ctx, shipment, from)
			if !again {
				return err
			}
			from += n
		}
		return err
	}
}

// finish waits for a shipment, which begins at the position from. If the rest of
// it has to be sent again, in other batches, it returns how many records need not.
func (p *producer) finish(ctx context.Context, s *shipment, from int) (delivered int, again bool, err error) {
	d, err := s.wait()
	switch {
	case s.forsaken:
		return 0, false, err
	case err == nil && len(d.poison) == 0:
		return 0, false, nil
	case err == nil:
		return 0, false, p.tooLarge(d.poison, from)
	case isTooLarge(err) && ctx.Err() == nil && p.shrink(ctx, d):
		// What comes before the first message that was refused has arrived; what
		// comes behind it is sent again, so that copies at least are in order.
		return d.first, true, nil
	}
	p.drop()
	if ctx.Err() != nil {
		return 0, false, ctx.Err()
	}
	return 0, false, p.explain(err, d)
}

// Close closes the connections.
func (s *Sink) Close() error {
	s.p.close()
	return nil
}

func (p *producer) close() {
	p.drop()
	if p.registry != nil {
		p.registry.close()
	}
}

// isTooLarge reports whether the brokers refused a batch for its size.
func isTooLarge(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge)
}

// tooLarge is the error about poison, at the given positions behind from.
func (p *producer) tooLarge(positions []int, from int) error {
	at := make([]int, len(positions))
	for i, n := range positions {
		at[i] = from + n
	}
	return uplink.Permanent(fmt.Errorf("kafka %s: larger than a message may be (%d bytes; raise the topic's max.message.bytes), or of a topic that cannot be", &p.target, p.limit), at...)
}
