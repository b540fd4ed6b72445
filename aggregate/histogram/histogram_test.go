package histogram

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// exactIndex finds the bucket by exact arithmetic: the largest i with
// 2^i < x^(2^MaxScale), as big numbers.
func exactIndex(x float64) int32 {
	power := new(big.Float).SetPrec(53 * (1 << MaxScale)).SetFloat64(math.Abs(x))
	for range MaxScale {
		power.Mul(power, power)
	}
	var mantissa big.Float
	exponent := power.MantExp(&mantissa) // power = mantissa * 2^exponent, mantissa in [0.5, 1)
	if mantissa.Cmp(big.NewFloat(0.5)) == 0 {
		return int32(exponent) - 2 // exactly 2^(exponent-1): the upper bound is inclusive
	}
	return int32(exponent) - 1
}

func TestIndexIsExact(t *testing.T) {
	check := func(x float64) {
		t.Helper()
		if got, want := Index(x), exactIndex(x); got != want {
			t.Fatalf("Index(%v) = %d, want %d", x, got, want)
		}
	}
	for _, x := range []float64{1, 2, 4, 0.5, 0.25, 1024, 3, -3, math.MaxFloat64, math.SmallestNonzeroFloat64,
		0x1p-1022, 0x1p-1023, 0x1.8p-1040, math.Nextafter(1, 0), math.Nextafter(1, 2), math.Nextafter(2, 0), math.Nextafter(0x1p-1022, 0)} {
		check(x)
	}
	for k := range 1 << MaxScale { // the floats beside every boundary
		boundary := math.Exp2(float64(k) / (1 << MaxScale))
		x := boundary
		for range 3 {
			x = math.Nextafter(x, 0)
		}
		for range 7 {
			check(x)
			check(-x * 0x1p100)
			x = math.Nextafter(x, 4)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		x := math.Float64frombits(random.Uint64())
		if !math.IsNaN(x) && !math.IsInf(x, 0) && x != 0 {
			check(x)
		}
	}
}

func TestBoundsAgreeWithIndex(t *testing.T) {
	for _, x := range []float64{1, 1.5, 3.7, 1e-300, 1e300, 655.35, 0.01} {
		for scale := MinScale; scale <= MaxScale; scale++ {
			i := Index(x) >> (MaxScale - scale)
			low, high := LowerBound(scale, i), UpperBound(scale, i)
			if x < low*(1-1e-14) || x > high*(1+1e-14) {
				t.Errorf("scale %d: %v is not in bucket %d = (%v, %v]", scale, x, i, low, high)
			}
		}
	}
}

func of(values []float64) Histogram {
	h := New()
	for _, x := range values {
		h.Add(x, 1)
	}
	return h
}

var drawValues = rapid.SliceOfN(rapid.OneOf(
	rapid.Float64Range(-1e6, 1e6),
	rapid.Float64Range(99, 101),
	rapid.Just(0.0),
	rapid.Map(rapid.IntRange(-1074, 1023), func(e int) float64 { return math.Ldexp(1, e) }),
), 0, 60)

func TestMergeIsAssociativeAndCommutative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawValues.Draw(t, "a"), drawValues.Draw(t, "b"), drawValues.Draw(t, "c")
		whole := of(slices.Concat(a, b, c))

		left := of(a)
		hb, hc := of(b), of(c)
		left.Merge(&hb)
		left.Merge(&hc)

		right := of(c)
		ha := of(a)
		hb.Merge(&ha)
		right.Merge(&hb)

		for name, got := range map[string]Histogram{"(a+b)+c": left, "c+(b+a)": right} {
			if diff := cmp.Diff(whole, got); diff != "" {
				t.Fatalf("%s differs from all at once (-all +merged):\n%s", name, diff)
			}
		}
		if got, want := left.Count(), uint64(len(a)+len(b)+len(c)); got != want {
			t.Fatalf("count %d, want %d", got, want)
		}
	})
}

func TestCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := drawValues.Draw(t, "values")
		h := of(values)
		for _, b := range []Buckets{h.Positive, h.Negative} {
			if n := len(b.Counts); n > MaxBuckets {
				t.Fatalf("%d buckets", n)
			} else if n > 0 && (b.Counts[0] == 0 || b.Counts[n-1] == 0) {
				t.Fatalf("not trimmed: %v", b)
			}
		}
		if h.Scale < MaxScale { // one scale finer must not have fitted
			finer := int(h.Scale) + 1
			span := func(sign float64) int32 {
				first, last := int32(math.MaxInt32), int32(math.MinInt32)
				for _, x := range values {
					if x*sign > 0 {
						i := Index(x) >> (MaxScale - finer)
						first, last = min(first, i), max(last, i)
					}
				}
				return last - first + 1
			}
			if span(1) <= MaxBuckets && span(-1) <= MaxBuckets {
				t.Fatalf("scale %d, but %d would fit", h.Scale, finer)
			}
		}
	})
}

func TestQuantileKeepsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-1e4, 1e4), rapid.Float64Range(-1, 1), rapid.Just(0.0)), 1, 300).Draw(t, "values")
		h := of(values)
		slices.Sort(values)
		bound := RelativeError(int(h.Scale)) * (1 + 1e-9)
		for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.75, 0.99, 1} {
			rank := max(1, int(math.Ceil(q*float64(len(values)))))
			want, got := values[rank-1], h.Quantile(q)
			if math.Abs(got-want) > bound*math.Abs(want) {
				t.Fatalf("q=%v: %v, want %v within %.3f %%", q, got, want, bound*100)
			}
		}
	})
}

func BenchmarkIndex(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, 1024)
	for i := range values {
		values[i] = random.Float64() * 1000
	}
	var sum int32
	for i := range b.N {
		sum += Index(values[i&1023])
	}
	_ = sum
}
