package histogram

import "math"

// Slab is memory that counts are cut from. The zero value is empty and grows.
type Slab struct{ counts []uint64 }

// Cut returns n zeroes. When the memory is used up a larger piece takes its
// place; what was cut from the old one stays valid.
func (s *Slab) Cut(n int) []uint64 {
	used := len(s.counts)
	if used+n > cap(s.counts) {
		s.counts = make([]uint64, 0, max(2*cap(s.counts), n, 256))
		used = 0
	}
	s.counts = s.counts[:used+n]
	cut := s.counts[used : used+n : used+n]
	clear(cut)
	return cut
}

// Reset takes all memory back.
func (s *Slab) Reset() { s.counts = s.counts[:0] }

// Builder makes histograms of whole columns of values at once. It holds scratch
// memory: one a goroutine.
type Builder struct {
	indexes []int32
}

// Single makes h, which must be empty, the histogram of one value, count times.
// Like Add it ignores what is not finite.
func (h *Histogram) Single(x float64, count uint64, slab *Slab) {
	switch {
	case x == 0:
		h.Zero = count
		return
	case math.IsNaN(x) || math.IsInf(x, 0):
		return
	}
	counts := slab.Cut(1)
	counts[0] = count
	if x > 0 {
		h.Positive = Buckets{Index(x), counts}
	} else {
		h.Negative = Buckets{Index(x), counts}
	}
}

// Build makes h, which must be empty, the histogram of values with their
// weights. All are finite, and low and high are the lowest and highest of them.
func (b *Builder) Build(h *Histogram, values []float64, weights []uint32, low, high float64, slab *Slab) {
	switch {
	case low > 0:
		h.Scale, h.Positive = oneSign(values, weights, Index(low), Index(high), slab)
	case high < 0:
		h.Scale, h.Negative = oneSign(values, weights, Index(high), Index(low), slab)
	default:
		b.anySign(h, values, weights, slab)
	}
}

// shiftToFit is how many scales coarser than MaxScale first to last span no
// more than MaxBuckets.
func shiftToFit(first, last int32) (shift uint) {
	for last>>shift-first>>shift >= MaxBuckets {
		shift++
	}
	return shift
}

// smallest is the index of the smallest normal number.
const smallest = -1022 << MaxScale

func oneSign(values []float64, weights []uint32, first, last int32, slab *Slab) (int8, Buckets) {
	shift := shiftToFit(first, last)
	first, last = first>>shift, last>>shift
	counts := slab.Cut(int(last-first) + 1)
	weights = weights[:len(values)]
	switch {
	case len(counts) == 1:
		for _, w := range weights {
			counts[0] += uint64(w)
		}
	case first<<shift < smallest: // some of them subnormal
		for i, x := range values {
			counts[Index(x)>>(shift&31)-first] += uint64(weights[i])
		}
	default:
		for i, x := range values {
			counts[index(math.Float64bits(x)&^(1<<63))>>(shift&31)-first] += uint64(weights[i])
		}
	}
	return int8(MaxScale - int(shift)), Buckets{first, counts}
}

func (b *Builder) anySign(h *Histogram, values []float64, weights []uint32, slab *Slab) {
	if cap(b.indexes) < len(values) {
		b.indexes = make([]int32, max(256, 2*len(values)))
	}
	indexes := b.indexes[:len(values)]
	const none = 1 << 30
	firstPositive, lastPositive := int32(none), int32(-none)
	firstNegative, lastNegative := int32(none), int32(-none)
	for i, x := range values {
		switch {
		case x > 0:
			n := Index(x)
			indexes[i] = n
			firstPositive, lastPositive = min(firstPositive, n), max(lastPositive, n)
		case x < 0:
			n := Index(x)
			indexes[i] = n
			firstNegative, lastNegative = min(firstNegative, n), max(lastNegative, n)
		default:
			h.Zero += uint64(weights[i])
		}
	}
	var shift uint
	if firstPositive != none {
		shift = shiftToFit(firstPositive, lastPositive)
	}
	if firstNegative != none {
		shift = max(shift, shiftToFit(firstNegative, lastNegative))
	}
	h.Scale = int8(MaxScale - int(shift))
	if firstPositive != none {
		h.Positive = Buckets{firstPositive >> shift, slab.Cut(int(lastPositive>>shift-firstPositive>>shift) + 1)}
	}
	if firstNegative != none {
		h.Negative = Buckets{firstNegative >> shift, slab.Cut(int(lastNegative>>shift-firstNegative>>shift) + 1)}
	}
	for i, x := range values {
		switch {
		case x > 0:
			h.Positive.Counts[indexes[i]>>shift-h.Positive.Offset] += uint64(weights[i])
		case x < 0:
			h.Negative.Counts[indexes[i]>>shift-h.Negative.Offset] += uint64(weights[i])
		}
	}
}
