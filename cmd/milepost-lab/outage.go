package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"milepost/uplink"
	"milepost/uplink/uplinktest/proxy"
)

// outage cuts the link to the broker when the replay reaches one event time and
// heals it at another.
//
// A replay passes minutes in milliseconds, so it is held up at both times for
// the outage to be one: before the cut until something has been delivered, and
// before the healing until the loss was felt.
type outage struct {
	link     *proxy.Proxy
	sink     *watchedSink
	from, to int64 // event time, in nanoseconds

	cut, healed bool
	atCut       outageMoment
	atHeal      outageMoment
}

// outageMoment is the state of the delivery when the link changes.
type outageMoment struct {
	time int64 // event time, in nanoseconds
	// delivered records had been acknowledged, waiting ones not; failed tries to
	// send there had been.
	delivered, waiting, failed uint64
}

// holdAtMost is how long an outage holds the replay up. If it was in vain, the
// numbers tell.
const holdAtMost = 5 * time.Second

// reached is called with the start of each window, before it is stored, and the
// number of records before it.
func (o *outage) reached(ctx context.Context, start int64, records uint64) {
	if !o.cut && start >= o.from {
		hold(ctx, o.sink.begun)
		o.cut, o.atCut = true, o.moment(start, records)
		o.link.Cut()
	}
	if !o.healed && start >= o.to {
		hold(ctx, o.sink.felt)
		o.healed, o.atHeal = true, o.moment(start, records)
		o.link.Heal()
	}
}

func (o *outage) moment(start int64, records uint64) outageMoment {
	delivered := o.sink.delivered.Load()
	return outageMoment{start, delivered, records - min(delivered, records), o.sink.failed.Load()}
}

func hold(ctx context.Context, until <-chan struct{}) {
	timer := time.NewTimer(holdAtMost)
	defer timer.Stop()
	select {
	case <-until:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watchedSink counts what a sink does, for other goroutines to see.
type watchedSink struct {
	uplink.Sink
	delivered, failed atomic.Uint64
	// begun is closed when something has been delivered, felt when
	// failuresToFeel tries have failed.
	begun, felt chan struct{}
	beginOnce   sync.Once
}

// failuresToFeel is how many tries fail before a link counts as lost.
const failuresToFeel = 3

func watch(sink uplink.Sink) *watchedSink {
	return &watchedSink{Sink: sink, begun: make(chan struct{}), felt: make(chan struct{})}
}

// Send implements uplink.Sink.
func (s *watchedSink) Send(ctx context.Context, records []uplink.Record) error {
	err := s.Sink.Send(ctx, records)
	if err != nil {
		if s.failed.Add(1) == failuresToFeel {
			close(s.felt)
		}
		return err
	}
	s.delivered.Add(uint64(len(records)))
	s.beginOnce.Do(func() { close(s.begun) })
	return nil
}
