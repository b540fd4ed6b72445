package gateway

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"milepost/aggregate"
)

// closer summarises the windows that are complete, of all buses, and stores them.
type closer struct {
	live  *Live
	wake  chan struct{}
	store *Store
	beat  atomic.Int64 // as intake.beat

	windows    []*aggregate.Window
	wide       map[*intake]*widener
	exceptions map[*intake]*reporter
	suppressed uint64 // summaries that they left out
	err        error  // the first one of the store

	mu   sync.Mutex
	last Ledger // as of the last round
}

// gather is how long the closer waits for the windows of other buses when the
// first one is complete: together they take less room.
const gather = 50 * time.Millisecond

func newCloser(l *Live) *closer {
	c := &closer{live: l, wake: make(chan struct{}, 1), wide: make(map[*intake]*widener), exceptions: make(map[*intake]*reporter)}
	c.store = NewStore(l.spools, StoreOptions{
		Device: l.Device, Boot: l.Boot, Priorities: l.Priorities,
		Span: 1, // at the pace of life nobody waits for a batch to be full
	})
	return c
}

// signal says that a window is complete.
func (c *closer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// untilRound is how long it is until there should be a round even if nothing is
// known to be complete: once a second, when the windows of buses that fell silent
// are, and not sooner than half a second after the last one.
func untilRound() time.Duration {
	const at = rest/ticks + afterTick + gather
	wait := time.Second - time.Duration((wall()-int64(at))%int64(time.Second))
	if wait < time.Second/2 {
		wait += time.Second
	}
	return wait
}

// run closes windows until ctx is done. What is open then is left to finish.
func (c *closer) run(ctx context.Context) {
	timer := time.NewTimer(untilRound())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-c.wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		}
		c.round(false)
		c.beat.Store(int64(time.Since(started)))
		timer.Reset(untilRound())
	}
}

// finish closes and stores what is left. Everything that collects has ended.
func (c *closer) finish() error {
	c.round(true)
	c.live.reload.Lock()
	defer c.live.reload.Unlock()
	c.note(c.store.Flush(context.Background()))
	c.note(c.live.spools.Sync())
	return c.err
}

// round stores every window that is complete.
func (c *closer) round(last bool) {
	c.live.reload.Lock()
	defer c.live.reload.Unlock()
	for _, in := range c.live.intakes {
		emit := func(w *aggregate.Window) { c.report(in, w) }
		open := false
		if widen := c.widener(in); widen != nil {
			in.close(func(w *aggregate.Window) { widen.add(w, emit) })
			widen.pass(wall(), last, emit)
			open = widen.open != nil
		} else {
			in.close(emit)
		}
		if r := c.exceptions[in]; r != nil && !open && (last || r.silent()) {
			c.take(r.filter.end())
		}
	}
	slices.SortStableFunc(c.windows, func(a, b *aggregate.Window) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Revision, b.Revision))
	})
	for i := 0; i < len(c.windows); {
		// Parts of one window, from several buses, have no series in common.
		w, n := c.windows[i], i+1
		for w.Revision == 0 && n < len(c.windows) && c.windows[n].Start == w.Start && c.windows[n].Revision == 0 {
			w.Merge(c.windows[n])
			n++
		}
		c.note(c.store.Put(context.Background(), w))
		for _, part := range c.windows[i+1 : n] {
			part.Release()
		}
		i = n
	}
	c.windows = c.windows[:0]
	l := c.account()
	c.mu.Lock()
	c.last = l
	c.mu.Unlock()
}

// account is what became of everything so far.
func (c *closer) account() Ledger {
	var l Ledger
	for _, in := range c.live.intakes {
		in.addTo(&l)
	}
	c.store.addTo(&l)
	l.Summaries += c.suppressed
	l.Suppressed += c.suppressed
	return l
}

// reporter reports the windows of an intake by exception. Each intake has its own:
// its windows come in order, one for each start, which those of all together do not.
type reporter struct {
	filter *exceptionFilter
	seen   time.Time // when the last window came
}

// silent says that no window came for so long that every series has ended, which
// the reader should not learn from the next window only.
func (r *reporter) silent() bool {
	return time.Since(r.seen) > time.Duration(r.filter.duration)+2*time.Second
}

// report takes a window of an intake, without what need not be sent.
func (c *closer) report(in *intake, w *aggregate.Window) {
	if refresh := int64(c.live.Refresh); refresh > 0 {
		r := c.exceptions[in]
		if r == nil || r.filter.refresh != refresh {
			r = &reporter{filter: newExceptionFilter(refresh)}
			c.exceptions[in] = r
		}
		r.seen = time.Now()
		c.take(r.filter.gap(w))
		c.suppressed += r.filter.apply(w)
	} else {
		delete(c.exceptions, in)
	}
	c.take(w)
}

// take keeps a window, if there is one, until the end of the round.
func (c *closer) take(w *aggregate.Window) {
	if w != nil {
		c.windows = append(c.windows, w)
	}
}

// widener is what makes the windows of an intake as long as is configured; nil
// where they are.
func (c *closer) widener(in *intake) *widener {
	if in.options.Window == c.live.Window {
		return nil
	}
	if c.wide[in] == nil {
		c.wide[in] = &widener{window: int64(c.live.Window)}
	}
	return c.wide[in]
}

// note logs an error of the store: what cannot be stored is counted there.
func (c *closer) note(err error) {
	if err == nil {
		return
	}
	if c.err == nil {
		c.live.Logger.Error("a window cannot be stored", "cause", err)
	}
	c.err = cmp.Or(c.err, err)
}

// ledger is the account as of the last round.
func (c *closer) ledger() Ledger {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}
