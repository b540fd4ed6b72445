package aggregate

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"milepost/aggregate/histogram"
)

// reference summarises samples one by one, in the plainest way.
func reference(s *Series, values []int64) (sum Summary, integers *big.Int, notFinite uint64) {
	sum.Histogram = histogram.New()
	integers = new(big.Int)
	for _, raw := range values {
		if x := math.Float64frombits(uint64(raw)); s.Kind == Float {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				notFinite++
				continue
			}
			raw = int64(math.Float64bits(x + 0)) // +0 makes -0 the one zero
		}
		if sum.Count == 0 {
			sum.Min, sum.Max, sum.First = raw, raw, raw
		}
		if s.Kind == Float {
			one := Sum{Terms: []float64{math.Float64frombits(uint64(raw))}}
			sum.Sum.merge(&one)
		} else {
			integers.Add(integers, bigRaw(s.Kind, raw))
		}
		sum.Count++
		sum.Last = raw
		if s.Kind.less(raw, sum.Min) {
			sum.Min = raw
		}
		if s.Kind.less(sum.Max, raw) {
			sum.Max = raw
		}
		sum.Histogram.Add(s.Physical(raw), 1)
	}
	return sum, integers, notFinite
}

var drawFactor = rapid.OneOf(
	rapid.SampledFrom([]float64{1, 0.1, 0.01, 0.25, -1, -0.5, 0, 1e-9, 1e300, -1e300, 1e-320, math.MaxFloat64, math.Inf(1), math.NaN()}),
	rapid.Float64Range(-1000, 1000),
)

var drawOffset = rapid.OneOf(
	rapid.SampledFrom([]float64{0, 0, 0, -40, 1e15, math.MaxFloat64, -math.MaxFloat64, math.Inf(-1)}),
	rapid.Float64Range(-1000, 1000),
)

// drawSeries draws a signal of any length, and a generator of its raw values.
func drawSeries(t *rapid.T) (*Series, *rapid.Generator[int64]) {
	s := &Series{Factor: drawFactor.Draw(t, "factor"), Offset: drawOffset.Draw(t, "offset")}
	kind := rapid.SampledFrom([]string{"signed", "signed", "unsigned", "unsigned", "float"}).Draw(t, "kind")
	length := rapid.IntRange(1, 64).Draw(t, "length")
	if rapid.IntRange(0, 9).Draw(t, "known length") > 0 {
		s.Bits = uint8(length)
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	switch {
	case kind == "float":
		s.Kind, s.Bits = Float, 64
		plain := rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), 0x1p-1074, 0x1p-1022, 1e300, -1e-310})
		floats := rapid.OneOf(plain, rapid.Float64(), rapid.Float64Range(-10, 10), rapid.Map(rapid.Float32(), func(x float32) float64 { return float64(x) }))
		return s, rapid.Map(floats, func(x float64) int64 { return int64(math.Float64bits(x)) })
	case kind == "signed":
		low, high = -1<<(length-1), 1<<(length-1)-1
	case length == 64:
		s.Kind = Unsigned64
	default:
		low, high = 0, 1<<length-1
	}
	middle := rapid.Int64Range(low, high).Draw(t, "middle")
	near := rapid.Int64Range(max(low, saturatingAdd(middle, -150)), min(high, saturatingAdd(middle, 150)))
	return s, rapid.OneOf(near, near, rapid.Int64Range(low, high), rapid.SampledFrom([]int64{low, high, middle}))
}

func saturatingAdd(a, b int64) int64 {
	switch sum := a + b; {
	case b > 0 && sum < a:
		return math.MaxInt64
	case b < 0 && sum > a:
		return math.MinInt64
	default:
		return sum
	}
}

// drawColumn draws a column and the samples that it stands for.
func drawColumn(t *rapid.T, raw *rapid.Generator[int64]) (c Column, samples []int64) {
	for range rapid.IntRange(0, 60).Draw(t, "runs") {
		value := raw.Draw(t, "raw")
		weight := rapid.Uint32Range(1, 4).Draw(t, "weight")
		c.Values, c.Weights = append(c.Values, value), append(c.Weights, weight)
		for range weight {
			samples = append(samples, value)
		}
	}
	return c, samples
}

