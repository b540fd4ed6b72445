// Package mqtt sends records to an MQTT broker (3.1.1) with QoS 1.
package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"milepost/uplink"
)

// Sink sends records to an MQTT broker. It implements uplink.Sink.
//
// Every connection has a client, a message store and message numbers of its
// own, and the client never reconnects: after a reconnection paho takes
// messages for acknowledged that the broker has never seen. What is not
// acknowledged when the connection ends is Send's error; its caller has the
// records.
type Sink struct {
	o     Options
	url   *url.URL
	topic topic

	conn  *connection // nil while there is none
	ended sync.WaitGroup

	scratch []byte // for topics
	spare   [][]byte
	pending []*message
	timer   *time.Timer
}

// maxSpare is how many buffers are kept for the next messages.
const maxSpare = 8

// message is a payload on its way. Its buffer is paho's until it is
// acknowledged.
type message struct {
	topic   string
	payload []byte
	token   chan paho.Token // gets the token when paho has taken the message
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
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &Sink{o: o, url: u, topic: t, timer: timer}, nil
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
		return fmt.Errorf("mqtt %s: connect: %w", s.url.Host, err)
	}
	poison, err := s.publish(ctx, records)
	for err == nil && len(s.pending) > 0 {
		err = s.settle(ctx)
	}
	if err != nil {
		unacknowledged := len(s.pending)
		s.drop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("mqtt %s: with %d messages unacknowledged: %w", s.url.Host, unacknowledged, err)
	}
	if len(poison) > 0 {
		return uplink.Permanent(fmt.Errorf("mqtt %s: %d records are larger than a message may be (%d bytes) or have too long a topic: check the payload limit of the broker and of this sink", s.url.Host, len(poison), s.o.MaxPayload), poison...)
	}
	return nil
}

// publish hands all records to the client, each group of a topic in order. It
// returns the positions of those that cannot be sent.
func (s *Sink) publish(ctx context.Context, records []uplink.Record) (poison []int, err error) {
	for _, g := range s.group(records) {
		for i := 0; i < len(g.records); {
			payload, n := s.encode(g.records[i:])
			if n == 0 || len(g.topic) > 65_535 {
				s.spare = append(s.spare, payload[:0])
				poison = append(poison, g.position(i))
				i++
				continue
			}
			for len(s.pending) >= s.o.Window {
				if err := s.settle(ctx); err != nil {
					return nil, err
				}
			}
			m := &message{g.topic, payload, make(chan paho.Token, 1)}
			s.pending = append(s.pending, m)
			if err := s.await(ctx, func(done, lost <-chan struct{}) error {
				select {
				case s.conn.messages <- m:
					return nil
				case <-lost:
					return s.conn.cause()
				case <-done:
					return ctx.Err()
				case <-s.timer.C:
					return errStalled
				}
			}); err != nil {
				return nil, err
			}
			i += n
		}
	}
	return poison, nil
}

func (s *Sink) encode(records []uplink.Record) (payload []byte, n int) {
	var buffer []byte
	if last := len(s.spare) - 1; last >= 0 {
		buffer, s.spare = s.spare[last][:0], s.spare[:last]
	}
	if !s.o.Single {
		return s.o.Encoding.AppendUpTo(buffer, records, s.o.MaxPayload)
	}
	if buffer = s.o.Encoding.AppendOne(buffer, &records[0]); len(buffer) > s.o.MaxPayload {
		return buffer, 0
	}
	return buffer, 1
}

var errStalled = errors.New("no progress for too long; the broker or the link is stuck")

// settle waits for the acknowledgement of the oldest message under way.
func (s *Sink) settle(ctx context.Context) error {
	m := s.pending[0]
	err := s.await(ctx, func(done, lost <-chan struct{}) error {
		var token paho.Token
		select {
		case token = <-m.token:
		case <-lost:
			return s.conn.cause()
		case <-done:
			return ctx.Err()
		case <-s.timer.C:
			return errStalled
		}
		select {
		case <-token.Done():
			return token.Error()
		case <-lost:
			return s.conn.cause()
		case <-done:
			return ctx.Err()
		case <-s.timer.C:
			return errStalled
		}
	})
	if err != nil {
		return err
	}
	s.pending = append(s.pending[:0], s.pending[1:]...)
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, m.payload[:0])
	}
	return nil
}

// await calls wait with the AckTimeout running.
func (s *Sink) await(ctx context.Context, wait func(done, lost <-chan struct{}) error) error {
	s.timer.Reset(s.o.AckTimeout)
	defer s.timer.Stop()
	return wait(ctx.Done(), s.conn.lost())
}

// group is the records of one topic.
type group struct {
	topic     string
	records   []uplink.Record
	positions []int // in what Send was given; nil: from 0 on
}

func (g *group) position(i int) int {
	if g.positions == nil {
		return i
	}
	return g.positions[i]
}

// group sorts the records by topic, in the order of the topics' first ones.
func (s *Sink) group(records []uplink.Record) []group {
	if s.topic.perDevice() && sameDevice(records) {
		s.scratch = s.topic.append(s.scratch[:0], &records[0])
		return []group{{topic: string(s.scratch), records: records}}
	}
	var groups []group
	index := make(map[string]int)
	for i := range records {
		s.scratch = s.topic.append(s.scratch[:0], &records[i])
		n, ok := index[string(s.scratch)]
		if !ok {
			n = len(groups)
			groups = append(groups, group{topic: string(s.scratch)})
			index[groups[n].topic] = n
		}
		groups[n].records = append(groups[n].records, records[i])
		groups[n].positions = append(groups[n].positions, i)
	}
	return groups
}

func sameDevice(records []uplink.Record) bool {
	for i := range records {
		if records[i].Device != records[0].Device {
			return false
		}
	}
	return true
}

// connect makes a connection unless there is a live one.
func (s *Sink) connect(ctx context.Context) error {
	if s.conn != nil {
		select {
		case <-s.conn.lost(): // while nothing was to be sent
			s.drop()
		default:
			return nil
		}
	}
	c, err := dial(ctx, s.url, &s.o)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if text := strings.ToLower(err.Error()); strings.Contains(text, "not authori") || strings.Contains(text, "bad user name") {
			return fmt.Errorf("%w: check username, password and the broker's access rules", err)
		}
		return err
	}
	s.conn = c
	return nil
}

// drop gives the connection up. What paho holds of it ends on its own; Close
// waits for that.
func (s *Sink) drop() {
	if s.conn == nil {
		return
	}
	c := s.conn
	s.conn, s.pending, s.spare = nil, nil, nil
	s.ended.Go(c.abort)
}

// Close disconnects and waits until all goroutines have ended.
func (s *Sink) Close() error {
	if s.conn != nil {
		s.conn.disconnect()
		s.conn = nil
	}
	s.ended.Wait()
	return nil
}
