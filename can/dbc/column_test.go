package dbc

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// payloads collects payloads for columns.
type payloads struct {
	Payloads
}

func newPayloads(stride int) *payloads { return &payloads{Payloads{Stride: stride}} }

func (p *payloads) add(data []byte, weight uint32) {
	if len(data) > p.Stride {
		panic("payload longer than the stride")
	}
	p.Data = append(p.Data, data...)
	p.Data = append(p.Data, make([]byte, p.Stride-len(data))...)
	p.Lens = append(p.Lens, uint8(len(data)))
	p.Weights = append(p.Weights, weight)
}

// checkColumns compares the columns of the payloads with the frames decoded one
// by one, and returns the number of samples.
func checkColumns(t *testing.T, plan *Plan, s *Scratch, in Payloads) (samples uint64) {
	t.Helper()
	type column struct {
		values              []int64
		weights             []uint32
		short, notAvailable uint64
	}
	want := make(map[*Signal]*column)
	for _, signal := range plan.Signals() {
		want[signal] = new(column)
	}
	var wantCounts Counts
	var values []Value
	for i, l := range in.Lens {
		weight := in.Weights[i]
		values = plan.Decode(in.Data[i*in.Stride:][:l], values[:0])
		wantCounts.Frames += uint64(weight)
		switch {
		case int(l) < plan.Message.Length:
			wantCounts.Short += uint64(weight)
		case int(l) > plan.Message.Length:
			wantCounts.Long += uint64(weight)
		}
		unknown := false
		for _, v := range values {
			c := want[v.Signal]
			switch v.State {
			case Short:
				c.short += uint64(weight)
			case NotAvailable:
				c.notAvailable += uint64(weight)
			default:
				unknown = unknown || v.State == UnknownMultiplexor
				c.values = append(c.values, v.Raw)
				c.weights = append(c.weights, weight)
			}
		}
		if unknown {
			wantCounts.UnknownMultiplexor += uint64(weight)
		}
	}
	if got := plan.Begin(s, in); got != wantCounts {
		t.Errorf("message %s: counts are %+v, want %+v", plan.Message.Name, got, wantCounts)
	}
	for i, signal := range plan.Signals() {
		got, w := plan.Column(s, i), want[signal]
		got.Values, got.Weights = inRuns(got.Values, got.Weights)
		w.values, w.weights = inRuns(w.values, w.weights)
		ok := got.Short == w.short && got.NotAvailable == w.notAvailable &&
			len(got.Values) == len(w.values) && len(got.Weights) == len(w.weights)
		for j := 0; ok && j < len(w.values); j++ {
			ok = got.Values[j] == w.values[j] && got.Weights[j] == w.weights[j]
		}
		if !ok {
			t.Fatalf("message %s, signal %s:\ncolumn %+v\nframes %+v", plan.Message.Name, signal.Name, got, *w)
		}
		for _, weight := range got.Weights {
			samples += uint64(weight)
		}
	}
	return samples
}

// inRuns takes equal values in a row together.
func inRuns(values []int64, weights []uint32) (v []int64, w []uint32) {
	for i := range values {
		if n := len(v); n > 0 && v[n-1] == values[i] {
			w[n-1] += weights[i]
			continue
		}
		v, w = append(v, values[i]), append(w, weights[i])
	}
	return v, w
}

// strideOf returns the stride for payloads of up to n bytes.
func strideOf(n int) int { return max(8, (n+7)&^7) }

func TestColumnsAgreeWithFrames(t *testing.T) {
	data := dataDir(t)
	random := rand.New(rand.NewPCG(1, 2))
	var s Scratch // one for all: buffers must not leak from one plan to the next
	var samples uint64
	for _, path := range dbcFiles(t, data) {
		db := parseFile(t, data, path)
		vectors := make(map[string][]refVector)
		for _, m := range readReference(t, data, path).Messages {
			vectors[fmt.Sprint(m.ID, m.Extended)] = append(m.Vectors, m.LengthCases...)
		}
		for _, keep := range []bool{true, false} {
			decoder := Compile([]*Database{db}, Options{Match: MatchJ1939, KeepNotAvailable: keep})
			for _, plan := range decoder.Plans() {
				m := plan.Message
				longest := min(m.Length, 64)
				same := newPayloads(strideOf(longest))
				mixed := newPayloads(strideOf(longest + 9))
				if longest+9 > 255 {
					t.Fatal(longest)
				}
				for _, v := range vectors[fmt.Sprint(m.ID, m.Extended)] {
					payload, _ := hex.DecodeString(v.Data)
					if len(payload) <= mixed.Stride {
						mixed.add(payload, 1+random.Uint32N(9))
					}
					if len(payload) == longest {
						same.add(payload, 1+random.Uint32N(9))
					}
				}
				for range 30 {
					payload := randomPayload(random, m, longest)
					same.add(payload, 1+random.Uint32N(3))
					mixed.add(payload[:random.IntN(longest+1)], 1)
					mixed.add(append(payload, 0xFF), 2)
				}
				samples += checkColumns(t, plan, &s, same.Payloads)
				samples += checkColumns(t, plan, &s, mixed.Payloads)
			}
		}
	}
	t.Logf("compared %d samples", samples)
}

// randomPayload makes payloads that reach the corners: selected multiplexer
// pages, all ones, all zeros.
func randomPayload(random *rand.Rand, m *Message, length int) []byte {
	payload := make([]byte, length, length+1)
	switch random.IntN(8) {
	case 0:
		for i := range payload {
			payload[i] = 0xFF
		}
	case 1: // zeros
	default:
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
	}
	for _, s := range m.Signals {
		if s.Multiplexer != nil && len(s.MultiplexerRanges) > 0 && random.IntN(4) == 0 {
			r := s.MultiplexerRanges[random.IntN(len(s.MultiplexerRanges))]
			_ = s.Multiplexer.Pack(payload, r.First) // too short a payload is a case, too
		}
	}
	return payload
}

