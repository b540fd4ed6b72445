package aggregate

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bigInt is the integer that a Sum stands for.
func (s *Sum) bigInt() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(s.High), 64)
	return n.Add(n, new(big.Int).SetUint64(s.Low))
}

func bigRaw(kind Kind, raw int64) *big.Int {
	if kind == Unsigned64 {
		return new(big.Int).SetUint64(uint64(raw))
	}
	return big.NewInt(raw)
}

// edgy draws integers of all lengths, and those at the edges more often.
var edgy = rapid.OneOf(
	rapid.Int64(),
	rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MinInt64 + 1, 1 << 32, -1 << 32, 1<<31 - 1, -1 << 31, 1<<53 + 1}),
	rapid.Custom(func(t *rapid.T) int64 { return rapid.Int64().Draw(t, "raw") >> rapid.IntRange(0, 63).Draw(t, "shift") }),
)

func TestIntegerSumIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{Integer, Unsigned64}).Draw(t, "kind")
		var parts [2]Sum
		want := new(big.Int)
		for range rapid.IntRange(0, 30).Draw(t, "values") {
			raw := edgy.Draw(t, "raw")
			weight := rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Uint64Range(0, 1<<60)).Draw(t, "weight")
			parts[rapid.IntRange(0, 1).Draw(t, "part")].addProduct(kind, raw, weight)
			product := new(big.Int).Mul(bigRaw(kind, raw), new(big.Int).SetUint64(weight))
			want.Add(want, product)
		}
		whole := parts[0]
		whole.merge(&parts[1])
		if got := whole.bigInt(); got.Cmp(want) != 0 {
			t.Fatalf("the sum is %v, want %v", got, want)
		}
		// As a number: rounded once, as long as 2^96 is far.
		rounded, _ := new(big.Float).SetPrec(53).SetInt(want).Float64()
		got := whole.physical(kind, 1, 0, 1)
		if want.BitLen() < 96 && got != rounded {
			t.Fatalf("the sum %v is %v as a number, want %v", want, got, rounded)
		}
		if math.Abs(got-rounded) > 0x1p-52*math.Abs(rounded) {
			t.Fatalf("the sum %v is %v as a number, which is not near", want, got)
		}
	})
}

// exact adds floats as big numbers, of a precision that loses nothing.
func exact(terms []float64) *big.Float {
	sum := new(big.Float).SetPrec(2300)
	for _, x := range terms {
		sum.Add(sum, new(big.Float).SetFloat64(x))
	}
	return sum
}

// drawFloat draws numbers of which a sum tells how exact it is: of all
// magnitudes, near one another, cancelling, subnormal.
var drawFloat = rapid.OneOf(
	rapid.Float64Range(-100, 100),
	rapid.SampledFrom([]float64{0, 1, -1, 0.1, 1e16, -1e16, 0x1p53, 1 - 0x1p-53, 1 + 0x1p-52, 0x1p-1074, -0x1p-1074, 0x1p-1022, 0x1.fffffp-1023, 0x1p-901, 0x1p-899, 0x1.fffffffffffffp989, -0x1p989}),
	rapid.Custom(func(t *rapid.T) float64 {
		return math.Ldexp(rapid.Float64Range(-2, 2).Draw(t, "mantissa"), rapid.IntRange(-1070, 988).Draw(t, "exponent"))
	}),
)

type weighted struct {
	x      float64
	weight uint32
}

var drawWeighted = rapid.Custom(func(t *rapid.T) weighted {
	return weighted{drawFloat.Draw(t, "x"), rapid.OneOf(rapid.Uint32Range(1, 4), rapid.Uint32Range(1, 1<<30)).Draw(t, "weight")}
})

func termsOf(values []weighted) []float64 {
	var e expansion
	for _, v := range values {
		e.addProduct(v.x, uint64(v.weight))
	}
	return e.canonical()
}

func TestFloatSumIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(drawWeighted, 0, 40).Draw(t, "values")
		want := new(big.Float).SetPrec(2300)
		for _, v := range values {
			product := new(big.Float).SetPrec(2300).SetFloat64(v.x)
			want.Add(want, product.Mul(product, new(big.Float).SetUint64(uint64(v.weight))))
		}
		terms := termsOf(values)
		if got := exact(terms); got.Cmp(want) != 0 {
			t.Fatalf("%v add up to %v, want %v", terms, got, want)
		}
		// Each term is the rest, rounded: this makes them the only ones.
		rest := new(big.Float).Set(want)
		for i, term := range terms {
			if rounded, _ := rest.Float64(); rounded != term || term == 0 {
				t.Fatalf("term %d is %v, want %v", i, term, rounded)
			}
			rest.Sub(rest, new(big.Float).SetFloat64(term))
		}
		if rest.Sign() != 0 {
			t.Fatalf("%v is missing", rest)
		}
	})
}

