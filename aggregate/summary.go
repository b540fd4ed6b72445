package aggregate

import (
	"math"

	"milepost/aggregate/histogram"
)

// Summary is what is kept of a series' samples in a window. All values are raw;
// Series.Physical and the methods of Value convert them.
type Summary struct {
	// Count is the number of samples. With none the other fields but Absent mean
	// nothing.
	Count uint64
	// Sum is their exact sum.
	Sum Sum
	// Min and Max are the smallest and largest raw value, First and Last those
	// that arrived first and last.
	Min, Max, First, Last int64
	// Histogram counts the physical values.
	Histogram histogram.Histogram
	// Absent marks a Summary of no samples as one to be told: the series had
	// samples before, and from this window on it has none. Only who reports by
	// exception sets it; elsewhere a Count of 0 is nothing to tell.
	Absent bool
}

// Merge adds the samples of later, which arrived after those of s. Up to the
// order in time that First and Last tell, merging is associative and
// commutative to the bit.
func (s *Summary) Merge(series *Series, later *Summary) {
	switch {
	case later.Count == 0:
		return
	case s.Count == 0:
		*s = later.clone()
		return
	}
	s.Count += later.Count
	s.Sum.merge(&later.Sum)
	if series.Kind.less(later.Min, s.Min) {
		s.Min = later.Min
	}
	if series.Kind.less(s.Max, later.Max) {
		s.Max = later.Max
	}
	s.Last = later.Last
	s.Histogram.Merge(&later.Histogram)
}

func (s *Summary) clone() Summary {
	c := *s
	c.Sum.Terms = append([]float64(nil), s.Sum.Terms...)
	c.Histogram.Positive.Counts = append([]uint64(nil), s.Histogram.Positive.Counts...)
	c.Histogram.Negative.Counts = append([]uint64(nil), s.Histogram.Negative.Counts...)
	return c
}

// Value is a Summary in physical units.
type Value struct {
	Min, Max, First, Last, Sum float64
}

// Avg is the arithmetic mean: Sum over count.
func (v *Value) Avg(count uint64) float64 { return v.Sum / float64(count) }

// Value converts the summary of a series. A negative factor swaps what is the
// smallest and what the largest.
func (s *Summary) Value(series *Series) Value {
	v := Value{
		Min:   series.Physical(s.Min),
		Max:   series.Physical(s.Max),
		First: series.Physical(s.First),
		Last:  series.Physical(s.Last),
		Sum:   s.Sum.physical(series.Kind, series.Factor, series.Offset, s.Count),
	}
	if v.Max < v.Min {
		v.Min, v.Max = v.Max, v.Min
	}
	if s.Min == s.Max && s.First == s.Min && s.Last == s.Min && !math.IsNaN(v.Min) {
		v.Sum = float64(v.Min * float64(s.Count))
	}
	return v
}
