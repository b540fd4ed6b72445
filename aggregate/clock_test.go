package aggregate

import (
	"testing"
)

// TestStamp: each window has the clock of its first frame, asked for once a
// window; corrections have that of the late frames.
func TestStamp(t *testing.T) {
	const second = int64(1e9)
	asked := 0
	offset, clock := int64(5), ClockUnset
	c := NewCollector(Options{
		Window: second, Lateness: second, Step: 10 * second, Slots: 4,
		Stamp: func(int64) (int64, Clock) {
			asked++
			return offset, clock
		},
	})
	m := newMirror(1)
	c.AddStream(false, nil)
	var got []Window
	closeUp := func() {
		c.Close(m, func(w *Window) {
			got = append(got, Window{Start: w.Start, Revision: w.Revision, Stamp: w.Stamp})
			w.Release()
		})
	}
	add := func(time int64, value uint64) {
		lane, late := c.Lane(time, closeUp)
		switch {
		case late:
			var data [64]byte
			c.AddLate(time, 0, &data, 8, func(l *Lane) { c.TakeOut(l, m, func(*Window) { t.Error("a correction") }) })
		case lane == nil:
			t.Fatalf("no room for a frame of %d", time)
		default:
			lane.Add([]ShortFrame{{Word: value, Stream: 0, Length: 8}})
		}
	}
	f := func(what string, wantAsked int, want ...Window) {
		t.Helper()
		closeUp()
		if asked != wantAsked {
			t.Errorf("%s: asked %d times, want %d", what, asked, wantAsked)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: windows %+v, want %+v", what, got, want)
		}
		for i := range got {
			if got[i].Start != want[i].Start*second || got[i].Stamp != want[i].Stamp || (got[i].Revision != 0) != (want[i].Revision != 0) {
				t.Errorf("%s: window %+v, want %+v", what, got[i], want[i])
			}
		}
		asked, got = 0, nil
	}
	unset, right := Stamp{ClockUnset, 5}, Stamp{ClockSynchronized, 1_780_000_000 * second}
	for i := range int64(100) {
		add(100*second+i, uint64(i))
	}
	f("a hundred frames", 1)
	offset, clock = right.ClockOffset, right.Clock
	add(100*second+500, 1) // the window is begun
	f("set within a window", 0)
	add(1_780_000_101*second, 1)
	f("years forward", 1, Window{Start: 100, Stamp: unset})
	offset, clock = 5, ClockUnset
	for range 3 {
		add(1_780_000_099*second, 1) // read late, stamped before the step
	}
	add(1_780_000_098*second, 1)
	offset, clock = right.ClockOffset, right.Clock
	add(1_780_000_103*second, 1)
	f("late frames", 3,
		Window{Start: 1_780_000_101, Stamp: right},
		Window{Start: 1_780_000_098, Stamp: unset, Revision: 1},
		Window{Start: 1_780_000_099, Stamp: unset, Revision: 1})
	lane, _ := c.Lane(1_780_000_103*second, closeUp)
	c.TakeOut(lane, m, func(*Window) { t.Error("a correction") })
	offset, clock = 7, ClockSet
	add(1_780_000_103*second+7, 1) // the lane is the same
	add(101*second, 1)             // hours back
	f("taken out, and set back", 1, Window{Start: 1_780_000_103, Stamp: right})
	c.Finish()
	f("the end", 0, Window{Start: 101, Revision: 2, Stamp: Stamp{ClockSet, 7}})
}

// TestNoStamp: without a hook nothing is known, also of memory that had one.
func TestNoStamp(t *testing.T) {
	w := NewWindow(0, 1, 0)
	w.Stamp = Stamp{ClockSet, 7}
	w.AddGroup(&Group{Series: make([]Series, 1)})[0].Absent = true
	w.Release()
	for range 2 * maxReleased {
		w := NewWindow(0, 1, 0)
		if w.Stamp != (Stamp{}) || w.AddGroup(&Group{Series: make([]Series, 1)})[0].Absent {
			t.Fatalf("a new window has the stamp %+v", w.Stamp)
		}
	}
}

// TestMergeKeepsStamp: parts of a window have the stamp of the first.
func TestMergeKeepsStamp(t *testing.T) {
	a, b := NewWindow(0, 1, 0), NewWindow(0, 1, 0)
	a.Stamp, b.Stamp = Stamp{ClockUnset, 5}, Stamp{ClockSynchronized, 9}
	if a.Merge(b); a.Stamp != (Stamp{ClockUnset, 5}) {
		t.Errorf("the stamp is %+v", a.Stamp)
	}
}

func TestClockNames(t *testing.T) {
	for c := ClockUnknown; c <= ClockSynchronized; c++ {
		if got, ok := ParseClock(c.String()); got != c || !ok {
			t.Errorf("%d is called %v and read as %d", c, c, got)
		}
	}
	if c, ok := ParseClock("atomic"); c != ClockUnknown || ok || Clock(200).String() != "unknown" {
		t.Errorf("what is not known is %v", c)
	}
}
