package aggregate

import (
	"math"

	"milepost/aggregate/histogram"
)

// Constant makes s the summary of count samples of one raw value.
func (s *Summary) Constant(series *Series, raw int64, count uint64, slab *histogram.Slab) {
	*s = Summary{Count: count, Min: raw, Max: raw, First: raw, Last: raw, Histogram: histogram.New()}
	if series.Kind == Float {
		var sum expansion
		sum.addProduct(math.Float64frombits(uint64(raw)), count)
		s.Sum.Terms = sum.canonical()
	} else {
		s.Sum.addProduct(series.Kind, raw, count)
	}
	s.Histogram.Single(series.Physical(raw), count, slab)
}
