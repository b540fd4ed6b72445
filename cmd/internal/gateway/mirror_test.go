package gateway

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"milepost/can"
	"milepost/can/cantest"
)

// TestMirrors: each step is a bus, a time in ms and a payload; the frames that
// are duplicates are marked with an x.
func TestMirrors(t *testing.T) {
	tests := []struct{ name, steps string }{
		{"a copy", "a0:1 b3:1x"},
		{"either bus first", "a0:1 b3:1x b20:2 a21:2x"},
		{"no copy: other payloads", "a0:1 b3:2 a4:2x b4:1x"},
		{"no copy: the same bus", "a0:1 a1:1 a2:1"},
		{"equal frames twice on each bus", "a0:1 a1:1 b2:1x b3:1x b4:1"},
		{"within the time, to the last", "a0:1 b10:1x"},
		{"overdue", "a0:1 b11:1 a12:1x"},
		{"a copy with an earlier time", "a20:1 b12:1x"},
		{"too early", "a20:1 b9:1"},
		{"three buses", "a0:1 b1:1x c2:1x a3:1 c4:1x b5:1x"},
		{"three buses, one silent", "a0:1 b1:1x a2:1 b3:1x c4:1x c5:1x c6:1"},
		{"a bus that mirrors nothing", "a0:1 d1:1 b2:1x d3:1"},
		{"another group", "a0:1 e1:1 f2:1x b3:1x"},
	}
	buses := []string{"a", "b", "c", "d", "e", "f"}
	for _, test := range tests {
		m := newMirrorFilter([]Mirror{
			{Buses: []string{"a", "b", "c"}, Within: 10 * time.Millisecond},
			{Buses: []string{"e", "f"}, Within: 10 * time.Millisecond},
		})
		source := cantest.SliceSource(nil, buses)
		var got []string
		for _, step := range strings.Fields(test.steps) {
			var bus byte
			var ms int64
			var payload uint8
			if _, err := fmt.Sscanf(step, "%c%d:%d", &bus, &ms, &payload); err != nil {
				t.Fatal(err)
			}
			f := can.Frame{Time: ms * 1e6, ID: 5, Bus: uint16(bus - 'a'), Len: 8}
			f.Data[0] = payload
			if m.duplicate(source, &f) {
				step = strings.TrimSuffix(step, "x") + "x"
			} else {
				step = strings.TrimSuffix(step, "x")
			}
			got = append(got, step)
			// Others that look alike are no copies.
			for _, other := range []can.Frame{{ID: 5, Flags: can.Extended, Len: 8}, {ID: 6, Len: 8}, {ID: 5, Len: 7}} {
				other.Time, other.Bus, other.Data = f.Time, 0, f.Data
				other.ID += 100 * uint32(len(got)) // each of them once
				if m.duplicate(source, &other) {
					t.Errorf("%s: %+v is a copy", test.name, other)
				}
			}
		}
		if got := strings.Join(got, " "); got != test.steps {
			t.Errorf("%s:\n have %s\n want %s", test.name, got, test.steps)
		}
	}
}

// TestMirroredDrive: the second bus repeats all frames of the first, a little
// later each; the summaries are those of the first alone.
func TestMirroredDrive(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	one := cantest.RandomFrames(5, 5000, cantest.RandomOptions{IDs: 10, FD: true, Remote: true, Error: true})
	for i := range one {
		if len(one[i].Payload()) > 0 && random.IntN(2) == 0 {
			clear(one[i].Data[:]) // frames that are equal
		}
	}
	var both []can.Frame
	next := 0
	delay := func(i int) int64 { return 1_000_000 + int64(i%7)*100_000 }
	for i := range one {
		for next < i && one[next].Time+delay(next) <= one[i].Time {
			copied := one[next]
			copied.Bus, copied.Time = 1, copied.Time+delay(next)
			both = append(both, copied)
			next++
		}
		both = append(both, one[i])
	}
	for ; next < len(one); next++ {
		copied := one[next]
		copied.Bus, copied.Time = 1, copied.Time+delay(next)
		both = append(both, copied)
	}
	buses := []string{"can0", "can1"}
	bindings := bind(t, databaseOf(one))
	o := DefaultOptions()
	o.Mirrors = []Mirror{{Buses: buses, Within: 10 * time.Millisecond}}
	alone, mirrored := newRecorder(), newRecorder()
	want, err := Summarise(context.Background(), cantest.SliceSource(one, buses), bindings, DefaultOptions(), alone.emit)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Summarise(context.Background(), cantest.SliceSource(both, buses), bindings, o, mirrored.emit)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	if got.Decoded != want.Decoded || got.Unknown != want.Unknown || got.Duplicates != want.Decoded+want.Unknown || got.Frames != 2*want.Frames {
		t.Errorf("ledger %+v, alone %+v", got, want)
	}
	if !bytes.Equal(alone.encoder.Take(), mirrored.encoder.Take()) {
		t.Error("the summaries differ")
	}
}

// TestMirrorMemory: what waits for copies that never come is bounded, even where
// time stands still.
func TestMirrorMemory(t *testing.T) {
	m := newMirrorFilter([]Mirror{{Buses: []string{"a", "b"}, Within: time.Minute}})
	source := cantest.SliceSource(nil, []string{"a", "b"})
	for i := range 20_000 {
		f := can.Frame{ID: uint32(i % 3), Len: 8}
		f.Data[0], f.Data[1], f.Data[2] = byte(i), byte(i>>8), byte(i>>16)
		if m.duplicate(source, &f) {
			t.Fatalf("frame %d is a copy", i)
		}
	}
	waiting := 0
	for _, frames := range m.waiting {
		waiting += cap(frames)
	}
	if len(m.waiting) != 3 || waiting > 3*2*maxWaiting {
		t.Errorf("%d frames of %d IDs are waiting", waiting, len(m.waiting))
	}
}
