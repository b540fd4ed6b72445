package aggregate

import (
	"math"
	"math/bits"
	"slices"
)

// Sum is an exact sum of raw values. The order in which values are added makes
// no difference to it.
type Sum struct {
	// High and Low are a 128-bit two's complement integer: the sum of an
	// Integer or Unsigned64 series.
	High int64
	Low  uint64
	// Terms are the sum of a Float series: numbers that do not overlap, in
	// descending magnitude, the first one the rounded sum, each of the others
	// the rounded rest. Nil is zero. It is infinite, or no number, where a value
	// is 2^990 or more: such values add up to something in one order only.
	Terms []float64
}

// addProduct adds raw*weight for an integer kind.
func (s *Sum) addProduct(kind Kind, raw int64, weight uint64) {
	var high, low uint64
	if kind == Unsigned64 || raw >= 0 {
		high, low = bits.Mul64(uint64(raw), weight)
	} else {
		high, low = bits.Mul64(-uint64(raw), weight)
		low, high = -low, ^high
		if low == 0 {
			high++
		}
	}
	s.addInteger(int64(high), low)
}

func (s *Sum) addInteger(high int64, low uint64) {
	var carry uint64
	s.Low, carry = bits.Add64(s.Low, low, 0)
	s.High += high + int64(carry)
}

// merge adds o.
func (s *Sum) merge(o *Sum) {
	s.addInteger(o.High, o.Low)
	if len(o.Terms) > 0 {
		var e expansion
		for _, terms := range [][]float64{s.Terms, o.Terms} {
			for _, term := range terms {
				e.add(term)
			}
		}
		s.Terms = e.canonical()
	}
}

// physical is the sum of count physical values, raw*factor + offset each. It is
// calculated as one such value is, and so agrees with the values, which are
// rounded themselves: where 500*0.08 - 40 is 0, three times that is, too.
func (s *Sum) physical(kind Kind, factor, offset float64, count uint64) float64 {
	var raw float64
	switch {
	case kind != Float:
		high, low := s.float()
		raw = high + low
	case len(s.Terms) > 0:
		raw = s.Terms[0]
	}
	return float64(raw*factor) + float64(float64(count)*offset)
}

// float gives the integer as the sum of two numbers, the second one less than
// half a unit in the last place of the first.
func (s *Sum) float() (high, low float64) {
	negative := s.High < 0
	h, l := uint64(s.High), s.Low
	if negative {
		l = -l
		h = ^h
		if l == 0 {
			h++
		}
	}
	if h == 0 && l < 1<<53 {
		high = float64(l)
	} else {
		// Three exact pieces of 43 bits.
		a := float64(l & (1<<43 - 1))
		b := math.Ldexp(float64((l>>43|h<<21)&(1<<43-1)), 43)
		c := math.Ldexp(float64(h>>22), 86)
		high, low = twoSum(c, b)
		var rest float64
		high, rest = twoSum(high, a)
		high, low = twoSum(high, low+rest)
	}
	if negative {
		return -high, -low
	}
	return high, low
}

// twoSum gives a+b rounded and the exact rest (Knuth, TAOCP 4.2.2).
func twoSum(a, b float64) (sum, rest float64) {
	sum = a + b
	bPart := sum - a
	aPart := sum - bPart
	return sum, (a - aPart) + (b - bPart)
}

// expansion is an exact sum of floating-point numbers: partials that do not
// overlap, ascending in magnitude (Shewchuk, Adaptive Precision Floating-Point
// Arithmetic, 1997).
type expansion struct {
	partials []float64
	// overflow is what the sum became beyond the range of float64: ±Inf or NaN.
	overflow float64
}

// huge is where a sum could leave the range of float64 on the way to a result
// within it, depending on the order. Below it, 2^33 samples cannot.
const huge = 0x1p990

// addProduct adds x*weight exactly; an x that is huge as infinite.
func (e *expansion) addProduct(x float64, weight uint64) {
	const tiny = 0x1p-900 // below it the rest of a product may vanish
	switch {
	case math.Abs(x) >= huge:
		e.overflow += math.Inf(int(math.Copysign(1, x)))
		return
	case weight >= 1<<53 || (math.Abs(x) < tiny && x != 0):
		for ; weight != 0; weight &= weight - 1 { // by its powers of two: exact
			e.add(math.Ldexp(x, bits.TrailingZeros64(weight)))
		}
		return
	}
	w := float64(weight)
	product := float64(x * w)
	if rest := math.FMA(x, w, -product); rest != 0 {
		e.add(rest)
	}
	e.add(product)
}

// add adds a part of a sum, which may be what became of one beyond the range.
func (e *expansion) add(x float64) {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		e.overflow += x
		return
	}
	kept := e.partials[:0]
	for _, p := range e.partials {
		sum, rest := twoSum(x, p)
		if math.IsInf(sum, 0) || math.IsNaN(sum) {
			e.overflow += sum
			e.partials = e.partials[:0]
			return
		}
		if rest != 0 {
			kept = append(kept, rest)
		}
		x = sum
	}
	if x != 0 {
		kept = append(kept, x)
	}
	e.partials = kept
}

// canonical reduces the sum to the one list of terms that Sum.Terms describes.
func (e *expansion) canonical() []float64 {
	switch {
	case math.IsNaN(e.overflow): // processors differ in the NaN that they make of +Inf - Inf
		return []float64{math.NaN()}
	case e.overflow != 0:
		return []float64{e.overflow}
	}
	var terms []float64
	for len(e.partials) > 0 {
		term := e.rounded()
		terms = append(terms, term)
		e.add(-term)
	}
	return terms
}

// rounded is the sum rounded half to even, which the largest partial alone is
// not where the ones below tip the balance (as in Python's math.fsum).
func (e *expansion) rounded() float64 {
	partials := slices.Clone(e.partials)
	n := len(partials)
	high, rest := partials[n-1], 0.0
	for n--; n > 0; n-- {
		high, rest = twoSum(high, partials[n-1])
		if rest != 0 {
			break
		}
	}
	if n > 1 && (rest < 0) == (partials[n-2] < 0) && rest != 0 {
		twice := rest * 2
		if tipped := high + twice; twice == tipped-high {
			high = tipped
		}
	}
	return high
}
