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
	window int64
	open   *aggregate.Window
	parts  []*aggregate.Window // merged into it
	passed int64               // every regular window that begins before it was emitted
	late   uint32
}

// add takes a window of the intake.
func (w *widener) add(part *aggregate.Window, emit func(*aggregate.Window)) {
	start := part.Start - (part.Start%w.window+w.window)%w.window
	part.Start, part.Duration = start, w.window
	switch {
	case part.Revision != 0:
		emit(part)
	case w.open != nil && w.open.Start == start && mergeable(w.open, part):
		w.open.Merge(part)
		w.parts = append(w.parts, part)
	case w.open != nil && w.open.Start == start:
		// The databases have changed: what comes now is a correction of its own.
		w.emit(emit)
		w.late++
		part.Revision = 1<<31 | w.late
		w.open = part
	case w.open == nil && start < w.passed:
		// Its window was emitted while the bus was silent.
		w.late++
		part.Revision = 1<<31 | w.late
		emit(part)
	default:
		w.emit(emit)
		w.open = part
	}
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
func (w *widener) pass(now int64, last bool, emit func(*aggregate.Window)) {
	if w.open != nil && (last || now >= w.open.Start+w.window+int64(2*time.Second)) {
		w.emit(emit)
	}
}

func (w *widener) emit(emit func(*aggregate.Window)) {
	if w.open == nil {
		return
	}
	emit(w.open)
	w.passed = w.open.Start + w.window
	w.open, w.parts = nil, nil
}
