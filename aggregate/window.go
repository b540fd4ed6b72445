package aggregate

import (
	"sync"

	"milepost/aggregate/histogram"
)

// Window holds the summaries of one tumbling window.
type Window struct {
	// Start is the beginning of the window, inclusive, and Duration its length,
	// both in nanoseconds; Start counts from the Unix epoch, UTC, and is a
	// multiple of Duration.
	Start, Duration int64
	// Revision is 0 for a window's regular summaries. Samples that come after
	// their window was closed are summarised apart, as a correction with a
	// Revision of its own; adding it to what was sent before gives the whole.
	Revision uint32
	// Stamp is the clock under which the window's first samples got their times.
	// When a clock is set within a window the samples after that have another one,
	// but Start is then wrong for them by less than Duration.
	Stamp
	// Groups are the groups that had samples, in the order of Group.Compare.
	Groups []GroupSummary

	// Memory that Groups[i].Summaries and their histograms' counts are cut from.
	summarySlab []Summary
	countSlab   histogram.Slab
}

// released holds the memory of windows for reuse. A sync.Pool would not do:
// windows are mostly filled by one goroutine and released by another, and it is
// emptied by each garbage collection, of which it would then cause many.
var released struct {
	sync.Mutex
	windows []*Window
}

// maxReleased bounds the memory that is kept.
const maxReleased = 32

// NewWindow returns an empty window, with the memory of a released one if there
// is any.
func NewWindow(start, duration int64, revision uint32) *Window {
	var w *Window
	released.Lock()
	if n := len(released.windows); n > 0 {
		w = released.windows[n-1]
		released.windows = released.windows[:n-1]
	}
	released.Unlock()
	if w == nil {
		w = new(Window)
	}
	w.Start, w.Duration, w.Revision, w.Stamp = start, duration, revision, Stamp{}
	return w
}

// Release gives the window's memory back. Nothing of it may be used any more,
// nor of a window that was merged into it.
func (w *Window) Release() {
	clear(w.Groups)
	w.Groups = w.Groups[:0]
	w.summarySlab = w.summarySlab[:0]
	w.countSlab.Reset()
	released.Lock()
	if len(released.windows) < maxReleased {
		released.windows = append(released.windows, w)
	}
	released.Unlock()
}

// AddGroup appends a group with empty summaries, which the caller fills in.
func (w *Window) AddGroup(g *Group) []Summary {
	summaries := cut(&w.summarySlab, len(g.Series))
	for i := range summaries { // the memory may be that of an earlier window
		summaries[i].Count, summaries[i].Absent = 0, false
	}
	w.Groups = append(w.Groups, GroupSummary{g, summaries})
	return summaries
}

// cut takes n elements from a slab; when it is used up a larger one takes its
// place, and what was cut from the old one stays valid.
func cut[T any](slab *[]T, n int) []T {
	used := len(*slab)
	if used+n > cap(*slab) {
		*slab = make([]T, 0, max(2*cap(*slab), n, 64))
		used = 0
	}
	*slab = (*slab)[:used+n]
	return (*slab)[used : used+n : used+n]
}

// GroupSummary holds the summaries of a group's series in a window.
type GroupSummary struct {
	Group *Group
	// Summaries are parallel to Group.Series; Count is 0 where a series had no
	// samples (see Summary.Absent).
	Summaries []Summary
}

// Merge adds the samples of later, a part of the same window that arrived
// after w. The Stamp remains that of w.
func (w *Window) Merge(later *Window) {
	merged := make([]GroupSummary, 0, max(len(w.Groups), len(later.Groups)))
	a, b := w.Groups, later.Groups
	for len(a) > 0 && len(b) > 0 {
		switch order := a[0].Group.Compare(b[0].Group); {
		case order < 0:
			merged, a = append(merged, a[0]), a[1:]
		case order > 0:
			merged, b = append(merged, b[0]), b[1:]
		default:
			for i := range a[0].Summaries {
				a[0].Summaries[i].Merge(&a[0].Group.Series[i], &b[0].Summaries[i])
			}
			merged, a, b = append(merged, a[0]), a[1:], b[1:]
		}
	}
	w.Groups = append(append(merged, a...), b...)
}

// Samples is the number of samples in the window.
func (w *Window) Samples() uint64 {
	var n uint64
	for i := range w.Groups {
		for j := range w.Groups[i].Summaries {
			n += w.Groups[i].Summaries[j].Count
		}
	}
	return n
}

// DropGroup takes back the group that was added last.
func (w *Window) DropGroup() { w.Groups = w.Groups[:len(w.Groups)-1] }
