package histogram

import (
	"math"
	"math/big"
)

// A mantissa is looked up by the slice of [1, 2) that it lies in. With twice as
// many slices as buckets at most one bucket boundary lies in a slice (the
// logarithm's slope is at most 1/ln 2 = 1.44).
const (
	sliceBits    = MaxScale + 1
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	boundaryBits = mantissaBits + 1
	boundaryMask = 1<<boundaryBits - 1
	exponentBias = 1023
)

// mantissas[i] packs what index needs for the mantissas of slice i: in the upper
// 11 bits the number of boundaries at or below the slice's start, in the lower
// 53 the boundary within the slice as a mantissa (2^52, more than any mantissa,
// where there is none).
var mantissas = makeMantissas()

// Index is the exact number of the bucket at MaxScale that holds the magnitude
// of x: bucket i covers (2^(i/2^MaxScale), 2^((i+1)/2^MaxScale)], the upper
// bound inclusive, as in the OpenTelemetry metrics data model. At a coarser
// scale s it is Index(x) >> (MaxScale-s). x must be finite and not zero.
//
// No logarithm is taken: a rounded logarithm puts values at a boundary, exact
// powers of two above all, into the wrong bucket. The boundaries between powers
// of two are irrational, so that comparing the mantissa with a boundary's
// rounded-up bits is exact.
func Index(x float64) int32 {
	b := math.Float64bits(x) &^ (1 << 63)
	if b < 1<<mantissaBits {
		return subnormalIndex(b)
	}
	return index(b)
}

// index is Index for the bits of a positive normal number.
func index(b uint64) int32 {
	mantissa := b & mantissaMask
	slice := mantissas[mantissa>>(mantissaBits-sliceBits)]
	i := (int32(b>>mantissaBits)-exponentBias)<<MaxScale + int32(slice>>boundaryBits)
	// Both differences are small in magnitude: the sign bit is the comparison.
	above := int32((slice&boundaryMask - mantissa - 1) >> 63) // mantissa >= boundary
	exact := int32((mantissa - 1) >> 63)                      // a power of two ends the bucket below
	return i + above - exact
}

func subnormalIndex(b uint64) int32 {
	// Multiplying by 2^52 is exact and makes the number a normal one.
	normal := math.Float64frombits(b) * (1 << mantissaBits)
	return index(math.Float64bits(normal)) - mantissaBits<<MaxScale
}

// makeMantissas finds the bucket boundaries 2^(k/2^MaxScale) by repeated exact
// multiplication at a precision that leaves no doubt about 52 bits.
func makeMantissas() (table [1 << sliceBits]uint64) {
	const precision = 200
	root := new(big.Float).SetPrec(precision).SetInt64(2)
	for range MaxScale {
		root.Sqrt(root)
	}
	var boundaries [1 << MaxScale]uint64 // as mantissas, rounded up; [0] is 1.0 itself
	power := new(big.Float).SetPrec(precision).SetInt64(1)
	for k := 1; k < len(boundaries); k++ {
		power.Mul(power, root)
		fraction := new(big.Float).Sub(power, big.NewFloat(1))
		scaled := fraction.SetMantExp(fraction, mantissaBits)
		floor, _ := scaled.Uint64()
		boundaries[k] = floor + 1
	}
	next := 1
	for i := range table {
		start := uint64(i) << (mantissaBits - sliceBits)
		end := start + 1<<(mantissaBits-sliceBits)
		for next < len(boundaries) && boundaries[next] <= start {
			next++
		}
		boundary := uint64(1 << mantissaBits)
		if next < len(boundaries) && boundaries[next] < end {
			boundary = boundaries[next]
		}
		table[i] = uint64(next-1)<<boundaryBits | boundary
	}
	return table
}

// UpperBound is the largest magnitude that bucket i holds at the given scale:
// 2^((i+1)/2^scale), rounded to float64; +Inf where that is beyond its range.
func UpperBound(scale int, i int32) float64 { return LowerBound(scale, i+1) }

// LowerBound is the magnitude that bucket i lies above: 2^(i/2^scale).
func LowerBound(scale int, i int32) float64 {
	if scale <= 0 {
		exponent := int64(i) << -scale
		return math.Ldexp(1, int(max(-2000, min(2000, exponent))))
	}
	exponent := i >> scale
	fraction := i - exponent<<scale
	return math.Ldexp(math.Exp2(math.Ldexp(float64(fraction), -scale)), int(exponent))
}
