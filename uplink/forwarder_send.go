package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// errReleased says that a group is not to be tried again as it is: the backlog
// waits for the live data, and live data that has become old for what is newer.
var errReleased = errors.New("released")

// deliver sends the group until the receiver has all of it but the poison.
func (f *Forwarder) deliver(ctx context.Context) error {
	_, err := f.send(ctx, 0, len(f.group.records))
	return err
}

// send sends records[from:to] and returns where they end after the poison among
// them was removed. Where the sink says that there is some, but not which, it
// looks for it in the halves, the first one first.
func (f *Forwarder) send(ctx context.Context, from, to int) (end int, err error) {
	if from >= to {
		return to, nil
	}
	err = f.try(ctx, from, to)
	if err == nil || !IsPermanent(err) {
		return to, err
	}
	poison := make(map[int]bool)
	for _, i := range Poisoned(err) {
		if 0 <= i && i < to-from {
			poison[from+i] = true
		}
	}
	if len(poison) == 0 && to-from > 1 {
		middle := from + (to-from)/2
		end, err := f.send(ctx, from, middle)
		if err != nil {
			return end, err
		}
		return f.send(ctx, end, to-(middle-end))
	}
	if len(poison) == 0 {
		poison[from] = true
	}
	f.remove(poison, err)
	return f.send(ctx, from, to-len(poison))
}

// try sends records[from:to], of which the receiver has those before from, until
// that succeeds, or fails in a way that trying again does not cure, or time is
// up.
func (f *Forwarder) try(ctx context.Context, from, to int) error {
	g := &f.group
	var position []byte // to be committed with the records
	var reached partial
	if f.transactional != nil {
		var err error
		if position, reached, err = f.positionAt(to); err != nil {
			return err
		}
	}
	doubt := false    // whether the transaction was committed
	var refused error // what the sink said about the records
	for {
		select {
		case <-f.retry: // this is the try that was asked for
		default:
		}
		var err error
		if doubt {
			// Whatever the error was, the transaction may have been committed.
			var committed []byte
			committed, err = f.transactional.Position(ctx, g.lane.Name)
			f.charge(0)
			if err == nil {
				doubt = false
				switch {
				case bytes.Equal(committed, position):
					f.succeeded(g.records[from:to])
					g.begun, g.lane.partial = true, reached
					return nil
				case refused != nil:
					f.succeeded(nil)
					return refused
				case f.stale():
					return errReleased
				}
				continue
			}
		} else {
			start := time.Now()
			if position == nil {
				err = f.sink.Send(ctx, g.records[from:to])
			} else {
				err = f.transactional.SendAt(ctx, g.records[from:to], g.lane.Name, position)
			}
			switch {
			case err == nil:
				size := int(float64(g.bytes) * float64(to-from) / float64(len(g.records)))
				f.charge(size)
				f.pace.took(size, time.Since(start), f.o.MaxBytes)
				f.succeeded(g.records[from:to])
				g.begun, g.lane.partial = true, reached
				return nil
			case IsPermanent(err) && position == nil:
				f.charge(0)
				f.succeeded(nil)
				return err
			case IsPermanent(err):
				f.charge(0)
				refused, doubt = err, true
				continue
			}
			f.charge(0)
			doubt = position != nil
		}
		if err := f.failed(ctx, err); err != nil {
			return err
		}
		if !doubt && f.stale() {
			return errReleased
		}
	}
}

// stale reports whether the group should be left for something newer.
func (f *Forwarder) stale() bool {
	g := &f.group
	switch {
	case f.o.Order == InOrder || g.begun || g.lane.partial.entry != 0:
		return false
	case g.live:
		return g.lane.waited(time.Now()) > f.o.Fresh
	}
	return true
}

// charge counts what has gone over the wire: payload bytes if the sink does not
// know it better.
func (f *Forwarder) charge(payload int) {
	n := uint64(payload)
	if f.traffic != nil {
		sent, received := f.traffic()
		n = sent + received - f.trafficSeen
		f.trafficSeen += n
	}
	f.stats.charged(n)
	f.o.Budget.charge(time.Now(), n, f.group.lane != nil && !f.group.live)
}

// succeeded notes that the sink has accepted records, or refused some for good:
// in any case that it is up.
func (f *Forwarder) succeeded(records []Record) {
	if n := f.backoff.Tries(); n > 0 {
		f.logger.Info("sink is up", "sink", f.o.Name, "after", time.Since(f.backoff.Failing()).Round(time.Millisecond), "tries", n+1)
	}
	f.backoff.Succeeded(time.Now())
	f.stats.up()
	if len(records) > 0 {
		f.stats.sent(&f.group, records)
	}
}

// failed notes that the sink has failed and waits until the next try. Its error
// says that there will be none.
func (f *Forwarder) failed(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(cause, ErrGone) {
		return f.hopeless(cause)
	}
	now := time.Now()
	if f.o.Clock != nil {
		cause = explainClock(cause, f.o.Clock(), now)
	}
	pause := f.backoff.Failed(now, cause)
	if f.backoff.Tries() == 1 {
		f.logger.Warn("sink is down", "sink", f.o.Name, "cause", cause)
	}
	f.pace = pace{} // the link may come back as another one
	if f.o.GiveUp > 0 {
		left := f.o.GiveUp - now.Sub(f.backoff.Failing())
		if left <= 0 {
			f.stats.down(cause, time.Time{})
			return f.hopeless(fmt.Errorf("given up after %d tries in %v: %w", f.backoff.Tries(), f.o.GiveUp, cause))
		}
		pause = min(pause, left)
	}
	f.stats.down(cause, now.Add(pause))
	retry := f.retry
	if retryAfter(cause) > 0 {
		retry = nil // the receiver knows why it asks for the pause
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-retry:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hopeless is the error of Run when the sink is beyond hope.
func (f *Forwarder) hopeless(cause error) error {
	s := f.stats.snapshot()
	return fmt.Errorf("%s: %d records that were read (and whatever else is queued) are not acknowledged: %w", f.o.Name, s.Pending, cause)
}