// TestFloatSumKnowsNoOrder: any order and any split gives the same bits.
func TestFloatSumKnowsNoOrder(t *testing.T) {
	any := rapid.OneOf(drawWeighted, rapid.Custom(func(t *rapid.T) weighted {
		return weighted{rapid.Float64().Draw(t, "any x"), rapid.Uint32Range(1, 1<<30).Draw(t, "weight")}
	}))
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(any, 0, 20).Draw(t, "values")
		want := termsOf(values)
		shuffled := rapid.Permutation(values).Draw(t, "shuffled")
		var parts []Sum
		for len(shuffled) > 0 {
			n := rapid.IntRange(1, len(shuffled)).Draw(t, "part")
			parts = append(parts, Sum{Terms: termsOf(shuffled[:n])})
			shuffled = shuffled[n:]
		}
		for len(parts) > 1 { // merge any two, in any order
			i := rapid.IntRange(0, len(parts)-2).Draw(t, "merge")
			parts[i].merge(&parts[i+1])
			parts = slices.Delete(parts, i+1, i+2)
		}
		var got []float64
		if len(parts) == 1 {
			got = parts[0].Terms
		}
		if !slices.Equal(bitsOf(want), bitsOf(got)) {
			t.Fatalf("merged parts are %v, want %v", got, want)
		}
	})
}

func bitsOf(terms []float64) (all []uint64) {
	for _, term := range terms {
		if math.IsNaN(term) { // which NaN is the processor's choice
			term = math.NaN()
		}
		all = append(all, math.Float64bits(term))
	}
	return all
}

func TestFloatSumBeyondTheRange(t *testing.T) {
	inf := math.Inf(1)
	f := func(values []weighted, want ...float64) {
		t.Helper()
		random := rand.New(rand.NewPCG(1, 1))
		for range 10 {
			if got := termsOf(values); !slices.Equal(bitsOf(got), bitsOf(want)) {
				t.Fatalf("%v add up to %v, want %v", values, got, want)
			}
			random.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		}
	}
	f([]weighted{{math.MaxFloat64, 1}, {math.MaxFloat64, 1}, {-1, 1}}, inf)
	f([]weighted{{-1e305, 1000}, {-1e305, 1000}, {1, 1}}, -inf)
	f([]weighted{{1e308, 1}, {-1e308, 1}, {1e308, 1}, {-1e308, 1}}, math.NaN())
	f([]weighted{{0x1.fffffffffffffp989, 1 << 31}, {0x1.fffffffffffffp989, 1 << 31}, {-0x1.fffffffffffffp989, 1 << 31}}, 0x1.fffffffffffffp1020)
	f([]weighted{{0x1p-1074, 1 << 31}, {-0x1p-1074, 1<<31 - 1}}, 0x1p-1074)
	f([]weighted{{0, 3}, {1, 2}, {-2, 1}})
}

// TestTinyWeights: a held subnormal value must not cost an addition a frame.
func TestTinyWeights(t *testing.T) {
	const weight = 1<<53 + 1<<20 + 1
	var e expansion
	e.addProduct(0x1p-1074, weight)
	if got, want := exact(e.canonical()), new(big.Float).SetMantExp(big.NewFloat(0).SetPrec(64).SetUint64(weight), -1074); got.Cmp(want) != 0 {
		t.Errorf("the sum is %v, want %v", got, want)
	}
}

// TestSumLeavesParts: merging must not write to what it merges.
func TestSumLeavesParts(t *testing.T) {
	a, b := Sum{Terms: []float64{1e16, 1}}, Sum{Terms: []float64{3, 0x1p-60}}
	before := []Sum{{Terms: slices.Clone(a.Terms)}, {Terms: slices.Clone(b.Terms)}}
	c := a
	c.merge(&b)
	if diff := cmp.Diff(before, []Sum{a, b}); diff != "" {
		t.Errorf("the parts changed (-before +after):\n%s", diff)
	}
}