func ones(n int) []uint32 {
	weights := make([]uint32, n)
	for i := range weights {
		weights[i] = 1
	}
	return weights
}

// sameSummary compares to the bit (which NaN it is does not matter) and tells
// the difference.
func sameSummary(want, got Summary) string {
	h, g := &want.Histogram, &got.Histogram
	switch {
	case want.Count == 0 && got.Count == 0:
		return "" // the other fields mean nothing
	case want.Count == got.Count && want.Min == got.Min && want.Max == got.Max && want.First == got.First && want.Last == got.Last &&
		want.Sum.High == got.Sum.High && want.Sum.Low == got.Sum.Low && slices.Equal(bitsOf(want.Sum.Terms), bitsOf(got.Sum.Terms)) &&
		h.Scale == g.Scale && h.Zero == g.Zero &&
		h.Positive.Offset == g.Positive.Offset && slices.Equal(h.Positive.Counts, g.Positive.Counts) &&
		h.Negative.Offset == g.Negative.Offset && slices.Equal(h.Negative.Counts, g.Negative.Counts):
		return ""
	}
	return fmt.Sprintf("differs:\n%s", cmp.Diff(want, got))
}

func TestFoldAgainstReference(t *testing.T) {
	var folder ColumnFolder // one for all: what it remembers must not matter
	rapid.Check(t, func(t *rapid.T) {
		s, raw := drawSeries(t)
		c, samples := drawColumn(t, raw)
		want, integers, wantNotFinite := reference(s, samples)
		window := NewWindow(0, 1e9, 0)
		defer window.Release()
		for _, c := range []Column{c, {samples, ones(len(samples))}} { // as runs, and every sample alone
			got := Summary{Count: 99}
			if notFinite := folder.Fold(s, c, window, &got); notFinite != wantNotFinite {
				t.Fatalf("%d not finite, want %d", notFinite, wantNotFinite)
			}
			if got.Count != want.Count {
				t.Fatalf("count %d, want %d", got.Count, want.Count)
			}
			if s.Kind != Float && got.Count > 0 {
				if n := got.Sum.bigInt(); n.Cmp(integers) != 0 {
					t.Fatalf("sum %v, want %v", n, integers)
				}
				got.Sum = Sum{}
			}
			if s.Kind == Float { // beyond the range, the reference depends on the order
				for _, x := range got.Sum.Terms {
					if math.IsNaN(x) || math.IsInf(x, 0) {
						want.Sum, got.Sum = Sum{}, Sum{}
					}
				}
			}
			if diff := sameSummary(want, got); diff != "" {
				t.Fatalf("%+v: (-reference +folded):\n%s", *s, diff)
			}
		}
	})
}

// TestFoldHeavyWeights: the sums of the narrow path at their largest.
func TestFoldHeavyWeights(t *testing.T) {
	var folder ColumnFolder
	window := NewWindow(0, 1e9, 0)
	defer window.Release()
	const weight = 1<<31 - 1
	for bits := 1; bits <= 64; bits++ {
		for _, signed := range []bool{false, true} {
			s := &Series{Kind: Integer, Bits: uint8(bits), Factor: 1}
			low, high := int64(0), int64(1)<<bits-1
			switch {
			case signed:
				low, high = -1<<(bits-1), 1<<(bits-1)-1
			case bits == 64:
				s.Kind, high = Unsigned64, -1
			case bits == 63:
				high = math.MaxInt64
			}
			for _, raw := range []int64{low, high} {
				for _, c := range []Column{
					{[]int64{raw}, []uint32{weight}},
					{[]int64{raw, raw}, []uint32{weight - 1, 1}},
					{[]int64{raw, low, high}, []uint32{weight - 2, 1, 1}},
				} {
					want := new(big.Int)
					var count uint64
					for i, v := range c.Values {
						want.Add(want, new(big.Int).Mul(bigRaw(s.Kind, v), big.NewInt(int64(c.Weights[i]))))
						count += uint64(c.Weights[i])
					}
					var got Summary
					folder.Fold(s, c, window, &got)
					if n := got.Sum.bigInt(); n.Cmp(want) != 0 || got.Count != count || got.Histogram.Count() != count {
						t.Errorf("%d bits, signed %v, %v: sum %v, want %v; count %d and %d", bits, signed, c, n, want, got.Count, got.Histogram.Count())
					}
				}
			}
		}
	}
}

