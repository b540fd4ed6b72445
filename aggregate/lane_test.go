package aggregate

import (
	"math"
	"testing"
)

var laneOptions = Options{Window: 1e9, Lateness: 1e9, Step: 10e9, Slots: 4}

// TestFullLane: a window of more payloads than a lane may hold, as a log without
// times has, is summarised in parts, which bounds the memory and shows nowhere.
func TestFullLane(t *testing.T) {
	var script []scripted
	for i := range 3*2*maxRuns + 5 {
		f := scripted{time: 7, stream: i % 2, length: 8, close: i%128 == 127}
		f.data[0], f.data[1], f.data[2] = byte(i), byte(i>>8), byte(i>>16)
		script = append(script, f)
	}
	counted := []bool{false, false}
	got := collect(script, counted, laneOptions, usual, false)
	if err := got.check(script, counted, laneOptions); err != nil {
		t.Fatal(err)
	}
	if len(got.windows) != 1 {
		t.Fatalf("%d windows, want 1", len(got.windows))
	}
	for _, how := range []way{usual, always, wide} {
		c := NewCollector(laneOptions)
		lane, _ := c.Lane(0, func() {})
		c.AddStream(false, lane)
		n := 0
		for ; !lane.Full(); n++ {
			var data [64]byte
			data[0], data[1] = byte(n), byte(n>>8)
			switch how {
			case usual:
				lane.Add([]ShortFrame{{Word: uint64(n), Stream: 0, Length: 8}})
			case always:
				lane.AddAlways(0, uint64(n), 8)
			case wide:
				lane.AddWide(0, &data, 16, false)
			}
			if n > 2*maxRuns {
				t.Fatalf("way %d: not full after %d runs", how, n)
			}
		}
	}
}

// TestHeldPayload: a lane is full, too, before the weights of its runs could
// overflow.
func TestHeldPayload(t *testing.T) {
	c := NewCollector(laneOptions)
	lane, _ := c.Lane(0, func() {})
	c.AddStream(true, lane)
	lane.Add([]ShortFrame{{Word: 1, Stream: 0, Length: 8}})
	lane.Count(maxFrames - 1)
	if lane.Full() {
		t.Error("full too early")
	}
	lane.Count(1)
	if !lane.Full() || maxFrames+1<<16 > 1<<31 {
		t.Error("not full")
	}
}

// TestManyLateFrames: more late frames in a row than a lane may hold.
func TestManyLateFrames(t *testing.T) {
	script := []scripted{{time: 100e9, length: 8}}
	for i := range 2*maxLate + 7 {
		f := scripted{time: 95e9 + int64(i%3)*1e9, length: 8}
		f.data[0] = byte(i)
		script = append(script, f)
	}
	counted := []bool{false}
	got := collect(script, counted, laneOptions, usual, false)
	if err := got.check(script, counted, laneOptions); err != nil {
		t.Fatal(err)
	}
	if got.stats.Dropped != 0 || got.stats.Late != uint64(len(script)-1) {
		t.Errorf("%+v", got.stats)
	}
}

// TestCorrectionsInOrder: late frames that were added to windows which are
// complete, or still open, come before those for which there is no more room.
func TestCorrectionsInOrder(t *testing.T) {
	var script []scripted
	add := func(second int64, n int) {
		for range n {
			f := scripted{time: second * 1e9, length: 8}
			f.data[0], f.data[1] = byte(len(script)), byte(len(script)>>8)
			script = append(script, f)
		}
	}
	for _, second := range []int64{100, 101, 104, 105} { // 104 is open, the others complete
		add(second, 1)
		add(95, 2)
	}
	add(95, maxLate)
	counted := []bool{false}
	for _, lazy := range []bool{false, true} {
		got := collect(script, counted, laneOptions, usual, lazy)
		if err := got.check(script, counted, laneOptions); err != nil {
			t.Error(err)
		}
		if got.stats.Dropped != 0 || got.stats.Late != 8+maxLate {
			t.Errorf("%+v", got.stats)
		}
	}
}

