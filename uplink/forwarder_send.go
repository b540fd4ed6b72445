package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// errReleased says that a group is not to be tried again as it is: the backlog
// waits for the live data, and live data that has become old for what is newer.
var errReleased = errors.New("released")

// deliver sends the group until the receiver has all of it but the poison.
func (f *Forwarder) deliver(ctx context.Context) error {
	for {
		_, err := f.send(ctx, f.group.delivered, len(f.group.records))
		if err == nil {
			err = f.settleSuspects()
		}
		if !errors.Is(err, errRefusing) {
			return err
		}
		f.acquit()
		if err := f.failed(ctx, err); err != nil {
			return err
		}
		if f.stale() {
			return errReleased
		}
	}
}

// send sends records[from:to] and returns where they end after those that were
// refused are taken out. Where the sink says that there are some, but not which,
// it looks for them in the halves, the first one first, or in a few samples.
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
	switch {
	case len(poison) > 0:
	case to-from == 1:
		poison[from] = true
	case f.credit == 0 && f.transactional == nil:
		if to, err = f.sample(ctx, from, to); err != nil {
			return to, err
		}
		return f.send(ctx, from, to)
	default:
		middle := from + (to-from)/2
		end, err := f.send(ctx, from, middle)
		if err != nil {
			return end, err
		}
		return f.send(ctx, end, to-(middle-end))
	}
	f.suspect(poison, err)
	if n := len(f.group.suspects); to-from == 1 && n > f.credit && f.credit > 0 {
		return from, f.refusing(n, err)
	}
	return f.send(ctx, from, to-len(poison))
}

// sample tries records of records[from:to] alone until the sink accepts one: a few
// drawn at random, so that it is not always the same ones of a window, or more of
// the first ones where the order is strict. It returns where they end without
// those that were tried.
func (f *Forwarder) sample(ctx context.Context, from, to int) (end int, err error) {
	most := maxProbes
	if f.o.Order == InOrder {
		most = maxCredit
	}
	var tried []suspect
	for from < to {
		i := from
		if f.o.Order != InOrder {
			i += rand.IntN(to - from)
		}
		err := f.try(ctx, i, i+1)
		switch {
		case err == nil:
			// Whatever was the matter with those before may be over.
			f.group.take(i)
			f.group.putBack(tried)
			return to - 1 + len(tried), nil
		case !IsPermanent(err):
			return to, err
		}
		tried = append(tried, f.takeOut(map[int]bool{i: true}, err)...)
		to--
		if isDropped(err) || len(tried) == most || from == to {
			f.group.suspects = append(f.group.suspects, tried...)
			if isDropped(err) {
				f.accepted()
				return to, nil
			}
			return to, f.refusing(len(f.group.suspects), err)
		}
	}
	return to, nil
}

// try sends records[from:to], of which the receiver has those before from, until
// that succeeds, or fails in a way that trying again does not cure, or time is
// up.
func (f *Forwarder) try(ctx context.Context, from, to int) error {
	g := f.group
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
					f.delivered(from, to, reached)
					return nil
				case refused != nil:
					f.refused(refused)
					return refused
				case f.stale():
					return errReleased
				}
				continue
			}
		} else {
			start := time.Now()
			switch {
			case g.wait != nil: // all of it is under way
				err = g.wait()
				g.wait = nil
			case position == nil:
				err = f.sink.Send(ctx, g.records[from:to])
			default:
				err = f.transactional.SendAt(ctx, g.records[from:to], g.lane.Name, position)
			}
			if err != nil {
				f.forsake()
			}
			switch {
			case err == nil:
				size := int(float64(g.bytes) * float64(to-from) / float64(len(g.records)))
				f.charge(size)
				f.pace.took(size, time.Since(start), f.o.MaxBytes)
				f.delivered(from, to, reached)
				return nil
			case IsPermanent(err) && position == nil:
				f.charge(0)
				f.refused(err)
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

// take takes a record out of the group that the receiver has.
func (g *group) take(i int) {
	if g.delivered > i {
		g.delivered--
	}
	g.records = slices.Delete(g.records, i, i+1)
	g.origins = slices.Delete(g.origins, i, i+1)
}

// stale reports whether the group should be left for something newer.
func (f *Forwarder) stale() bool {
	g := f.group
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

// delivered notes that the receiver has records[from:to].
func (f *Forwarder) delivered(from, to int, reached partial) {
	g := f.group
	if from == g.delivered {
		g.delivered = to
	}
	f.up()
	f.stats.sent(g, g.records[from:to])
	f.accepted()
	g.begun, g.lane.partial = true, reached
}

// refused notes that the sink has refused records for good. It is up all the
// same, unless it accepts nothing.
func (f *Forwarder) refused(err error) {
	if f.credit > 0 || isDropped(err) {
		f.up()
	}
}

// up notes that the sink is.
func (f *Forwarder) up() {
	if n := f.backoff.Tries(); n > 0 {
		f.logger.Info("sink is up", "sink", f.o.Name, "after", time.Since(f.backoff.Failing()).Round(time.Millisecond), "tries", n+1)
	}
	f.backoff.Succeeded(time.Now())
	f.stats.up()
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
