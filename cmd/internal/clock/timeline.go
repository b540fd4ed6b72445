package clock

import (
	"time"

	"milepost/aggregate"
)

// reading is what the kernel says of time at one instant, in nanoseconds.
type reading struct {
	wall int64 // CLOCK_REALTIME, since the Unix epoch
	boot int64 // CLOCK_BOOTTIME, since the start of the kernel
	mono int64 // CLOCK_MONOTONIC, the same less the time of suspension
	// synchronized and estimate are the kernel's word on NTP. They are read before
	// the clocks: a clock that is stepped and then declared synchronized is so never
	// read as synchronized with the time from before the step.
	synchronized bool
	estimate     time.Duration
}

// timeline is the wall clock of this boot, as far as it was seen: a sequence of
// epochs, in each of which the wall clock less the boot clock was constant. It is:
// NTP slews both alike, and only a step moves one against the other.
//
// It is not safe for concurrent use.
type timeline struct {
	floor  int64 // a wall clock below it was never set
	epochs []epoch
	last   reading
	// settled is when the current epoch was first seen synchronized, by the boot
	// clock; 0 if it is not.
	settled int64
	gnss    fix
	pending fix // waits to be confirmed by another one
	learnt  Learnt
	events  []Event
}

// epoch is a time between two steps.
type epoch struct {
	offset int64
	// from and until bound the epoch by the boot clock. The instants of steps are
	// known to be between two readings only, and epochs overlap by that.
	from, until int64
	clock       aggregate.Clock // at its end
}

// fix is a time from GNSS: an offset, how wrong it may be, and when it came.
type fix struct {
	offset, estimate, at int64
}

// Learnt is the offset by which the wall clock follows from the boot clock, for
// a boot.
type Learnt struct {
	// Clock is how far the Offset can be trusted; ClockUnknown if none was learnt.
	Clock aggregate.Clock
	// Offset is the right time less the boot clock, in nanoseconds, and Error how
	// wrong it may be (0: unknown).
	Offset int64
	Error  time.Duration
}

const (
	// minStep is the least change of the offset that counts as a step; less than
	// that is neither told nor corrected. Two readings differ by microseconds.
	minStep = int64(time.Millisecond)
	// minSleep is the least suspension.
	minSleep = int64(10 * time.Millisecond)
	// settling is how long a clock has to be synchronized before its offset is
	// learnt for good: some daemons say so just before they step the clock.
	settling = int64(time.Second)
	// maxEpochs bounds the memory that a clock takes that is stepped all the time.
	maxEpochs = 64
	// maxEvents bounds the events that nobody fetches.
	maxEvents = 64
	// agreement is how far the wall clock may be from GNSS, beyond the latter's
	// error, to count as synchronized by it, and gnssHolds for how long after the
	// last fix: at 50 ppm it is 0.2 s wrong by then.
	agreement = int64(100 * time.Millisecond)
	gnssHolds = int64(time.Hour)
	// drift is 1/(the accuracy of a cheap quartz): 50 ppm.
	drift = 20_000
)

// observe takes a reading, which is not older than the last one.
func (t *timeline) observe(r reading) {
	offset := (r.wall - r.boot) / 1000 * 1000 // readings are not more exact than that
	if len(t.epochs) == 0 {
		if t.learnt.Clock != aggregate.ClockUnknown && distance(offset, t.learnt.Offset) < minStep {
			offset = t.learnt.Offset // as an earlier process of this boot has read it
		}
		t.epochs = append(t.epochs, epoch{offset: offset, from: r.boot})
		t.last = r
	}
	e := &t.epochs[len(t.epochs)-1]
	if slept := (r.boot - r.mono) - (t.last.boot - t.last.mono); slept >= minSleep {
		t.tell(Event{Kind: Slept, By: time.Duration(slept)})
	}
	if distance(offset, e.offset) >= minStep {
		e.until = r.boot
		if len(t.epochs) == maxEpochs {
			t.epochs = append(t.epochs[:0], t.epochs[1:]...)
		}
		step := offset - e.offset
		t.epochs = append(t.epochs, epoch{offset: offset, from: t.last.boot, clock: e.clock})
		t.settled = 0
		t.tell(Event{Kind: Stepped, By: time.Duration(step)})
	}
	e = &t.epochs[len(t.epochs)-1]
	e.until = r.boot
	if clock := t.quality(&r, e.offset); clock != e.clock {
		e.clock = clock
		t.settled = 0
		t.tell(Event{Kind: QualityChanged})
	}
	t.last = r
	t.learn(&r, e)
}

