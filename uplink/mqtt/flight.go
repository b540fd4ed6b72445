package mqtt

import (
	"errors"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"milepost/uplink"
)

// message is a payload on its way. Its buffer is paho's until it is
// acknowledged.
type message struct {
	topic    string
	payload  []byte
	retained bool
	alone    bool // nothing else may be under way with it
	token    paho.Token
	// Of a message of records: the first one's key, and their number.
	first   uplink.Key
	records int
	// Of a latest value.
	signal *signal
	value  float64
}

// flight is the messages that are under way, the oldest first.
type flight struct {
	messages []message
	oldest   int // position in messages
	spare    [][]byte
	timer    *time.Timer
}

// maxSpare is how many buffers are kept for the next messages.
const maxSpare = 8

func (f *flight) init() {
	f.timer = time.NewTimer(time.Hour)
	f.timer.Stop()
}

func (f *flight) len() int { return len(f.messages) - f.oldest }

func (f *flight) pending() []message { return f.messages[f.oldest:] }

func (f *flight) push(m message) {
	if len(f.messages) == cap(f.messages) && f.oldest > len(f.messages)/2 {
		n := copy(f.messages, f.messages[f.oldest:])
		clear(f.messages[n:])
		f.messages, f.oldest = f.messages[:n], 0
	}
	f.messages = append(f.messages, m)
}

// pop takes the oldest message away, which is acknowledged.
func (f *flight) pop() {
	m := &f.messages[f.oldest]
	if m.records > 0 {
		f.recycle(m.payload)
	}
	*m = message{}
	if f.oldest++; f.oldest == len(f.messages) {
		f.messages, f.oldest = f.messages[:0], 0
	}
}

// abandon forgets everything, buffers included: paho may still be writing them.
func (f *flight) abandon() {
	clear(f.messages)
	f.messages, f.oldest, f.spare = f.messages[:0], 0, nil
}

func (f *flight) buffer() []byte {
	last := len(f.spare) - 1
	if last < 0 {
		return nil
	}
	buffer := f.spare[last]
	f.spare = f.spare[:last]
	return buffer[:0]
}

func (f *flight) recycle(buffer []byte) {
	if buffer != nil && len(f.spare) < maxSpare {
		f.spare = append(f.spare, buffer[:0])
	}
}

var errStalled = errors.New("no progress for too long; the broker or the link is stuck")

// launch publishes a message as soon as there is room in the window. One that
// has to go alone is waited for.
func (s *Sink) launch(m message) error {
	window := s.o.Window
	if m.alone {
		window = 1
	}
	for s.flight.len() >= window {
		if err := s.settle(); err != nil {
			return err
		}
	}
	m.token = s.conn.client.Publish(m.topic, 1, m.retained, m.payload)
	s.flight.push(m)
	if m.alone {
		return s.settleAll()
	}
	return nil
}

// settleAll waits until nothing is under way.
func (s *Sink) settleAll() error {
	for s.flight.len() > 0 {
		if err := s.settle(); err != nil {
			return err
		}
	}
	return nil
}

// settle waits for the acknowledgement of the oldest message under way.
func (s *Sink) settle() error {
	m := &s.flight.messages[s.flight.oldest]
	if err := await(m.token, s.wait); err != nil {
		return err
	}
	s.refusals.acknowledged(m)
	if m.signal != nil {
		s.twin.confirmed(m.signal, m.value, time.Now())
	}
	s.flight.pop()
	return nil
}

// wait waits for an event of the connection.
func (s *Sink) wait(event <-chan struct{}) error {
	select {
	case <-event:
	default:
		s.flight.timer.Reset(s.o.AckTimeout)
		defer s.flight.timer.Stop()
		select {
		case <-event:
		case <-s.conn.lost():
		case <-s.flight.timer.C:
			return errStalled
		}
	}
	select {
	case <-s.conn.lost():
		return fmt.Errorf("connection lost: %w", s.conn.socket.err)
	default:
		return nil
	}
}
