package aggregate

import (
	"math"

	"milepost/aggregate/histogram"
)

// Constant makes s the summary of count samples of one raw value, with the
// counts of its histogram in memory from alloc, which returns n zeroes.
func (s *Summary) Constant(series *Series, raw int64, count uint64, alloc func(n int) []uint64) {
	*s = Summary{Count: count, Min: raw, Max: raw, First: raw, Last: raw, Histogram: histogram.New()}
	if series.Kind == Float {
		var sum expansion
		sum.addProduct(math.Float64frombits(uint64(raw)), count)
		s.Sum.Terms = sum.canonical()
	} else {
		s.Sum.addProduct(series.Kind, raw, count)
	}
	var b histogram.Builder
	b.Single(&s.Histogram, series.Physical(raw), count, alloc)
}
