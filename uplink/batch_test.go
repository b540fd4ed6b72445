package uplink

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
)

var testGroups = []*aggregate.Group{
	{Bus: "can0", ID: 0x123, HasID: true, Name: "Engine", Series: []aggregate.Series{
		{Name: "Speed", Unit: "rpm", Kind: aggregate.Integer, Bits: 16, Factor: 0.25},
		{Name: "Temperature", Unit: "°C", Kind: aggregate.Integer, Bits: 8, Factor: 1, Offset: -40},
		{Name: "Total", Kind: aggregate.Unsigned64, Bits: 64, Factor: 1},
	}},
	{Bus: "can0", ID: 0x18FEF1FE, HasID: true, Extended: true, Name: "Cruise", Series: []aggregate.Series{
		{Name: "Ratio", Kind: aggregate.Float, Bits: 32, Factor: 1},
	}},
	{Bus: "gpio", Name: "Doors", Series: []aggregate.Series{{Name: "Left", Kind: aggregate.Integer, Bits: 2, Factor: 1}}},
}

func drawRaw(t *rapid.T, s *aggregate.Series) int64 {
	switch s.Kind {
	case aggregate.Float:
		return int64(math.Float64bits(rapid.Float64().Draw(t, s.Name)))
	case aggregate.Unsigned64:
		return rapid.Int64().Draw(t, s.Name)
	default:
		return rapid.Int64Range(-1<<(s.Bits-1), 1<<(s.Bits-1)-1).Draw(t, s.Name)
	}
}

// drawWindows makes windows as a gateway does: groups in order, summaries
// folded from columns.
func drawWindows(t *rapid.T) []*aggregate.Window {
	var folder aggregate.ColumnFolder
	var windows []*aggregate.Window
	for i := range rapid.IntRange(0, 4).Draw(t, "windows") {
		w := aggregate.NewWindow(int64(i-1)*1e9, 1e9, rapid.Uint32().Draw(t, "revision"))
		w.Clock = aggregate.Clock(rapid.IntRange(0, int(aggregate.ClockSynchronized)).Draw(t, "clock"))
		w.ClockOffset = rapid.SampledFrom([]int64{0, 1, -5e9, 1_780_000_000e9, math.MaxInt64, math.MinInt64}).Draw(t, "offset")
		for _, g := range testGroups {
			if rapid.Bool().Draw(t, "skip "+g.Name) {
				continue
			}
			summaries := w.AddGroup(g)
			for j := range g.Series {
				var c aggregate.Column
				for range rapid.IntRange(0, 6).Draw(t, "samples") {
					c.Values = append(c.Values, drawRaw(t, &g.Series[j]))
					c.Weights = append(c.Weights, rapid.Uint32Range(1, 1000).Draw(t, "weight"))
				}
				folder.Fold(&g.Series[j], c, w, &summaries[j])
				summaries[j].Absent = summaries[j].Count == 0 && rapid.Bool().Draw(t, "absent")
			}
		}
		windows = append(windows, w)
	}
	return windows
}

// sameBits compares numbers by their bits: a sum that is NaN is equal to itself.
var sameBits = cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })

func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		boot := BootID{1, 2, 3, 15: 9}
		e := NewBatchEncoder("car-1", boot, 41)
		var d BatchDecoder
		sequence := uint64(41)
		for range 2 { // two batches: the second must not lean on the first
			var want []Record
			for _, w := range drawWindows(t) {
				for i := range w.Groups {
					g := &w.Groups[i]
					for j, s := range g.Summaries {
						if s.Count == 0 && !s.Absent {
							continue
						}
						if s.Absent {
							s = aggregate.Summary{Absent: true, Histogram: histogram.New()}
						}
						r := Record{
							Device: "car-1", Boot: boot, Sequence: sequence, Start: w.Start, Duration: w.Duration, Revision: w.Revision,
							Group: g.Group, Series: &g.Group.Series[j], Summary: s,
						}
						if w.Clock != aggregate.ClockUnknown {
							r.Clock, r.Uptime = w.Clock, w.Start-w.ClockOffset
						}
						want = append(want, r)
						sequence++
					}
				}
				e.Add(w)
			}
			payload := e.Take()
			if len(want) == 0 {
				if payload != nil {
					t.Fatalf("a batch without records has %d bytes", len(payload))
				}
				continue
			}
			got, err := d.Decode(payload, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, sameBits); diff != "" {
				t.Fatalf("(-encoded +decoded)\n%s", diff)
			}
		}
		if e.Sequence() != sequence {
			t.Fatalf("next sequence %d, want %d", e.Sequence(), sequence)
		}
	})
}

func FuzzBatchDecode(f *testing.F) {
	e := NewBatchEncoder("car-1", BootID{7}, 1)
	w := aggregate.NewWindow(1e9, 1e9, 0)
	g := &aggregate.Group{Bus: "can0", ID: 1, HasID: true, Name: "M", Series: []aggregate.Series{{Name: "S", Unit: "V", Bits: 8, Factor: 1}}}
	var folder aggregate.ColumnFolder
	folder.Fold(&g.Series[0], aggregate.Column{Values: []int64{1, 200, 0, -7}, Weights: []uint32{1, 2, 3, 300}}, w, &w.AddGroup(g)[0])
	e.Add(w)
	f.Add(append([]byte(nil), e.Take()...))
	e.Add(w)
	w = aggregate.NewWindow(2e9, 1e9, 0)
	w.Stamp = aggregate.Stamp{Clock: aggregate.ClockUnset, ClockOffset: -5}
	w.AddGroup(g)[0].Absent = true
	e.Add(w)
	f.Add(append([]byte(nil), e.Take()...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		var d BatchDecoder
		records, err := d.Decode(payload, nil)
		if err != nil && len(records) > 0 {
			t.Fatalf("%d records beside the error %v", len(records), err)
		}
		for i := range records {
			r := &records[i]
			if n := r.Summary.Histogram.Count(); (r.Summary.Count == 0) != r.Summary.Absent || (r.Series.Kind != aggregate.Float && n != r.Summary.Count) {
				t.Fatalf("record %d: %d samples, %d in the histogram", i, r.Summary.Count, n)
			}
			r.Value()
			for _, encoding := range []Encoding{JSON, Protobuf, OTLP, CSV} {
				encoding.AppendOne(nil, r)
			}
		}
	})
}

func BenchmarkBatchEncode(b *testing.B) {
	g := &aggregate.Group{Bus: "can0", ID: 1, HasID: true, Name: "M"}
	w := aggregate.NewWindow(1e9, 1e9, 0)
	for range 6 {
		g.Series = append(g.Series, aggregate.Series{Name: "Signal", Unit: "V", Bits: 16, Factor: 0.01})
	}
	var folder aggregate.ColumnFolder
	for range 100 {
		summaries := w.AddGroup(g)
		for j := range summaries {
			c := aggregate.Column{Values: []int64{int64(1000 * j)}, Weights: []uint32{100}}
			if j%3 == 0 {
				for k := range 20 {
					c.Values = append(c.Values, int64(1000*j+5*k*k))
					c.Weights = append(c.Weights, 5)
				}
			}
			folder.Fold(&g.Series[j], c, w, &summaries[j])
		}
	}
	e := NewBatchEncoder("car-1", BootID{7}, 1)
	b.ReportAllocs()
	var bytes int
	for range b.N {
		e.Add(w)
		if e.Size() > 128<<10 {
			bytes += len(e.Take())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/600, "ns/record")
	b.ReportMetric(float64(bytes)/float64(b.N)/600, "B/record")
}
