package histogram

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// drawMagnitudes draws the positive numbers of a test: in a narrow band, over
// all magnitudes, at the edges of the range and of buckets.
func drawMagnitudes(t *rapid.T) *rapid.Generator[float64] {
	low := rapid.OneOf(rapid.IntRange(-1074, 1000), rapid.IntRange(-1026, -1020)).Draw(t, "low") // the normal numbers begin at 2^-1022
	width := rapid.SampledFrom([]int{0, 1, 4, 5, 6, 10, 20, 2100}).Draw(t, "octaves")
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) float64 {
			exponent := rapid.IntRange(low, min(1022, low+width)).Draw(t, "exponent")
			return math.Ldexp(rapid.Float64Range(1, 2).Draw(t, "mantissa"), exponent)
		}),
		rapid.Custom(func(t *rapid.T) float64 {
			return math.Ldexp(1, rapid.IntRange(low, min(1023, low+width)).Draw(t, "power"))
		}),
	)
}

func TestBuildIsAdd(t *testing.T) {
	var builder Builder
	var slab Slab
	rapid.Check(t, func(t *rapid.T) {
		magnitude := drawMagnitudes(t)
		signs := rapid.SampledFrom([][]float64{{1}, {-1}, {1, -1}, {1, 0}, {-1, 0}, {1, -1, 0}, {0}}).Draw(t, "signs")
		values := make([]float64, rapid.IntRange(1, 80).Draw(t, "values"))
		weights := make([]uint32, len(values), len(values)+1)
		want := New()
		for i := range values {
			values[i] = magnitude.Draw(t, "x") * rapid.SampledFrom(signs).Draw(t, "sign")
			weights[i] = rapid.OneOf(rapid.Uint32Range(1, 3), rapid.Uint32()).Draw(t, "weight")
			if weights[i] == 0 {
				weights[i] = 1
			}
			want.Add(values[i], uint64(weights[i]))
		}
		low, high := values[0], values[0]
		for _, x := range values {
			low, high = min(low, x), max(high, x)
		}
		weights = append(weights, 7) // more weights than values, as a caller may have
		if rapid.Bool().Draw(t, "reset") {
			slab.Reset() // what is in it is of no use any more, but not zero
		}
		got := New()
		builder.Build(&got, values, weights, low, high, &slab)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%v (-added +built):\n%s", values, diff)
		}
	})
}

func TestSingleIsAdd(t *testing.T) {
	var slab Slab
	for _, x := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, -1e300, math.MaxFloat64, 0x1p-1074, -0x1p-1074, math.Inf(1), math.Inf(-1), math.NaN()} {
		want, got := New(), New()
		want.Add(x, 1<<40)
		got.Single(x, 1<<40, &slab)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%v (-added +single):\n%s", x, diff)
		}
	}
}

func TestSlab(t *testing.T) {
	var slab Slab
	var cuts [][]uint64
	for i := range 100 {
		cut := slab.Cut(i)
		if len(cut) != i || cap(cut) != i {
			t.Fatalf("cut %d has length %d and capacity %d", i, len(cut), cap(cut))
		}
		for j := range cut {
			if cut[j] != 0 {
				t.Fatalf("cut %d is not zero", i)
			}
			cut[j] = uint64(i)
		}
		cuts = append(cuts, cut)
		if i == 50 {
			slab.Reset()
			cuts = nil
		}
	}
	for _, cut := range cuts {
		for _, c := range cut {
			if c != uint64(len(cut)) {
				t.Fatal("two cuts share memory")
			}
		}
	}
}

// TestExtremes: all of float64 fits, at the coarsest scale, and the estimates
// hold at both ends.
func TestExtremes(t *testing.T) {
	h := New()
	for _, x := range []float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 0} {
		h.Add(x, 1<<50)
	}
	if h.Scale != MinScale || len(h.Positive.Counts) > MaxBuckets || h.Count() != 5<<50 {
		t.Fatalf("scale %d, %d buckets, %d values", h.Scale, len(h.Positive.Counts), h.Count())
	}
	for q := range 101 {
		if x := h.Quantile(float64(q) / 100); math.IsInf(x, 0) || math.IsNaN(x) {
			t.Errorf("quantile %d %% is %v", q, x)
		}
	}
	for q, want := range map[float64]float64{-1: -math.MaxFloat64, 2: math.MaxFloat64} {
		if got := h.Quantile(q); math.Signbit(got) != math.Signbit(want) || math.Abs(got) < 1 {
			t.Errorf("Quantile(%v) is %v", q, got)
		}
	}
	empty := New()
	if x := empty.Quantile(0.5); !math.IsNaN(x) {
		t.Errorf("an empty histogram has the median %v", x)
	}
	if x := h.Quantile(math.NaN()); !math.IsNaN(x) {
		t.Errorf("quantile NaN is %v", x)
	}
}

// TestMergeLeavesTheOther and its memory alone.
func TestMergeLeavesTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := of(drawValues.Draw(t, "a")), of(drawValues.Draw(t, "b"))
		before := Histogram{b.Scale, b.Zero,
			Buckets{b.Positive.Offset, append([]uint64(nil), b.Positive.Counts...)},
			Buckets{b.Negative.Offset, append([]uint64(nil), b.Negative.Counts...)}}
		a.Merge(&b)
		for _, counts := range [][]uint64{a.Positive.Counts, a.Negative.Counts} {
			for i := range counts {
				counts[i] = 1 << 60
			}
		}
		if diff := cmp.Diff(before, b, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-before +after):\n%s", diff)
		}
	})
}

// TestBuildSubnormal walks up to the normal numbers, which are looked up faster,
// and past them.
func TestBuildSubnormal(t *testing.T) {
	var builder Builder
	var slab Slab
	for low := 0x1p-1025; low < 0x1p-1020; low *= 1.01 {
		for _, sign := range []float64{1, -1} {
			values := []float64{sign * low, sign * low * 1.3, sign * low * 2.5}
			want, got := New(), New()
			for _, x := range values {
				want.Add(x, 1)
			}
			builder.Build(&got, values, []uint32{1, 1, 1}, min(values[0], values[2]), max(values[0], values[2]), &slab)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%v (-added +built):\n%s", values, diff)
			}
		}
	}
}
