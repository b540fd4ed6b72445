package canlog

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"milepost/can"
)

func TestWriter(t *testing.T) {
	data := [can.MaxDataLen]byte{0x00, 0x14, 0xDF, 0x14, 0xBB, 0xCA, 0x3A, 0x91, 0xA5}
	frame := func(id uint32, flags can.Flags, length, raw uint8) can.Frame {
		return can.Frame{Time: 1533201287_000013_999, ID: id, Flags: flags, Len: length, RawDLC: raw, Data: data}
	}
	for _, test := range []struct {
		frame can.Frame
		opts  WriterOptions
		want  string
	}{
		{frame(0x2C1, 0, 8, 0), WriterOptions{}, "(1533201287.000013) can0 2C1#0014DF14BBCA3A91"},
		{frame(0x2C1, 0, 0, 0), WriterOptions{}, "(1533201287.000013) can0 2C1#"},
		{frame(0x2C1, can.Extended, 3, 0), WriterOptions{}, "(1533201287.000013) can0 000002C1#0014DF"},
		{frame(0x2C1, 0, 1, 0), WriterOptions{Nanoseconds: true}, "(1533201287.000013999) can0 2C1#00"},
		{frame(0x2C1, can.Sent, 1, 0), WriterOptions{Direction: true}, "(1533201287.000013) can0 2C1#00 T"},
		{frame(0x2C1, 0, 1, 0), WriterOptions{Direction: true}, "(1533201287.000013) can0 2C1#00 R"},
		{frame(0x2C1, 0, 8, 0xC), WriterOptions{}, "(1533201287.000013) can0 2C1#0014DF14BBCA3A91_C"},
		{frame(0x2C1, can.Remote, 0, 0), WriterOptions{}, "(1533201287.000013) can0 2C1#R"},
		{frame(0x2C1, can.Remote, 5, 0), WriterOptions{}, "(1533201287.000013) can0 2C1#R5"},
		{frame(0x2C1, can.Remote, 8, 9), WriterOptions{}, "(1533201287.000013) can0 2C1#R8_9"},
		{frame(0x080, can.Error, 8, 0), WriterOptions{}, "(1533201287.000013) can0 20000080#0014DF14BBCA3A91"},
		{frame(0x2C1, can.FD, 9, 0), WriterOptions{}, "(1533201287.000013) can0 2C1##40014DF14BBCA3A91A5"},
		{frame(0x2C1, can.FD|can.BRS, 1, 0), WriterOptions{}, "(1533201287.000013) can0 2C1##500"},
		{frame(0x2C1, can.FD|can.BRS|can.ESI, 0, 0), WriterOptions{}, "(1533201287.000013) can0 2C1##7"},
	} {
		var text strings.Builder
		w := NewWriter(&text, test.opts)
		if err := w.WriteFrame(&test.frame, "can0"); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := text.String(); got != test.want+"\n" {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	var text strings.Builder
	w := NewWriter(&text, WriterOptions{})
	for _, test := range []struct {
		frame can.Frame
		bus   string
	}{
		{can.Frame{Time: -1}, "can0"},
		{can.Frame{Len: 9}, "can0"},
		{can.Frame{Len: 65, Flags: can.FD}, "can0"},
		{can.Frame{ID: 0x800}, "can0"},
		{can.Frame{ID: 1 << 29, Flags: can.Extended}, "can0"},
		{can.Frame{Flags: can.FD | can.Remote}, "can0"},
		{can.Frame{Flags: can.Error | can.Remote}, "can0"},
		{can.Frame{Len: 7, RawDLC: 9}, "can0"},
		{can.Frame{Len: 8, RawDLC: 16}, "can0"},
		{can.Frame{}, ""},
		{can.Frame{}, "can 0"},
		{can.Frame{}, "can#0"},
		{can.Frame{}, "can0\n"},
	} {
		if err := w.WriteFrame(&test.frame, test.bus); err == nil {
			t.Errorf("%+v on %q was written", test.frame, test.bus)
		}
	}
	if err := w.Write([]can.Frame{{Bus: 1}}, []string{"can0"}); err == nil {
		t.Error("a frame of an unknown bus was written")
	}
	if err := w.WriteFrame(&can.Frame{}, "can0"); err != nil {
		t.Errorf("a good frame after refused ones: %v", err)
	}
	w.Flush()
	if got, want := text.String(), "(0000000000.000000) can0 000#\n"; got != want {
		t.Errorf("written: %q, want %q", got, want)
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

func TestWriterError(t *testing.T) {
	disk := errors.New("disk full")
	w := NewWriter(brokenWriter{disk}, WriterOptions{})
	var err error
	for range 10_000 {
		if err = w.WriteFrame(&can.Frame{Len: 8}, "can0"); err != nil {
			break
		}
	}
	if !errors.Is(err, disk) || !errors.Is(w.Flush(), disk) {
		t.Errorf("got %v and %v", err, w.Flush())
	}
}

// drawFrame draws any frame that there can be.
func drawFrame(t *rapid.T) can.Frame {
	f := can.Frame{
		Time: rapid.Int64Range(0, maxSeconds*1e9).Draw(t, "time"),
		ID:   rapid.Uint32Range(0, can.MaxStandardID).Draw(t, "id"),
		Len:  uint8(rapid.IntRange(0, 8).Draw(t, "len")),
		Bus:  uint16(rapid.IntRange(0, 2).Draw(t, "bus")),
	}
	wide := rapid.Uint32Range(0, can.MaxExtendedID)
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		f.Flags = can.Error
		f.ID = wide.Draw(t, "class")
	case 1:
		f.Flags = can.Remote
	case 2:
		f.Flags = can.FD | rapid.SampledFrom([]can.Flags{0, can.BRS, can.ESI, can.BRS | can.ESI}).Draw(t, "fd")
		f.Len = uint8(rapid.IntRange(0, 64).Draw(t, "fd len"))
	}
	if f.Flags&can.Error == 0 && rapid.Bool().Draw(t, "extended") {
		f.Flags |= can.Extended
		f.ID = wide.Draw(t, "extended id")
	}
	if f.Len == 8 && f.Flags&can.FD == 0 && rapid.Bool().Draw(t, "raw") {
		f.RawDLC = uint8(rapid.IntRange(9, 15).Draw(t, "raw dlc"))
	}
	if rapid.Bool().Draw(t, "sent") {
		f.Flags |= can.Sent
	}
	if f.Flags&can.Remote == 0 {
		for i := range f.Data[:f.Len] {
			f.Data[i] = rapid.Byte().Draw(t, "data")
		}
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	buses := []string{"can0", "vcan1", "a-name-that-is-rather-long"}
	rapid.Check(t, func(t *rapid.T) {
		frames := rapid.SliceOfN(rapid.Custom(drawFrame), 1, 20).Draw(t, "frames")
		// Frames of few streams and times, too, so that the fast path has work.
		for i := range frames {
			if rapid.Bool().Draw(t, "like the first") {
				frames[i].ID, frames[i].Bus = frames[0].ID, 0
				frames[i].Flags = frames[0].Flags | frames[i].Flags&can.Sent
				frames[i].Len, frames[i].RawDLC = frames[0].Len, frames[0].RawDLC
				clear(frames[i].Data[frames[i].Len:])
				if frames[i].Flags&can.Remote != 0 {
					clear(frames[i].Data[:])
				}
			}
		}
		opts := WriterOptions{Nanoseconds: rapid.Bool().Draw(t, "ns"), Direction: true}
		var text bytes.Buffer
		w := NewWriter(&text, opts)
		if err := w.Write(frames, buses); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		var want []named
		for i := range frames {
			f := frames[i]
			if !opts.Nanoseconds {
				f.Time -= f.Time % 1000
			}
			if f.Flags&(can.Remote|can.Error) != 0 {
				f.Stream = can.NoStream
			}
			want = append(want, name(&f, buses))
		}
		log, err := NewReader("log", bytes.NewReader(text.Bytes()), Options{
			OnProblem: func(p Problem) { t.Errorf("%s", p) },
		})
		if err != nil {
			t.Fatalf("%v: %s", err, text.Bytes())
		}
		var got []named
		batch := make([]can.Frame, 8)
		for {
			n, err := log.Read(batch)
			for i := range batch[:n] {
				got = append(got, name(&batch[i], log.Buses()))
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("read back (-written +read):\n%s", diff)
		}
	})
}

func TestWriterAllocatesNothing(t *testing.T) {
	w := NewWriter(io.Discard, WriterOptions{Direction: true})
	frames := []can.Frame{{Time: 1e18, Len: 8}, {Time: 2e18, Len: 64, Flags: can.FD}, {ID: 5, Flags: can.Remote}}
	buses := []string{"can0"}
	if allocs := testing.AllocsPerRun(1000, func() {
		if err := w.Write(frames, buses); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%g allocations in 3 frames", allocs)
	}
}

func BenchmarkWriter(b *testing.B) {
	w := NewWriter(io.Discard, WriterOptions{})
	f := can.Frame{Time: 1533201287_000013_000, ID: 0x2C1, Len: 8}
	for b.Loop() {
		f.Time += 190_000
		if err := w.WriteFrame(&f, "can0"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
}