// TestMergeIsFold: however a window's samples are cut and in whatever order the
// parts are merged, the summary is that of all of them; First and Last are
// those of the order.
func TestMergeIsFold(t *testing.T) {
	var folder ColumnFolder
	rapid.Check(t, func(t *rapid.T) {
		s, raw := drawSeries(t)
		c, _ := drawColumn(t, raw)
		window := NewWindow(0, 1e9, 0)
		defer window.Release()
		fold := func(c Column) (sum Summary) {
			folder.Fold(s, c, window, &sum)
			return sum
		}
		whole := fold(c)
		var parts []Summary
		for from := 0; from < len(c.Values); {
			to := rapid.IntRange(from+1, len(c.Values)).Draw(t, "cut")
			parts = append(parts, fold(Column{c.Values[from:to], c.Weights[from:to]}))
			from = to
		}
		merge := func(parts []Summary) (merged Summary) {
			for i := range parts {
				parts[i] = parts[i].clone()
			}
			for len(parts) > 1 {
				i := rapid.IntRange(0, len(parts)-2).Draw(t, "merge")
				before := parts[i+1].clone()
				parts[i].Merge(s, &parts[i+1])
				if diff := sameSummary(before, parts[i+1]); diff != "" {
					t.Fatalf("merging changed the later part (-before +after):\n%s", diff)
				}
				parts = append(parts[:i+1:i+1], parts[i+2:]...)
			}
			if len(parts) == 1 {
				merged = parts[0]
			}
			return merged
		}
		if diff := sameSummary(whole, merge(append([]Summary(nil), parts...))); diff != "" {
			t.Fatalf("in order (-whole +merged):\n%s", diff)
		}
		got := merge(rapid.Permutation(parts).Draw(t, "any order"))
		got.First, got.Last = whole.First, whole.Last
		if diff := sameSummary(whole, got); diff != "" {
			t.Fatalf("in any order (-whole +merged):\n%s", diff)
		}
	})
}

func TestValue(t *testing.T) {
	var folder ColumnFolder
	f := func(s Series, values []int64, want Value, wantAvg float64) {
		t.Helper()
		window := NewWindow(0, 1e9, 0)
		defer window.Release()
		var sum Summary
		folder.Fold(&s, Column{values, ones(len(values))}, window, &sum)
		got := sum.Value(&s)
		if diff := cmp.Diff(fmt.Sprintf("%+v %v", want, wantAvg), fmt.Sprintf("%+v %v", got, got.Avg(sum.Count))); diff != "" {
			t.Errorf("%+v %v (-want +got):\n%s", s, values, diff)
		}
	}
	f(Series{Bits: 8, Factor: 0.5, Offset: -40}, []int64{100, 80, 90}, Value{Min: 0, Max: 10, First: 10, Last: 5, Sum: 15}, 5)
	f(Series{Bits: 8, Factor: -1, Offset: 10}, []int64{1, 2, 3}, Value{Min: 7, Max: 9, First: 9, Last: 7, Sum: 24}, 8)
	f(Series{Bits: 8, Factor: 0, Offset: 3}, []int64{1, 2}, Value{Min: 3, Max: 3, First: 3, Last: 3, Sum: 6}, 3)
	f(Series{Bits: 16, Factor: 0.08, Offset: -40}, []int64{500, 500, 500}, Value{}, 0)
	f(Series{Kind: Unsigned64, Bits: 64, Factor: 1}, []int64{-1, 0}, Value{Min: 0, Max: 0x1p64, First: 0x1p64, Sum: 0x1p64}, 0x1p63)
	f(Series{Kind: Float, Bits: 32, Factor: 2, Offset: 1}, []int64{int64(math.Float64bits(0.5)), int64(math.Float64bits(-0.5))},
		Value{Min: 0, Max: 2, First: 2, Last: 0, Sum: 2}, 1)
}
