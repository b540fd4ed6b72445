package uplinktest

import (
	"context"
	"errors"
	"sync"
	"time"

	"milepost/uplink"
)

// ErrLinkDown is what the Send of a LinkSink returns while its link is cut.
var ErrLinkDown = errors.New("link 192.0.2.1: no route to host")

// LinkSink is a receiver behind a link with a latency and a bandwidth, that can
// be cut and that can hang. Time is what package time says it is, so that it is
// to be used with testing/synctest. Its methods are safe for concurrent use, but
// for Send.
type LinkSink struct {
	// Latency is what every Send takes, RecordBytes what a record weighs (100).
	Latency     time.Duration
	RecordBytes int
	// Received is called with each record that arrives, in order, and when.
	Received func(r *uplink.Record, at time.Time)

	mu      sync.Mutex
	rate    float64 // bytes a second, 0 is any number
	down    bool
	hung    bool
	changed chan struct{} // closed, and made anew, with every change
	traffic uint64
	records uint64
	sends   int
	longest time.Duration
}

// SetRate sets the bandwidth in bytes a second; 0 is any.
func (s *LinkSink) SetRate(rate float64) { s.set(func() { s.rate = rate }) }

// SetDown cuts the link or mends it. What is on its way is lost.
func (s *LinkSink) SetDown(down bool) { s.set(func() { s.down = down }) }

// SetHung makes the receiver silent, or ends that.
func (s *LinkSink) SetHung(hung bool) { s.set(func() { s.hung = hung }) }

func (s *LinkSink) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

// Send implements uplink.Sink. A link that is cut halfway has carried a part of
// the records.
func (s *LinkSink) Send(ctx context.Context, records []uplink.Record) error {
	size := max(s.RecordBytes, 0)
	if size == 0 {
		size = 100
	}
	start := time.Now()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sends++
		s.longest = max(s.longest, time.Since(start))
	}()
	if err := s.wait(ctx, s.Latency); err != nil {
		return err
	}
	pause, from := time.Duration(0), 0
	for i := range records {
		s.mu.Lock()
		if s.rate > 0 {
			pause += time.Duration(float64(size) / s.rate * float64(time.Second))
		}
		s.mu.Unlock()
		if pause < tick && i < len(records)-1 {
			continue
		}
		if err := s.wait(ctx, pause); err != nil {
			return err
		}
		s.mu.Lock()
		s.traffic += uint64(size * (i + 1 - from))
		s.records += uint64(i + 1 - from)
		s.mu.Unlock()
		for ; s.Received != nil && from <= i; from++ {
			s.Received(&records[from], time.Now())
		}
		pause, from = 0, i+1
	}
	return nil
}

// tick is the time in which records arrive together.
const tick = 10 * time.Millisecond

// wait lets time pass, as long as the link holds.
func (s *LinkSink) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		s.mu.Lock()
		down, hung := s.down, s.hung
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		if down {
			return ErrLinkDown
		}
		if d == 0 && !hung {
			return ctx.Err()
		}
		over := timer.C
		if hung {
			over = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			if hung {
				timer.Reset(d)
			}
		case <-over:
			return nil
		}
	}
}

// Traffic is the bytes that went over the link; none came back.
func (s *LinkSink) Traffic() (sent, received uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.traffic, 0
}

// Records is the number of records that have arrived, copies included, Sends
// that of the calls of Send, and Longest what the longest of them took.
func (s *LinkSink) Records() uint64 { s.mu.Lock(); defer s.mu.Unlock(); return s.records }
func (s *LinkSink) Sends() int      { s.mu.Lock(); defer s.mu.Unlock(); return s.sends }
func (s *LinkSink) Longest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest
}

// Close implements uplink.Sink.
func (s *LinkSink) Close() error { return nil }