func TestColumnOfNothing(t *testing.T) {
	db := mustParse(t, `BO_ 1 M: 8 X
 SG_ P M : 0|8@1+ (1,0) [0|0] "" X
 SG_ A m0 : 8|8@1+ (1,0) [0|0] "" X`)
	var s Scratch
	plan := Compile([]*Database{db}, Options{}).Lookup(1, false)
	if got := plan.Begin(&s, Payloads{Stride: 8}); got != (Counts{}) {
		t.Errorf("counts are %+v", got)
	}
	for i := range plan.Signals() {
		if c := plan.Column(&s, i); len(c.Values) != 0 || len(c.Weights) != 0 || c.Short != 0 {
			t.Errorf("column %d is %+v", i, c)
		}
	}
}

// TestColumnSharesWeights: where every payload carries the signal, its weights
// are not copied.
func TestColumnSharesWeights(t *testing.T) {
	db := mustParse(t, `BO_ 1 M: 2 X
 SG_ A : 0|16@1- (1,0) [0|0] "" X`)
	plan := Compile([]*Database{db}, Options{}).Lookup(1, false)
	in := newPayloads(8)
	in.add([]byte{1, 0}, 3)
	in.add([]byte{0xFE, 0xFF}, 4)
	var s Scratch
	plan.Begin(&s, in.Payloads)
	c := plan.Column(&s, 0)
	if &c.Weights[0] != &in.Weights[0] || c.Values[0] != 1 || c.Values[1] != -2 {
		t.Errorf("column is %+v", c)
	}
}

func TestColumnsDoNotAllocate(t *testing.T) {
	for name, plan := range benchmarkPlans(t) {
		var s Scratch
		in := benchmarkPayloads(plan, 40)
		run := func() { decodeColumns(plan, &s, in) }
		run()
		if n := testing.AllocsPerRun(10, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// benchmarkPlans are plain signals in all shapes, and many multiplexed ones.
func benchmarkPlans(t testing.TB) map[string]*Plan {
	plain := func(order string, lengths ...int) *Plan {
		text, start := "BO_ 1 M: 8 X\n", 0
		for i, l := range lengths {
			first := start
			if order[0] == '0' {
				first = start&^7 + 7 - start&7
			}
			text += fmt.Sprintf(" SG_ S%d : %d|%d@%s (0.5,-40) [0|0] \"\" X\n", i, first, l, order)
			start += l
		}
		return Compile([]*Database{mustParse(t, text)}, Options{}).Lookup(1, false)
	}
	paged := "BO_ 1 M: 8 X\n SG_ P M : 0|8@1+ (1,0) [0|0] \"\" X\n"
	for i := range 150 {
		paged += fmt.Sprintf(" SG_ S%d m%d : 8|16@1+ (1,0) [0|0] \"\" X\n", i, i)
	}
	j1939 := "BO_ 2364540158 EEC1: 8 X\n"
	for i := range 4 {
		j1939 += fmt.Sprintf(" SG_ S%d : %d|16@1+ (0.125,0) [0|0] \"\" X\n", i, 16*i)
	}
	return map[string]*Plan{
		"intel":           plain("1+", 1, 7, 8, 12, 4, 16, 16),
		"intel signed":    plain("1-", 8, 8, 12, 4, 16, 16),
		"motorola":        plain("0+", 1, 7, 8, 12, 4, 16, 16),
		"motorola signed": plain("0-", 8, 8, 12, 4, 16, 16),
		"j1939":           Compile([]*Database{mustParse(t, j1939)}, Options{Match: MatchJ1939}).Lookup(0x0CF00400, true),
		"150 pages":       Compile([]*Database{mustParse(t, paged)}, Options{}).Lookup(1, false),
	}
}

func benchmarkPayloads(plan *Plan, n int) Payloads {
	random := rand.New(rand.NewPCG(3, 4))
	in := newPayloads(8)
	for i := range n {
		payload := make([]byte, 8)
		for j := range payload {
			payload[j] = byte(random.Uint32N(250))
		}
		payload[0] = byte(i * 7 % 150)
		in.add(payload, 1)
	}
	return in.Payloads
}

func BenchmarkColumns(b *testing.B) {
	for _, name := range []string{"intel", "intel signed", "motorola", "motorola signed", "j1939", "150 pages"} {
		plan := benchmarkPlans(b)[name]
		for _, n := range []int{16, 100} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				in := benchmarkPayloads(plan, n)
				var s Scratch
				samples := 0
				b.ReportAllocs()
				for b.Loop() {
					samples += decodeColumns(plan, &s, in)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/math.Max(1, float64(samples)), "ns/sample")
			})
		}
	}
}

// decodeColumns is what a consumer does, outside of the benchmark's loop, whose
// body the compiler does not optimise.
func decodeColumns(plan *Plan, s *Scratch, in Payloads) (samples int) {
	plan.Begin(s, in)
	for i := range plan.Signals() {
		column := plan.Column(s, i)
		samples += len(column.Values)
	}
	return samples
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"intel", "150 pages"} {
		b.Run(name, func(b *testing.B) {
			plan := benchmarkPlans(b)[name]
			in := benchmarkPayloads(plan, 1)
			var values []Value
			b.ReportAllocs()
			for b.Loop() {
				values = plan.Decode(in.Data, values[:0])
			}
		})
	}
}
