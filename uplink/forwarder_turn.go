package uplink

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"milepost/uplink/spool"
)

// next waits until there is something to send, and gathers it. It returns
// spool.ErrEnd when there never will be.
func (f *Forwarder) next(ctx context.Context) error {
	if f.promote() {
		return nil
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		f.look(time.Now())
		if found, err := f.choose(ctx, false); found || err != nil {
			return err
		}
		// Before it waits, each queue has to have been asked in vain.
		f.turn = 0
		if found, err := f.choose(ctx, true); found || err != nil {
			return err
		}
		if f.ended() {
			return spool.ErrEnd
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
}

// look notes how far every queue goes.
func (f *Forwarder) look(now time.Time) {
	if f.o.Order == InOrder {
		return
	}
	for _, l := range f.lanes {
		l.pending = l.Queue.Pending(l.pending[:0])
		end := max(l.front, 1) - 1
		if n := len(l.pending); n > 0 {
			end = max(end, l.pending[n-1].To)
		}
		l.look(now, end, f.o.Fresh)
	}
}

// choose gathers what is to be sent next, and says whether there is anything.
//
// It goes in rounds. A round looks at the live data of one class after the other,
// the highest first, and then at the backlog. It goes on from a class when that
// is sent up to its end, whether there is new live data by then or not: at a link
// with long round trips there always is. After a group that was not up to the
// end, the higher classes are looked at again. As no group takes the link for
// long, live data waits for little even where the link can hardly carry it.
func (f *Forwarder) choose(ctx context.Context, arm bool) (found bool, err error) {
	for f.turn < len(f.lanes) {
		l := f.lanes[f.turn]
		found, err := f.from(ctx, l, func(now time.Time) (bool, error) { return f.gatherLive(l, now, arm) })
		switch {
		case err != nil:
			return false, err
		case found && !f.group.complete:
			f.turn = 0
			return true, nil
		}
		f.turn++
		if found {
			return true, nil
		}
	}
	f.turn = 0
	if f.o.Order == InOrder || f.o.Budget.backlogWait(time.Now()) > 0 {
		return false, nil
	}
	for _, l := range f.lanes {
		if found, err := f.from(ctx, l, func(time.Time) (bool, error) { return f.gatherBacklog(l) }); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// from gathers from a lane, unless its disk or its budget forbids it.
func (f *Forwarder) from(ctx context.Context, l *lane, gather func(now time.Time) (bool, error)) (found bool, err error) {
	now := time.Now()
	if now.Before(l.retryAt) || l.Priority < f.o.Budget.least(now) {
		l.armed = false // it may have more by now
		return false, nil
	}
	if f.transactional != nil && !l.settled {
		if err := f.settle(ctx, l); err != nil {
			return false, err
		}
	}
	if l.partial.entry != 0 {
		found, err = true, f.gatherPartial(l)
	} else {
		found, err = gather(now)
	}
	if err == nil {
		l.retryAt = time.Time{}
		if l.backoff.Tries() > 0 {
			l.backoff.Succeeded(now)
		}
		return found, nil
	}
	f.group.reset(nil)
	return false, f.queueFailed(l, err)
}

// ended reports whether there is nothing left, and nothing to come.
func (f *Forwarder) ended() bool {
	least := f.o.Budget.least(time.Now())
	for _, l := range f.lanes {
		if !l.ended || !l.retryAt.IsZero() || l.Priority < least {
			return false
		}
		if f.o.Order != InOrder {
			l.pending = l.Queue.Pending(l.pending[:0])
			if len(l.pending) > 0 && l.pending[0].From < l.front {
				return false
			}
		}
	}
	return true
}

// lookAgain is how long a budget that is used up goes unlooked at, as the clock
// may be set.
const lookAgain = time.Minute

// wait waits until there may be something to send.
func (f *Forwarder) wait(ctx context.Context) error {
	now := time.Now()
	pause := time.Duration(math.MaxInt64)
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
	for _, l := range f.lanes {
		if l.armed {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(l.Queue.Ready())})
		}
		if now.Before(l.retryAt) {
			pause = min(pause, l.retryAt.Sub(now))
		}
		if l.Priority < f.o.Budget.least(now) {
			pause = min(pause, lookAgain)
		}
	}
	if f.o.Order != InOrder {
		if w := f.o.Budget.backlogWait(now); w > 0 {
			pause = min(pause, w)
		}
	}
	if pause < math.MaxInt64 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(timer.C)})
	}
	reflect.Select(cases)
	now = time.Now()
	for _, l := range f.lanes {
		if l.armed {
			l.idle(now) // until Ready told otherwise
		}
	}
	return ctx.Err()
}

// queueFailed notes that a queue cannot be read. It is tried again later, like a
// sink; meanwhile the others are served. The error says that it is hopeless.
func (f *Forwarder) queueFailed(l *lane, cause error) error {
	if errors.Is(cause, spool.ErrClosed) {
		return fmt.Errorf("%s: %w", f.o.Name, cause)
	}
	now := time.Now()
	pause := l.backoff.Failed(now, nil)
	if l.backoff.Tries() == 1 {
		f.logger.Warn("the queue cannot be read", "sink", f.o.Name, "queue", l.Name, "cause", cause)
	}
	f.stats.queueFailed(cause)
	if f.o.GiveUp > 0 {
		left := f.o.GiveUp - now.Sub(l.backoff.Failing())
		if left <= 0 {
			return fmt.Errorf("%s: read the queue: given up after %d tries in %v: %w", f.o.Name, l.backoff.Tries(), f.o.GiveUp, cause)
		}
		pause = min(pause, left)
	}
	l.retryAt = now.Add(pause)
	return nil
}
