package gateway

import (
	"slices"

	"milepost/aggregate"
)

// exceptionFilter reports by exception: a summary that is equal to the last one
// sent is left out. In the first window of every refresh period, after the clock
// was set, and in corrections, everything is sent. When a series has no samples in
// a window after one in which it had, that is sent once, as a summary that is
// Absent, and its next summary in any case. So a reader can always rebuild every
// second: docs/wire-format.md has the rule.
//
// Windows have to come one for each start, in order.
type exceptionFilter struct {
	refresh int64
	last    map[*aggregate.Group]*sentGroup
	order   []*sentGroup // in the order in which they came

	windows         uint64 // regular ones so far
	start, duration int64  // of the last one; duration is 0 if nothing is open behind it
	stamp           aggregate.Stamp
}

type sentGroup struct {
	group     *aggregate.Group
	window    uint64 // in which it had samples last
	period    int64
	stamp     aggregate.Stamp
	summaries []aggregate.Summary
	present   []bool // the series had samples in the last window
	number    int    // of the series that had
}

func newExceptionFilter(refresh int64) *exceptionFilter {
	if refresh <= 0 {
		return nil
	}
	return &exceptionFilter{refresh: refresh, last: make(map[*aggregate.Group]*sentGroup)}
}

// gap returns the window that has to be sent before w, where w does not follow on
// the last one: in it all series end. Nil if there is no gap, or nothing ends.
func (f *exceptionFilter) gap(w *aggregate.Window) *aggregate.Window {
	if w.Revision != 0 || w.Start == f.start+f.duration {
		return nil
	}
	return f.end()
}

// end returns the window behind the last one, in which all series end: for a gap,
// and for the end of everything. Nil if no series had samples.
func (f *exceptionFilter) end() *aggregate.Window {
	if f.duration == 0 {
		return nil
	}
	w := aggregate.NewWindow(f.start+f.duration, f.duration, 0)
	w.Stamp = f.stamp
	f.windows++
	f.duration = 0
	if f.endOthers(w); len(w.Groups) == 0 {
		w.Release()
		return nil
	}
	return w
}

// apply empties the summaries that need not be sent, returns how many, and marks
// the series that have ended.
func (f *exceptionFilter) apply(w *aggregate.Window) (suppressed uint64) {
	if w.Revision != 0 {
		return 0
	}
	f.windows++
	f.start, f.duration, f.stamp = w.Start, w.Duration, w.Stamp
	period := w.Start / f.refresh
	for i := range w.Groups {
		g := &w.Groups[i]
		sent := f.last[g.Group]
		if sent == nil {
			sent = f.begin(g.Group)
			sent.period = period - 1
		}
		full := sent.period != period || sent.stamp != w.Stamp
		sent.window, sent.period, sent.stamp = f.windows, period, w.Stamp
		for j := range g.Summaries {
			s, last := &g.Summaries[j], &sent.summaries[j]
			switch {
			case s.Count == 0:
				s.Absent = sent.end(j)
			case sent.present[j] && !full && equal(s, last):
				s.Count = 0
				suppressed++
			default:
				keep(last, s)
				if !sent.present[j] {
					sent.present[j] = true
					sent.number++
				}
			}
		}
	}
	f.endOthers(w)
	if f.windows%forgetWindows == 0 {
		f.forget()
	}
	return suppressed
}

// begin makes the state of a group. New databases bring groups that stand for the
// same series as former ones, and take their place: a reader knows the series by
// their names, and must not be told that one has ended that goes on.
func (f *exceptionFilter) begin(g *aggregate.Group) *sentGroup {
	n := len(g.Series)
	sent := &sentGroup{group: g, summaries: make([]aggregate.Summary, n), present: make([]bool, n)}
	for _, former := range f.order {
		if former.number == 0 || former.group.Compare(g) != 0 {
			continue
		}
		for i := range g.Series {
			for j := range former.group.Series {
				if former.group.Series[j].Name == g.Series[i].Name && former.end(j) {
					sent.present[i] = true
					sent.number++
				}
			}
		}
	}
	f.last[g] = sent
	f.order = append(f.order, sent)
	return sent
}

// forgetWindows is after how many windows groups are forgotten that had no samples
// in any of them: those of former databases never have again.
const forgetWindows = 256

func (f *exceptionFilter) forget() {
	f.order = slices.DeleteFunc(f.order, func(sent *sentGroup) bool {
		gone := sent.number == 0 && sent.window+forgetWindows <= f.windows
		if gone {
			delete(f.last, sent.group)
		}
		return gone
	})
}

// endOthers marks the series of the groups that the window does not have.
func (f *exceptionFilter) endOthers(w *aggregate.Window) {
	n := len(w.Groups)
	for _, sent := range f.order {
		if sent.window == f.windows || sent.number == 0 {
			continue
		}
		summaries := w.AddGroup(sent.group)
		for j := range summaries {
			summaries[j].Absent = sent.end(j)
		}
	}
	if len(w.Groups) > n {
		slices.SortStableFunc(w.Groups, func(a, b aggregate.GroupSummary) int { return a.Group.Compare(b.Group) })
	}
}

// end notes that a series has no samples, and reports whether it had some before.
func (g *sentGroup) end(series int) bool {
	if !g.present[series] {
		return false
	}
	g.present[series] = false
	g.number--
	return true
}

func equal(a, b *aggregate.Summary) bool {
	return a.Count == b.Count && a.Min == b.Min && a.Max == b.Max && a.First == b.First && a.Last == b.Last &&
		a.Sum.High == b.Sum.High && a.Sum.Low == b.Sum.Low && slices.Equal(a.Sum.Terms, b.Sum.Terms) &&
		a.Histogram.Scale == b.Histogram.Scale && a.Histogram.Zero == b.Histogram.Zero &&
		a.Histogram.Positive.Offset == b.Histogram.Positive.Offset && slices.Equal(a.Histogram.Positive.Counts, b.Histogram.Positive.Counts) &&
		a.Histogram.Negative.Offset == b.Histogram.Negative.Offset && slices.Equal(a.Histogram.Negative.Counts, b.Histogram.Negative.Counts)
}

// keep copies s into memory of its own.
func keep(last, s *aggregate.Summary) {
	positive, negative := last.Histogram.Positive.Counts, last.Histogram.Negative.Counts
	terms := last.Sum.Terms
	*last = *s
	last.Sum.Terms = append(terms[:0], s.Sum.Terms...)
	last.Histogram.Positive.Counts = append(positive[:0], s.Histogram.Positive.Counts...)
	last.Histogram.Negative.Counts = append(negative[:0], s.Histogram.Negative.Counts...)
}
