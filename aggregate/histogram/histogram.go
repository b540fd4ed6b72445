// Package histogram is OpenTelemetry's base-2 exponential histogram: buckets
// whose bounds are powers of 2^(2^-scale), so that a value is known to a bounded
// relative error whatever its magnitude, without any configuration.
//
// A histogram is a function of the multiset of its values: the scale is the
// finest, from MaxScale downwards, at which MaxBuckets buckets span the
// positive values and MaxBuckets the negative ones. Merging is therefore exact,
// associative and commutative, to the bit.
//
// See https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram.
package histogram

import "math"

const (
	// MaxBuckets is the number of buckets for each sign.
	MaxBuckets = 160
	// MaxScale is the finest scale: 32 buckets a power of two, a relative error
	// of 1.08 %. Finer scales would cost bytes on the link and tell noise apart.
	MaxScale = 5
	// MinScale is the coarsest scale that any float64 can need: all magnitudes
	// from 2^-1074 to 2^1024 in MaxBuckets buckets.
	MinScale = -4
)

// Histogram counts values in exponential buckets. The zero value is not an
// empty histogram: Scale is 0 there; use New or Reset.
//
// It is canonical: the first and the last count of each sign are not zero, and
// Scale is MaxScale where there is no value but zero.
type Histogram struct {
	// Scale s makes the base 2^(2^-s).
	Scale int8
	// Zero counts the values that are zero.
	Zero uint64
	// Positive and Negative count the others by their magnitude.
	Positive, Negative Buckets
}

// Buckets are consecutive buckets of one sign.
type Buckets struct {
	// Offset is the number of the bucket that Counts[0] belongs to: bucket i
	// covers the magnitudes in (base^i, base^(i+1)].
	Offset int32
	Counts []uint64
}

// New returns an empty histogram.
func New() Histogram { return Histogram{Scale: MaxScale} }

// Count is the number of values.
func (h *Histogram) Count() uint64 {
	n := h.Zero
	for _, c := range h.Positive.Counts {
		n += c
	}
	for _, c := range h.Negative.Counts {
		n += c
	}
	return n
}

// Add counts x, weight times. NaN and infinities have no place in a histogram
// and are the caller's to count; Add ignores them.
func (h *Histogram) Add(x float64, weight uint64) {
	switch {
	case weight == 0 || math.IsNaN(x) || math.IsInf(x, 0):
	case x == 0:
		h.Zero += weight
	default:
		one := Histogram{Scale: MaxScale}
		buckets := Buckets{Offset: Index(x), Counts: []uint64{weight}}
		if x > 0 {
			one.Positive = buckets
		} else {
			one.Negative = buckets
		}
		h.Merge(&one)
	}
}

// Merge adds the counts of o to h. The counts of h may be moved to new memory;
// those of o are not kept.
func (h *Histogram) Merge(o *Histogram) {
	scale := min(h.Scale, o.Scale)
	for {
		shiftH, shiftO := int(h.Scale-scale), int(o.Scale-scale)
		if fits(&h.Positive, shiftH, &o.Positive, shiftO) && fits(&h.Negative, shiftH, &o.Negative, shiftO) {
			h.Positive = merge(h.Positive, shiftH, o.Positive, shiftO)
			h.Negative = merge(h.Negative, shiftH, o.Negative, shiftO)
			break
		}
		scale--
	}
	h.Scale = scale
	h.Zero += o.Zero
}

// bounds are the first and the last bucket, shift scales coarser.
func (b *Buckets) bounds(shift int) (first, last int32) {
	return b.Offset >> shift, (b.Offset + int32(len(b.Counts)) - 1) >> shift
}

func fits(a *Buckets, shiftA int, b *Buckets, shiftB int) bool {
	first, last := union(a, shiftA, b, shiftB)
	return last-first < MaxBuckets
}

// union spans both; last < first where both are empty.
func union(a *Buckets, shiftA int, b *Buckets, shiftB int) (first, last int32) {
	switch {
	case len(a.Counts) == 0 && len(b.Counts) == 0:
		return 0, -1
	case len(b.Counts) == 0:
		return a.bounds(shiftA)
	case len(a.Counts) == 0:
		return b.bounds(shiftB)
	}
	firstA, lastA := a.bounds(shiftA)
	firstB, lastB := b.bounds(shiftB)
	return min(firstA, firstB), max(lastA, lastB)
}

func merge(a Buckets, shiftA int, b Buckets, shiftB int) Buckets {
	first, last := union(&a, shiftA, &b, shiftB)
	if last < first {
		return Buckets{}
	}
	if first == a.Offset && shiftA == 0 && int(last-first)+1 == len(a.Counts) {
		b.addTo(a.Counts, first, shiftB)
		return a
	}
	counts := make([]uint64, last-first+1)
	a.addTo(counts, first, shiftA)
	b.addTo(counts, first, shiftB)
	return Buckets{Offset: first, Counts: counts}
}

func (b *Buckets) addTo(counts []uint64, first int32, shift int) {
	for i, c := range b.Counts {
		counts[(b.Offset+int32(i))>>shift-first] += c
	}
}

// RelativeError is the promise for every quantile estimated at this scale: the
// estimate is within this fraction of the true value. It is half the width of a
// bucket over its middle, (base-1)/(base+1).
func RelativeError(scale int) float64 {
	base := math.Exp2(math.Exp2(-float64(scale)))
	if math.IsInf(base, 1) {
		return 1
	}
	return (base - 1) / (base + 1)
}

// Quantile estimates the value below which the fraction q of the values lie:
// the value of rank ceil(q*count), at least 1, in ascending order, to within
// RelativeError(Scale) of it. It is NaN for an empty histogram.
func (h *Histogram) Quantile(q float64) float64 {
	count := h.Count()
	if count == 0 || math.IsNaN(q) {
		return math.NaN()
	}
	// 0.07 of 100 values is 7 values, not the 7.000000000000001 of float64.
	const exact = 1 - 0x1p-51
	rank := uint64(max(1, min(math.Ceil(q*float64(count)*exact), float64(count))))
	for i := len(h.Negative.Counts) - 1; i >= 0; i-- { // the most negative are the largest in magnitude
		if rank <= h.Negative.Counts[i] {
			return -middle(int(h.Scale), h.Negative.Offset+int32(i))
		}
		rank -= h.Negative.Counts[i]
	}
	if rank <= h.Zero {
		return 0
	}
	rank -= h.Zero
	for i, c := range h.Positive.Counts {
		if rank <= c {
			return middle(int(h.Scale), h.Positive.Offset+int32(i))
		}
		rank -= c
	}
	return math.NaN()
}

// middle is the value with the smallest relative distance to all of bucket i:
// the harmonic mean of its bounds.
func middle(scale int, i int32) float64 {
	low, high := LowerBound(scale, i), UpperBound(scale, i)
	if math.IsInf(high, 1) {
		return low * (1 + RelativeError(scale))
	}
	if low == 0 {
		return high / 2
	}
	return 2 * low / (low/high + 1)
}
