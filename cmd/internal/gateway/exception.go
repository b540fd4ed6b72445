package gateway

import (
	"slices"

	"milepost/aggregate"
)

// exceptionFilter reports by exception: a summary that is equal to the last one
// sent is left out. In the first window of every refresh period, and in
// corrections, everything is sent, so that a reader can rebuild every second.
type exceptionFilter struct {
	refresh int64
	last    map[*aggregate.Group]*sentGroup
}

type sentGroup struct {
	period    int64
	summaries []aggregate.Summary
}

func newExceptionFilter(refresh int64) *exceptionFilter {
	if refresh <= 0 {
		return nil
	}
	return &exceptionFilter{refresh: refresh, last: make(map[*aggregate.Group]*sentGroup)}
}

// apply empties the summaries that need not be sent and returns how many.
func (f *exceptionFilter) apply(w *aggregate.Window) (suppressed uint64) {
	if w.Revision != 0 {
		return 0
	}
	period := w.Start / f.refresh
	for i := range w.Groups {
		g := &w.Groups[i]
		sent := f.last[g.Group]
		if sent == nil {
			sent = &sentGroup{period: period - 1, summaries: make([]aggregate.Summary, len(g.Summaries))}
			f.last[g.Group] = sent
		}
		full := sent.period != period
		sent.period = period
		for j := range g.Summaries {
			s, last := &g.Summaries[j], &sent.summaries[j]
			switch {
			case s.Count == 0:
			case !full && equal(s, last):
				s.Count = 0
				suppressed++
			default:
				keep(last, s)
			}
		}
	}
	return suppressed
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