// TestLateIntoEmptyLane: time passes without frames, so that late ones find the
// newest window empty; also behind a clock that was set back.
func TestLateIntoEmptyLane(t *testing.T) {
	folder := newMirror(1)
	var windows []*Window
	emit := func(w *Window) { windows = append(windows, copyOf(w)); w.Release() }
	c := NewCollector(laneOptions)
	add := func(time int64, wantLate bool) {
		t.Helper()
		lane, late := c.Lane(time, func() {})
		if late != wantLate {
			t.Fatalf("late at %d: %v", time, late)
		}
		var data [64]byte
		if late {
			c.AddLate(time, 0, &data, 8, func(*Lane) {})
		} else {
			lane.Add([]ShortFrame{{Word: 0, Stream: 0, Length: 8}})
		}
	}
	c.AddStream(false, nil)
	add(100e9, false)
	add(50e9, false) // set back
	c.Advance(60e9)
	c.Close(folder, emit)
	add(52e9, true)
	add(60e9, false)
	c.Advance(60e9) // nothing new
	c.Finish()
	c.Close(folder, emit)
	seen := map[[2]int64]bool{}
	for _, w := range windows {
		key := [2]int64{w.Start, int64(w.Revision)}
		if seen[key] {
			t.Errorf("window %d, revision %d twice", w.Start, w.Revision)
		}
		seen[key] = true
		if set := w.Start < 100e9; set != (w.Revision != 0) {
			t.Errorf("window %d has revision %d", w.Start, w.Revision)
		}
	}
	if len(windows) != 4 || folder.total != 4 {
		t.Errorf("%d windows of %d frames, want 4 of 4", len(windows), folder.total)
	}
}

// TestManySteps: the revisions of set-back clocks and of late frames stay apart
// however many there are.
func TestManySteps(t *testing.T) {
	c := NewCollector(laneOptions)
	c.AddStream(false, nil)
	folder := newMirror(1)
	seen := map[[2]int64]bool{}
	emit := func(w *Window) {
		key := [2]int64{w.Start, int64(w.Revision)}
		if seen[key] {
			t.Fatalf("window %d, revision %d twice", w.Start, w.Revision)
		}
		seen[key] = true
		w.Release()
	}
	var data [64]byte
	for range 1<<16 + 10 { // more than 2^16 steps
		for _, second := range []int64{30, 25, 0} {
			lane, late := c.Lane(second*1e9, func() { c.Close(folder, emit) })
			if late {
				c.AddLate(second*1e9, 0, &data, 8, func(*Lane) {})
			} else {
				lane.Add([]ShortFrame{{Word: 0, Stream: 0, Length: 8}})
			}
		}
		c.Close(folder, emit)
		clear(folder.frames)
	}
	if c.Stats().Steps <= 1<<16 || c.Stats().Late <= 1<<16 {
		t.Errorf("%+v", c.Stats())
	}
}

// TestExtremeTimes: the ends of time do not stop the collector.
func TestExtremeTimes(t *testing.T) {
	times := []int64{0, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 5, math.MinInt64 + 1, math.MaxInt64}
	for first := range times {
		c := NewCollector(laneOptions)
		c.AddStream(false, nil)
		folder := newMirror(1)
		emit := func(w *Window) { w.Release() }
		for i := range times {
			lane, late := c.Lane(times[(first+i)%len(times)], func() { c.Close(folder, emit) })
			if lane == nil || late {
				t.Fatalf("no lane for %d", times[(first+i)%len(times)])
			}
			lane.Add([]ShortFrame{{Word: 1, Stream: 0, Length: 8}})
		}
		c.Finish()
		c.Close(folder, emit)
		if folder.total != uint64(len(times)) {
			t.Errorf("%d frames of %d", folder.total, len(times))
		}
	}
}

// TestResume: open windows that were collected elsewhere are completed.
func TestResume(t *testing.T) {
	script := []scripted{{time: 1e9, length: 8}, {time: 2e9, length: 8}}
	got := collect(script, []bool{false}, laneOptions, usual, false)
	folder := newMirror(1)
	folder.groups = got.folded.groups
	var windows []*Window
	emit := func(w *Window) { windows = append(windows, copyOf(w)); w.Release() }
	c := NewCollector(laneOptions)
	c.Resume(2, got.windows)
	c.AddStream(false, nil)
	for _, time := range []int64{1e9 + 1, 2e9 + 1, 3e9, 5e9} { // the first one is within the lateness
		lane, late := c.Lane(time, func() { c.Close(folder, emit) })
		if late {
			t.Fatalf("late at %d", time)
		}
		lane.Add([]ShortFrame{{Word: 7, Stream: 0, Length: 8}})
		c.Close(folder, emit)
	}
	c.Finish()
	c.Close(folder, emit)
	want := []uint64{2, 2, 1, 1} // frames in the windows at 1, 2, 3 and 5 s
	if len(windows) != len(want) {
		t.Fatalf("%d windows", len(windows))
	}
	for i, w := range windows {
		if n := w.Groups[0].Summaries[0].Count; n != want[i] || w.Revision != 0 {
			t.Errorf("window %d: %d frames, revision %d; want %d, 0", w.Start, n, w.Revision, want[i])
		}
	}
}
