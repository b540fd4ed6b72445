package aggregate

import (
	"math"

	"milepost/aggregate/histogram"
)

// Column is the raw values of a series in one window, in order of arrival, each
// with the number of samples that it stands for. The weights add up to less
// than 2^31.
type Column struct {
	Values  []int64
	Weights []uint32
}

// ColumnFolder turns columns into summaries. It holds scratch memory: one a
// goroutine.
type ColumnFolder struct {
	physical []float64
	few      Column
	counted  [fewValues]uint32
	index    histogram.Builder
}

// fewValues is the width of a raw range that is narrow enough to count the
// values before they are converted.
const fewValues = 256

// Fold summarises a column into out, whose counts are taken from the window's
// memory. It returns the number of samples that no number can stand for (NaN
// and infinities of a Float series), which are left out.
func (f *ColumnFolder) Fold(series *Series, c Column, window *Window, out *Summary) (notFinite uint64) {
	switch {
	case len(c.Values) == 0:
		out.Count = 0
		return 0
	case len(c.Values) == 1 && series.Kind == Integer:
		out.Constant(series, c.Values[0], uint64(c.Weights[0]), &window.countSlab)
		return 0
	}
	*out = Summary{Histogram: histogram.New()}
	switch {
	case series.Kind == Float:
		if c, notFinite = f.finite(c); len(c.Values) == 0 {
			return notFinite
		}
		f.foldFloat(c, out)
	case series.Kind == Integer && series.Bits > 0 && series.Bits <= 32:
		foldNarrow(c, out)
	default:
		foldWide(series.Kind, c, out)
	}
	f.histogram(series, c, window, out)
	return notFinite
}

// foldNarrow is for values of at most 32 bits: with weights that add up to less
// than 2^31 the sum is below 2^63 in magnitude.
func foldNarrow(c Column, out *Summary) {
	values, weights := c.Values, c.Weights[:len(c.Values)]
	low, high := values[0], values[0]
	var sum int64
	var count uint64
	for i, v := range values {
		w := weights[i]
		sum += v * int64(w)
		count += uint64(w)
		low, high = min(low, v), max(high, v)
	}
	out.Count = count
	out.Min, out.Max = low, high
	out.First, out.Last = values[0], values[len(values)-1]
	out.Sum.Low = uint64(sum)
	out.Sum.High = sum >> 63
}

func foldWide(kind Kind, c Column, out *Summary) {
	out.First, out.Last = c.Values[0], c.Values[len(c.Values)-1]
	out.Min, out.Max = out.First, out.First
	for i, v := range c.Values {
		w := uint64(c.Weights[i])
		out.Count += w
		out.Sum.addProduct(kind, v, w)
		if kind.less(v, out.Min) {
			out.Min = v
		}
		if kind.less(out.Max, v) {
			out.Max = v
		}
	}
}

func (f *ColumnFolder) foldFloat(c Column, out *Summary) {
	foldWide(Float, c, out)
	out.Sum = Sum{}
	var sum expansion
	for i, v := range c.Values {
		sum.addProduct(math.Float64frombits(uint64(v)), uint64(c.Weights[i]))
	}
	out.Sum.Terms = sum.canonical()
}

// finite leaves out what is no number, and knows one zero only.
func (f *ColumnFolder) finite(c Column) (kept Column, left uint64) {
	const exponent = 0x7ff << 52
	kept = Column{f.few.Values[:0], f.few.Weights[:0]}
	for i, v := range c.Values {
		if v&exponent == exponent {
			left += uint64(c.Weights[i])
			continue
		}
		if v == math.MinInt64 { // the bits of -0
			v = 0
		}
		kept.Values = append(kept.Values, v)
		kept.Weights = append(kept.Weights, c.Weights[i])
	}
	f.few = kept
	return kept, left
}

// histogram counts the physical values. Most series hold still within a second
// or take few values: what can be counted raw is converted once a value.
func (f *ColumnFolder) histogram(series *Series, c Column, window *Window, out *Summary) {
	a, b := series.Physical(out.Min), series.Physical(out.Max)
	if b < a {
		a, b = b, a
	}
	if math.IsNaN(a+b) || math.IsInf(a, 0) || math.IsInf(b, 0) { // of a factor or offset beyond all measure
		for i, v := range c.Values {
			out.Histogram.Add(series.Physical(v), uint64(c.Weights[i]))
		}
		return
	}
	if a == b {
		out.Histogram.Single(a, out.Count, &window.countSlab)
		return
	}
	if width := uint64(out.Max) - uint64(out.Min); series.Kind != Float && width < fewValues && width < uint64(len(c.Values)) {
		c = f.countRaw(c, out.Min, int(width)+1)
	}
	if cap(f.physical) < len(c.Values) {
		f.physical = make([]float64, max(256, 2*len(c.Values)))
	}
	physical := f.physical[:len(c.Values)]
	factor, offset := series.Factor, series.Offset
	if series.Kind == Integer {
		for i, v := range c.Values {
			physical[i] = float64(float64(v)*factor) + offset
		}
	} else {
		for i, v := range c.Values {
			physical[i] = series.Physical(v)
		}
	}
	f.index.Build(&out.Histogram, physical, c.Weights, a, b, &window.countSlab)
}

// countRaw counts the values from low on, width of them, and returns those that
// occur.
func (f *ColumnFolder) countRaw(c Column, low int64, width int) Column {
	counted := f.counted[:width]
	weights := c.Weights[:len(c.Values)]
	for i, v := range c.Values {
		counted[v-low] += weights[i]
	}
	few := Column{f.few.Values[:0], f.few.Weights[:0]}
	for i, n := range counted {
		if n != 0 {
			few.Values = append(few.Values, low+int64(i))
			few.Weights = append(few.Weights, n)
			counted[i] = 0
		}
	}
	f.few = few
	return few
}
