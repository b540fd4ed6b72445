package gateway

import (
	"slices"
	"time"

	"milepost/aggregate"
)

// baseWindow is the length of the windows in which a live bus is collected: at
// most a second, of which the configured ones consist. A lane need hold no more
// payloads than that.
func baseWindow(window time.Duration) time.Duration {
	n := (window + time.Second - 1) / time.Second
	for window%n != 0 {
		n++
	}
	return window / n
}

// widener puts the windows of an intake together to longer ones.
type widener struct {
	window   int64
	open     *aggregate.Window
	revision uint32              // of the windows that open consists of
	parts    []*aggregate.Window // merged into it
	touched  time.Time           // when the last of them came
	late     uint32              // corrections of our own

	// Every window of a revision that begins before passed was emitted: of the
	// regular ones, and of those since the clock was set back last.
	passed      int64
	passedAgain int64
	againOf     uint32
}

// add takes a window of the intake.
func (w *widener) add(part *aggregate.Window, emit func(*aggregate.Window)) {
	start, revision := part.Start-(part.Start%w.window+w.window)%w.window, part.Revision
	part.Start, part.Duration = start, w.window
	w.touched = time.Now()
	same := w.open != nil && w.open.Start == start && w.revision == revision
	switch {
	case revision%2 != 0: // a late frame's: there may be several in a window
		w.correct(part)
		emit(part)
	case same && mergeable(w.open, part):
		w.open.Merge(part)
		w.parts = append(w.parts, part)
	case same: // the databases have changed
		w.emit(emit)
		w.correct(part)
		w.open, w.revision = part, revision
	case w.gone(start, revision): // emitted while the bus was silent, or before the clock was set back
		w.correct(part)
		emit(part)
	default:
		w.emit(emit)
		w.open, w.revision = part, revision
	}
}

// correct makes a window a correction that no other is the same as.
func (w *widener) correct(part *aggregate.Window) {
	w.late++
	part.Revision = 1<<31 | w.late
}

// gone says whether a window was emitted already.
func (w *widener) gone(start int64, revision uint32) bool {
	if revision == 0 {
		return start < w.passed
	}
	return revision == w.againOf && start < w.passedAgain
}

// mergeable says whether the groups that both windows have are of the same series.
func mergeable(a, b *aggregate.Window) bool {
	i, j := 0, 0
	for i < len(a.Groups) && j < len(b.Groups) {
		g, h := a.Groups[i].Group, b.Groups[j].Group
		switch order := g.Compare(h); {
		case order < 0:
			i++
		case order > 0:
			j++
		case g != h && !slices.Equal(g.Series, h.Series):
			return false
		default:
			i, j = i+1, j+1
		}
	}
	return true
}

// pass emits the open window if its time has passed, or if there will be no more.
// Its time has passed, too, when nothing came for as long as it is: the clock may
// have been set back since.
func (w *widener) pass(now int64, last bool, emit func(*aggregate.Window)) {
	const grace = 2 * time.Second
	if w.open != nil && (last || now >= w.open.Start+w.window+int64(grace) || time.Since(w.touched) > time.Duration(w.window)+grace) {
		w.emit(emit)
	}
}

func (w *widener) emit(emit func(*aggregate.Window)) {
	if w.open == nil {
		return
	}
	emit(w.open)
	if end := w.open.Start + w.window; w.revision == 0 {
		w.passed = max(w.passed, end)
	} else {
		w.passedAgain, w.againOf = end, w.revision
	}
	w.open, w.parts = nil, nil
}
