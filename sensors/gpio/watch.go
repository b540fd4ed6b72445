package gpio

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// edgeKinds are the edges that a line is watched for. Only with one kind is each
// event surely of that kind: of both, the kernel tells which by the level that it
// finds when it comes to look.
type edgeKinds uint8

const (
	bothEdges edgeKinds = iota
	risingEdges
	fallingEdges
)

// event is an edge.
type event struct {
	at     int64 // CLOCK_MONOTONIC, in nanoseconds
	rising bool  // from off to on, whatever the level for that
	seq    uint32
}

// request is a line that is held: the kernel's side of a watcher.
type request interface {
	// level is the line's level now, after the debounce.
	level() (on bool, err error)
	// read waits for edges until the time that wake has set, and returns 0 then.
	read([]event) (int, error)
	// wake ends a read at a time; one that has passed ends it now.
	wake(at time.Time) error
	clocks() clocks
	close() error
}

// meter makes something of a line's edges. Its methods are called by one
// goroutine, with times in order.
type meter interface {
	begin(at moment, on bool)
	// edge comes after lost others that the kernel has dropped.
	edge(at moment, rising bool, lost uint32)
	// cut ends an interval, which the edges at its own time are no part of.
	cut(at moment)
	// shift says that from is now called to: the wall clock was set.
	shift(from, to moment)
	// end says that nothing is known of the line from here on.
	end(at moment)
	flush()
}

// watcher keeps a line requested and leads its edges to a meter.
type watcher struct {
	line     LineOptions
	edges    edgeKinds
	interval time.Duration
	open     func(*LineOptions, edgeKinds) (request, error)
	status   status
	unseen   atomic.Uint64
}

// grace is how long after the end of an interval it is cut: the kernel's thread
// hands over what its interrupt has stamped. An edge that comes later still is
// counted as if it had come at the cut.
const grace = 10 * time.Millisecond

// The pause before the line is tried again doubles from the first to the last.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 10 * time.Second
)

// run watches until the context is done, through absences of the chip.
func (w *watcher) run(ctx context.Context, m meter) error {
	pause := firstPause
	for ctx.Err() == nil {
		held, err := w.open(&w.line, w.edges)
		if err == nil {
			w.status.works()
			var edges bool
			edges, err = w.watch(ctx, held, m)
			if ctx.Err() != nil {
				return nil
			}
			if edges {
				pause = firstPause
			}
		}
		if errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		w.status.failed(w.line.failure(err))
		sleep(ctx, jittered(pause, 4))
		pause = min(2*pause, lastPause)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// watch leads the edges of a held line to the meter until the context is done or
// the line fails. It says whether the line has worked for an interval.
func (w *watcher) watch(ctx context.Context, held request, m meter) (worked bool, err error) {
	defer held.close()
	// wake is called again by the loop, which looks at the context after that: it
	// is done before this runs, so either the loop sees it or this is the last.
	defer context.AfterFunc(ctx, func() { held.wake(time.Unix(1, 0)) })()

	on, err := held.level()
	if err != nil {
		return false, err
	}
	now := held.clocks()
	s := session{watcher: w, meter: m, last: now.mono, believed: on}
	s.clock.update(now)
	s.cut = s.clock.nextCut(now.mono, int64(w.interval))
	begun := now.mono
	m.begin(s.clock.at(now.mono), on)
	m.flush()

	var events [readBatch]event
	for left := eventBuffer / readBatch; ; {
		until := time.Duration(s.cut-held.clocks().mono) + grace
		if err := held.wake(time.Now().Add(until)); err != nil && ctx.Err() == nil {
			s.finish(held)
			return worked, err
		}
		stopping := ctx.Err() != nil
		if stopping {
			held.wake(time.Unix(1, 0)) // what is there already is still read
			left--
		}
		n, err := held.read(events[:])
		now := held.clocks()
		if n == 0 && err == nil && !stopping {
			err = s.compare(held)
		}
		s.take(events[:n], now)
		if err != nil || stopping && (n == 0 || left == 0) {
			s.finish(held)
			return worked, err
		}
		m.flush()
		worked = worked || now.mono-begun > int64(w.interval)
	}
}

const (
	// eventBuffer is how many edges the kernel keeps for us; more it does not
	// give. When they are not read in time it drops the oldest, and the sequence
	// numbers tell how many.
	eventBuffer = 1024
	// readBatch is how many edges one read takes at most.
	readBatch = 64
)

// session is what is known of a line while it is held.
type session struct {
	*watcher
	meter meter
	clock wallClock
	// last is the time up to which everything has been told to the meter; cut is
	// the end of the interval under way. CLOCK_MONOTONIC.
	last, cut int64
	seq       uint32
	// believed is the level after the last edge; doubted, that the line has been
	// found at the other without one.
	believed, doubted bool
}

// take tells the meter of edges, and of the time that has passed.
func (s *session) take(events []event, now clocks) {
	if s.clockMoved(events, now) {
		s.doubted = false
	}
	for _, e := range events {
		lost := e.seq - s.seq - 1
		s.seq = e.seq
		if lost > 0 {
			s.status.lost(lost)
		}
		// Twice the same level, with no event missing: between the two it had
		// another one, too briefly for the interrupt. A level that was read after
		// the edge had come is no such case.
		if s.edges == bothEdges && lost == 0 && e.rising == s.believed && e.at > s.last {
			s.unseen.Add(1)
		}
		s.believed, s.doubted = e.rising, false
		s.advance(e.at)
		s.meter.edge(s.clock.at(s.last), e.rising, lost)
	}
	if len(events) < readBatch {
		s.advance(now.mono - int64(grace))
	}
}

// advance tells the meter of the intervals that end up to a time.
func (s *session) advance(to int64) {
	for s.cut <= to {
		s.last = s.cut
		s.meter.cut(s.clock.at(s.cut))
		s.cut += int64(s.interval)
	}
	s.last = max(s.last, to)
}

// clockMoved notices a wall clock that was set. What came before the first of the
// new edges keeps the old date; they, and what follows, have the new one.
func (s *session) clockMoved(events []event, now clocks) bool {
	before := s.clock
	if !s.clock.update(now) {
		return false
	}
	after := s.clock
	s.clock = before
	at := now.mono
	if len(events) > 0 {
		at = min(at, events[0].at)
	}
	s.advance(at)
	s.clock = after
	s.meter.shift(before.at(s.last), after.at(s.last))
	s.cut = s.clock.nextCut(s.last, int64(s.interval))
	return true
}

// compare looks at the line itself when no edge has come for an interval: one
// that fails shows, and one that has changed while nobody could see it, during a
// suspend, does not stay wrong. An edge on its way is waited for: only what is
// found twice counts.
func (s *session) compare(held request) error {
	on, err := held.level()
	if err != nil || s.edges != bothEdges {
		return err
	}
	if on == s.believed {
		s.doubted = false
		return nil
	}
	if !s.doubted {
		s.doubted = true
		return nil
	}
	s.believed, s.doubted = on, false
	s.unseen.Add(1)
	s.advance(held.clocks().mono)
	s.meter.edge(s.clock.at(s.last), on, 0)
	return nil
}

// finish tells the meter of the time up to now, and that it was the last.
func (s *session) finish(held request) {
	s.advance(held.clocks().mono)
	s.meter.end(s.clock.at(s.last))
	s.meter.flush()
}
