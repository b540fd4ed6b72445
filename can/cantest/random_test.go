package cantest

import (
	"testing"

	"milepost/can"
)

func TestRandomFramesAreValid(t *testing.T) {
	options := RandomOptions{Buses: 3, FD: true, Remote: true, Error: true, Sent: true, RawDLC: true}
	frames := RandomFrames(1, 20_000, options)
	var kinds struct{ extended, remote, error, fd, brs, esi, sent, repeat, rawDLC, bus2 int }
	count := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	last := int64(0)
	var marks marks
	for i := range frames {
		f := &frames[i]
		count(&kinds.extended, f.Is(can.Extended))
		count(&kinds.remote, f.Is(can.Remote))
		count(&kinds.error, f.Is(can.Error))
		count(&kinds.fd, f.Is(can.FD))
		count(&kinds.brs, f.Is(can.BRS))
		count(&kinds.esi, f.Is(can.ESI))
		count(&kinds.sent, f.Is(can.Sent))
		again := *f
		count(&kinds.repeat, marks.mark(&again))
		count(&kinds.rawDLC, f.RawDLC != 0)
		count(&kinds.bus2, f.Bus == 2)
		limit, fits := uint32(can.MaxStandardID), f.Len <= 8
		if f.Flags&(can.Extended|can.Error) != 0 {
			limit = can.MaxExtendedID
		}
		if f.Is(can.FD) {
			fits = false
			for dlc := range uint8(16) {
				fits = fits || int(f.Len) == can.LenOfDLC(dlc, true)
			}
		}
		switch {
		case f.ID > limit || !fits || f.Time <= last || f.Bus > 2,
			f.Flags&(can.BRS|can.ESI) != 0 && !f.Is(can.FD),
			f.Is(can.Remote) && (f.Flags&(can.FD|can.Error) != 0 || f.Data != [64]byte{}),
			f.Is(can.Error) && (f.Len != 8 || f.ID == 0 || f.Flags&(can.Extended|can.FD) != 0),
			f.RawDLC != 0 && (f.RawDLC < 9 || f.RawDLC > 15 || f.Len != 8 || f.Is(can.FD)),
			(f.Stream == can.NoStream) != (f.Flags&(can.Remote|can.Error) != 0):
			t.Fatalf("frame %d is not valid: %+v", i, *f)
		}
		for _, b := range f.Data[f.Len:] {
			if b != 0 {
				t.Fatalf("frame %d: data beyond its length: %+v", i, *f)
			}
		}
		last = f.Time
	}
	t.Logf("%+v", kinds)
	for i, n := range []int{kinds.extended, kinds.remote, kinds.error, kinds.fd, kinds.brs, kinds.esi, kinds.sent, kinds.repeat, kinds.rawDLC, kinds.bus2} {
		if n < 50 {
			t.Errorf("kind %d occurs %d times", i, n)
		}
	}
	for _, f := range RandomFrames(1, 5000, RandomOptions{}) {
		if f.Flags&^can.Extended != 0 || f.RawDLC != 0 || f.Bus != 0 {
			t.Fatalf("not asked for: %+v", f)
		}
	}
}

// A SliceSource delivers the frames as they are, whatever the size of the reads.
func TestSliceSource(t *testing.T) {
	frames := RandomFrames(2, 1000, RandomOptions{Buses: 2, FD: true, Remote: true, Error: true})
	plain := make([]can.Frame, len(frames))
	for i, f := range frames {
		f.Stream = 99
		plain[i] = f
	}
	source := SliceSource(plain, []string{"can0", "can1"})
	plain[0].ID++ // it has copies
	i := 0
	readAll(t, source, func(f *can.Frame) {
		if *f != frames[i] {
			t.Fatalf("frame %d: %+v, want %+v", i, *f, frames[i])
		}
		i++
	})
	if i != len(frames) || len(source.Buses()) != 2 {
		t.Errorf("%d frames of %q", i, source.Buses())
	}
}
