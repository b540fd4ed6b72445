package uplinktest

import (
	"context"
	"slices"
	"sync"
	"time"

	"milepost/uplink"
)

// MemorySink accepts everything and keeps the keys. It is the base of the other
// fakes, and safe for concurrent use.
type MemorySink struct {
	mu     sync.Mutex
	sent   []uplink.Key
	sends  int
	closed bool
}

// Send implements uplink.Sink.
func (s *MemorySink) Send(ctx context.Context, records []uplink.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sends++
	for i := range records {
		s.sent = append(s.sent, records[i].Key())
	}
	return nil
}

// Close implements uplink.Sink.
func (s *MemorySink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Sent is the keys of what was accepted so far, in order.
func (s *MemorySink) Sent() []uplink.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Sends is the number of times that something was accepted.
func (s *MemorySink) Sends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sends
}

// FlakySink fails when Fail says so.
type FlakySink struct {
	MemorySink
	// Fail is called with each Send, before anything is accepted, and with the
	// number of the call, from 1 on. An error is returned to the caller.
	Fail func(call int, records []uplink.Record) error
	// Partial is how many records of a failing Send arrive all the same.
	Partial int

	calls int
}

// Send implements uplink.Sink.
func (s *FlakySink) Send(ctx context.Context, records []uplink.Record) error {
	s.calls++
	if err := s.Fail(s.calls, records); err != nil {
		if s.Partial > 0 {
			s.MemorySink.Send(ctx, records[:min(s.Partial, len(records))])
		}
		return err
	}
	return s.MemorySink.Send(ctx, records)
}

// Calls is the number of calls of Send, to be read after the last one.
func (s *FlakySink) Calls() int { return s.calls }

// SlowSink takes its time: a round trip a Send.
type SlowSink struct {
	MemorySink
	RoundTrip time.Duration
}

// Send implements uplink.Sink.
func (s *SlowSink) Send(ctx context.Context, records []uplink.Record) error {
	timer := time.NewTimer(s.RoundTrip)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return s.MemorySink.Send(ctx, records)
	}
}
