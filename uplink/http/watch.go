package http

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// minProgress is how much of an answer has to arrive in an AnswerTimeout, in
// bytes: less is a server that will not come to an end.
const minProgress = 4 << 10

// phase of a request.
type phase uint8

const (
	sending   phase = iota // connecting included
	waiting                // for the answer
	receiving              // it
)

// watch cancels a request that no longer moves. Its methods are safe for
// concurrent use.
type watch struct {
	stall, answer time.Duration
	network       *network
	cancel        context.CancelCauseFunc

	mu    sync.Mutex
	phase phase
	last  uint64 // bytes counted at the begin of the period
	due   time.Time
	timer *time.Timer
	ended bool
}

// errStalled is wrapped by the cause with which a watch cancels.
var errStalled = errors.New("no progress for too long; the server or the link is stuck")

// newWatch returns a context that is cancelled when the request stops moving.
// The caller has to call end.
func newWatch(ctx context.Context, o *Options, n *network) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{stall: o.StallTimeout, answer: o.AnswerTimeout, network: n, cancel: cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.period(), w.check)
	w.begin()
	return ctx, w
}

// enter begins a phase. Phases follow one another, but for a request that is sent
// once more: the first byte of an answer may be seen before its request is known
// to be written.
func (w *watch) enter(p phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || p == w.phase || p < w.phase && p != sending {
		return
	}
	w.phase = p
	w.begin()
}

// begin begins a period. The caller holds the mutex.
func (w *watch) begin() {
	w.last = w.count()
	w.due = time.Now().Add(w.period())
	w.timer.Reset(w.period())
}

func (w *watch) period() time.Duration {
	if w.phase == sending {
		return w.stall
	}
	return w.answer
}

// count is what has to grow in the phase.
func (w *watch) count() uint64 {
	if w.phase == sending {
		return w.network.sent.Load()
	}
	return w.network.received.Load()
}

// check is called at the end of a period.
func (w *watch) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The timer may have fired while enter began another period.
	if w.ended || time.Now().Before(w.due) {
		return
	}
	moved := w.count() - w.last
	switch {
	case w.phase == sending && moved > 0, w.phase == receiving && moved >= minProgress:
		w.begin()
	case w.phase == sending:
		w.cancel(fmt.Errorf("nothing could be sent in %v: %w", w.stall, errStalled))
	case w.phase == waiting:
		w.cancel(fmt.Errorf("no answer in %v: %w", w.answer, errStalled))
	default:
		w.cancel(fmt.Errorf("%d bytes of the answer in %v: %w", moved, w.answer, errStalled))
	}
}

// end releases what the watch holds.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
	w.cancel(nil)
}
