package dbc

import (
	"bytes"
	"math"
	"testing"

	einride "go.einride.tech/can"
	"pgregory.net/rapid"
)

// drawSignal makes a signal that fits n bytes.
func drawSignal(t *rapid.T, n int) *Signal {
	s := &Signal{Name: "S", Factor: 1, BigEndian: rapid.Bool().Draw(t, "big endian"), Signed: rapid.Bool().Draw(t, "signed")}
	s.Length = rapid.IntRange(1, min(64, 8*n)).Draw(t, "length")
	first := rapid.IntRange(0, 8*n-s.Length).Draw(t, "first")
	if s.Start = first; s.BigEndian {
		s.Start = first&^7 + 7 - first&7
	}
	return s
}

// TestPackAndDecode: what was packed is decoded, in a frame of any size, by
// frame and by column, and no other bit is touched.
func TestPackAndDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 64).Draw(t, "bytes")
		s := drawSignal(t, n)
		raw := rapid.Int64().Draw(t, "raw")
		if s.Signed {
			raw = raw << (64 - s.Length) >> (64 - s.Length)
		} else {
			raw = int64(uint64(raw) << (64 - s.Length) >> (64 - s.Length))
		}
		before := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "before")
		data := bytes.Clone(before)
		if err := s.Pack(data, raw); err != nil {
			t.Fatal(err)
		}
		m := &Message{Name: "M", ID: 1, Length: n, Signals: []*Signal{s}}
		plan := newPlan(m, false)
		v := plan.Decode(data, nil)[0]
		if v.Raw != raw || v.Physical != s.Physical(raw) || v.State != Present {
			t.Fatalf("decoded %+v, want %d", v, raw)
		}
		in := newPayloads(strideOf(n))
		for range rapid.IntRange(1, 9).Draw(t, "payloads") {
			in.add(data, 1)
		}
		var scratch Scratch
		plan.Begin(&scratch, in.Payloads)
		for _, got := range plan.Column(&scratch, 0).Values {
			if got != raw {
				t.Fatalf("column has %d, want %d", got, raw)
			}
		}
		// Only the signal's own bits differ: clearing it in both shows it.
		_ = s.Pack(data, 0)
		_ = s.Pack(before, 0)
		if !bytes.Equal(data, before) {
			t.Fatalf("other bits changed: %x, was %x", data, before)
		}
	})
}

// TestAgainstEinride compares with the bit packing of an independent library.
func TestAgainstEinride(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSignal(t, 8)
		var data einride.Data
		copy(data[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "data"))
		start, length := uint8(s.Start), uint8(s.Length)
		var want int64
		switch {
		case s.BigEndian && s.Signed:
			want = data.SignedBitsBigEndian(start, length)
		case s.BigEndian:
			want = int64(data.UnsignedBitsBigEndian(start, length))
		case s.Signed:
			want = data.SignedBitsLittleEndian(start, length)
		default:
			want = int64(data.UnsignedBitsLittleEndian(start, length))
		}
		plan := newPlan(&Message{ID: 1, Length: 8, Signals: []*Signal{s}}, false)
		if got := plan.Decode(data[:], nil)[0].Raw; got != want {
			t.Fatalf("%d|%d big endian %v: %d, want %d", s.Start, s.Length, s.BigEndian, got, want)
		}
	})
}

func TestPackErrors(t *testing.T) {
	m := &Message{Name: "M", Length: 2, Signals: []*Signal{{Name: "S", Start: 8, Length: 8}, {Name: "T", Length: 65}}}
	if err := m.Pack(make([]byte, 1), "S", 1); err == nil || err.Error() != "signal S ends in byte 2; the payload has 1" {
		t.Errorf("error is %v", err)
	}
	if err := m.Pack(make([]byte, 64), "T", 1); err == nil {
		t.Error("no error for 65 bits")
	}
	if err := m.Pack(make([]byte, 2), "none", 1); err == nil || err.Error() != "message M has no signal none" {
		t.Errorf("error is %v", err)
	}
}

// TestFloats: values of all float formats survive; 16 bits are checked for all
// their values.
func TestFloats(t *testing.T) {
	half := &Signal{Name: "S", Length: 16, Kind: Float16, Factor: 1}
	for bits := range 1 << 16 {
		f := float16(uint16(bits))
		back := toFloat16(f)
		if math.IsNaN(f) {
			if back&0x7C00 != 0x7C00 || back&0x3FF == 0 {
				t.Fatalf("%#x: NaN became %#x", bits, back)
			}
		} else if int(back) != bits {
			t.Fatalf("%#x: %v became %#x", bits, f, back)
		}
	}
	if f := float16(0x3555); math.Abs(f-1.0/3) > 1e-3 {
		t.Errorf("0x3555 is %v", f)
	}
	for _, test := range []struct {
		in   float64
		want float64
	}{{1e9, math.Inf(1)}, {65519, 65504}, {-65520, math.Inf(-1)}, {1e-9, 0}, {2049, 2048}, {2051, 2052}} {
		if got := float16(toFloat16(test.in)); got != test.want {
			t.Errorf("%v is rounded to %v, want %v", test.in, got, test.want)
		}
	}
	for kind, length := range map[Kind]int{Float16: 16, Float32: 32, Float64: 64} {
		for _, order := range []bool{false, true} {
			s := *half
			s.Kind, s.Length, s.BigEndian = kind, length, order
			if order {
				s.Start = 7
			}
			data := make([]byte, 8)
			if err := s.Pack(data, s.Raw(-1.5)); err != nil {
				t.Fatal(err)
			}
			plan := newPlan(&Message{ID: 1, Length: 8, Signals: []*Signal{&s}}, false)
			if v := plan.Decode(data, nil)[0]; v.Physical != -1.5 {
				t.Errorf("%d bits: %v", length, v.Physical)
			}
		}
	}
}

func TestRaw(t *testing.T) {
	tests := []struct {
		signal   Signal
		physical float64
		want     int64
	}{
		{Signal{Length: 8, Factor: 0.5, Offset: -40}, 10, 100},
		{Signal{Length: 8, Factor: 0.5, Offset: -40}, 10.3, 101},
		{Signal{Length: 8, Factor: 1}, 300, 255},
		{Signal{Length: 8, Factor: 1}, -1, 0},
		{Signal{Length: 8, Factor: 1, Signed: true}, -300, -128},
		{Signal{Length: 8, Factor: 1, Signed: true}, -128, -128},
		{Signal{Length: 8, Factor: 1, Signed: true}, 128, 127},
		{Signal{Length: 64, Factor: 1}, 1e30, -1},
		{Signal{Length: 64, Factor: 1, Signed: true}, 1e30, math.MaxInt64},
		{Signal{Length: 64, Factor: 1, Signed: true}, -1e30, math.MinInt64},
		{Signal{Length: 8, Factor: 0}, 0, 0},
	}
	for _, test := range tests {
		if got := test.signal.Raw(test.physical); got != test.want {
			t.Errorf("%+v: raw of %v is %d, want %d", test.signal, test.physical, got, test.want)
		}
	}
}