// quality is that of the wall clock.
func (t *timeline) quality(r *reading, offset int64) aggregate.Clock {
	switch {
	case r.wall < t.floor:
		return aggregate.ClockUnset
	case r.synchronized:
		return aggregate.ClockSynchronized
	case t.gnss.at != 0 && r.boot-t.gnss.at < gnssHolds && distance(offset, t.gnss.offset) <= t.gnss.estimate+agreement:
		return aggregate.ClockSynchronized
	}
	return aggregate.ClockSet
}

// learn takes the offset of the current epoch for that of the boot if there is
// no better one.
func (t *timeline) learn(r *reading, e *epoch) {
	switch e.clock {
	case aggregate.ClockSet:
		t.propose(Learnt{Clock: e.clock, Offset: e.offset})
	case aggregate.ClockSynchronized:
		if t.settled == 0 {
			t.settled = r.boot
		}
		if r.boot-t.settled >= settling {
			l := Learnt{Clock: e.clock, Offset: e.offset, Error: r.estimate}
			if !r.synchronized {
				l.Error = time.Duration(t.gnss.estimate + agreement)
			}
			t.propose(l)
		}
	}
}

// propose replaces what was learnt if the new offset is better. What was learnt
// of a synchronized clock stays, so that records that are sent again are the same;
// unless it was rough and the new one is ten times as good. Of clocks that were
// set by hand, the last one is believed.
func (t *timeline) propose(l Learnt) {
	old := t.learnt
	switch {
	case l.Clock > old.Clock:
	case l.Clock < old.Clock:
		return
	case l.Clock == aggregate.ClockSet && l.Offset != old.Offset:
	case l.Clock == aggregate.ClockSynchronized && old.Error > 100*time.Millisecond && l.Error <= old.Error/10:
	default:
		return
	}
	t.learnt = l
	t.tell(Event{Kind: OffsetLearnt})
}

// position takes a time from GNSS. Two in a row have to agree: receivers have been
// seen to tell the wrong week, or a default, before they have a fix.
func (t *timeline) position(utc, boot, estimate int64) {
	f := fix{offset: (utc - boot) / 1000 * 1000, estimate: max(estimate, 0), at: boot}
	if utc < t.floor || boot <= 0 {
		return
	}
	before := t.pending
	t.pending = f
	if before.at == 0 || distance(f.offset, before.offset) > f.estimate+before.estimate+agreement {
		return
	}
	worn := t.gnss.estimate + (boot-t.gnss.at)/drift // the old fix, by now
	if t.gnss.at == 0 || f.estimate <= worn || distance(f.offset, t.gnss.offset) > worn+f.estimate+agreement {
		t.gnss = f
	} else {
		t.gnss.at = boot // it still holds
	}
	t.propose(Learnt{Clock: aggregate.ClockSynchronized, Offset: t.gnss.offset, Error: time.Duration(t.gnss.estimate)})
}

// at finds the epoch in which a frame was stamped that is read now, by the boot
// clock.
//
// By the offset of each epoch, the frame's time is an instant of the boot clock;
// an epoch that covers this instant is a candidate. There are several where the
// clock was set back and the same wall time comes again: then it is the one with
// the latest instant, as frames are read soon after they were stamped. So a frame
// that was stamped before a step and is read after it gets the offset from before:
// by the new one it would come from the future (a step back) or from before the
// new epoch (a step forward). Where both are possible, because the step is smaller
// than the frame is old, the error is less than the frame's age.
func (t *timeline) at(frameTime, now int64) (offset int64, clock aggregate.Clock) {
	var best *epoch
	var latest, nearest int64
	for i := range t.epochs {
		e := &t.epochs[i]
		stamped, until := frameTime-e.offset, e.until
		if i == len(t.epochs)-1 {
			until = now
		}
		off := max(e.from-stamped, stamped-until, 0) // how far outside
		if best == nil || off < nearest || off == nearest && (off > 0 || stamped >= latest) {
			best, latest, nearest = e, stamped, off
		}
	}
	if best == nil {
		return 0, aggregate.ClockUnknown
	}
	return best.offset, best.clock
}

// tell queues an event for the subscribers.
func (t *timeline) tell(e Event) {
	if len(t.events) < maxEvents {
		t.events = append(t.events, e)
	}
}

// distance is |a-b|.
func distance(a, b int64) int64 {
	if a < b {
		return b - a
	}
	return a - b
}
