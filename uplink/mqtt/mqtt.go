// Package mqtt sends records to an MQTT broker (3.1.1) with QoS 1.
package mqtt

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"milepost/uplink"
)

// Sink sends records to an MQTT broker. It implements uplink.Sink.
//
// Every connection has a client and message numbers of its own, and the client
// never reconnects: after a reconnection paho takes messages for acknowledged
// that the broker has never seen. What is not acknowledged when the connection
// ends is Send's error; its caller has the records.
//
// The session is a clean one: the broker need not keep anything for a device
// that only sends.
//
// A broker of MQTT 3.1.1 cannot answer that its rules do not allow a message. It
// closes the connection, as mosquitto 2.0.11 does, and no record is given up for
// that; or it acknowledges what it drops, as other versions do, and nobody can
// tell.
type Sink struct {
	o       Options
	url     *url.URL
	topic   topic
	twin    *twin // nil without Options.Latest
	traffic traffic

	conn     *connection // nil while there is none
	ended    sync.WaitGroup
	flight   flight
	refusals refusals
	takeover takeover
	learnt   bool // what the twin has at the broker

	scratch []byte // for topics
}

// New checks the options and makes a Sink. It does not connect.
func New(o Options) (*Sink, error) {
	o, u, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	t, err := parseTopic(o.Topic)
	if err != nil {
		return nil, err
	}
	twin, err := newTwin(&o.Latest)
	if err != nil {
		return nil, err
	}
	s := &Sink{o: o, url: u, topic: t, twin: twin}
	s.flight.init()
	s.refusals = refusals{limit: o.MaxPayload, single: o.MaxPayload, most: o.MaxPayload}
	return s, nil
}

// String names the broker, and nothing that may be secret.
func (s *Sink) String() string { return "mqtt " + s.url.Host }

// GoString is String.
func (s *Sink) GoString() string { return s.String() }

// Traffic is how many bytes all connections have carried so far, as the TCP
// sockets see it: TLS and WebSockets are included. It is safe for concurrent use.
func (s *Sink) Traffic() (sent, received uint64) {
	return s.traffic.sent.Load(), s.traffic.received.Load()
}

// Send implements uplink.Sink: it returns nil when the broker has acknowledged
// (PUBACK) every message.
func (s *Sink) Send(ctx context.Context, records []uplink.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	if err := s.connect(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%v: connect: %w", s, err)
	}
	socket := s.conn.socket
	stop := context.AfterFunc(ctx, func() { socket.fail(ctx.Err()) })
	defer stop()
	err := s.greet(records[0].Device)
	var poison []int
	if err == nil {
		poison, err = s.publish(records)
	}
	if err != nil {
		unacknowledged := s.flight.len()
		err = s.drop(err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%v: with %d messages unacknowledged: %w", s, unacknowledged, err)
	}
	if len(poison) > 0 {
		return uplink.Permanent(fmt.Errorf("%v: %d records are larger than a message may be (%d bytes) or have too long a topic: check the payload limit of the broker and of this sink", s, len(poison), s.refusals.single), poison...)
	}
	return nil
}

// publish sends all records, each group of a topic in order, and waits for their
// acknowledgements. It returns the positions of those that cannot be sent.
func (s *Sink) publish(records []uplink.Record) (poison []int, err error) {
	now := time.Now()
	s.refusals.begin(now)
	for _, g := range s.group(records) {
		if g.last {
			if len(poison) > 0 { // more of it will show when this is away
				break
			}
			if err := s.settleAll(); err != nil {
				return nil, err
			}
		}
		for i := 0; i < len(g.records); {
			payload, n := s.encode(g.records[i:])
			key := g.records[i].Key()
			if n == 0 || len(g.topic) > maxString || g.last && s.refusals.poison(key, len(payload)) {
				s.flight.recycle(payload)
				poison = append(poison, g.position(i))
				i++
				continue
			}
			m := message{topic: g.topic, payload: payload, first: key, records: n, alone: g.last || s.refusals.alone(key)}
			if err := s.launch(m); err != nil {
				return nil, err
			}
			i += n
		}
	}
	if s.twin != nil {
		s.twin.update(records, now)
		if err := s.publishLatest(now); err != nil {
			return nil, err
		}
	}
	if err := s.settleAll(); err != nil {
		return nil, err
	}
	if len(poison) == 0 {
		s.refusals.done()
	}
	return poison, nil
}

// publishLatest sends the latest values that are due; all if now is zero.
func (s *Sink) publishLatest(now time.Time) error {
	for _, m := range s.twin.due(now) {
		if err := s.launch(m); err != nil {
			return err
		}
	}
	return nil
}

// encode makes a payload of as many of the records as may share one; none if
// the first alone is too large.
func (s *Sink) encode(records []uplink.Record) (payload []byte, n int) {
	buffer := s.flight.buffer()
	if s.o.Single {
		if payload = s.o.Encoding.AppendOne(buffer, &records[0]); len(payload) > s.refusals.single {
			return payload, 0
		}
		return payload, 1
	}
	if payload, n = s.o.Encoding.AppendUpTo(buffer, records, s.refusals.limit); n == 0 {
		return s.o.Encoding.AppendUpTo(buffer, records[:1], s.refusals.single)
	}
	return payload, n
}

// Close disconnects and ends all goroutines.
func (s *Sink) Close() error {
	if s.conn != nil {
		s.leave()
	}
	s.ended.Wait()
	return nil
}
