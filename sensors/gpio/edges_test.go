package gpio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"milepost/sensors"
)

// inBubble runs a sensor with a fake chip, until the story ends.
func inBubble(t *testing.T, s sensors.Sensor, w *watcher, story func(*fakeChip)) (readings []sensors.Reading) {
	synctest.Test(t, func(t *testing.T) { readings = tell(t, s, w, story) })
	return readings
}

func tell(t failer, s sensors.Sensor, w *watcher, story func(*fakeChip)) []sensors.Reading {
	var got gathered
	chip := new(fakeChip)
	w.open = chip.open
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, got.add) }()
	synctest.Wait()
	story(chip)
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	synctest.Wait() // also what was left to wake a read
	readings := got.all()
	if n := s.Status().Readings; n != uint64(len(readings)) {
		t.Errorf("%d readings, by the status %d", len(readings), n)
	}
	return readings
}

type failer interface {
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

func edgesFor(t failer, o EdgeOptions) *Edges {
	o.Line = "door"
	e, err := NewEdges(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// written are readings as text, the time as seconds since 2000.
func written(readings []sensors.Reading) (lines []string) {
	for _, r := range readings {
		at := time.Duration(r.Time - bubbleStart.UnixNano())
		lines = append(lines, fmt.Sprintf("%v %s %v", at, edgeChannels[r.Channel].Name, r.Value))
	}
	return lines
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestEdges(t *testing.T) {
	e := edgesFor(t, EdgeOptions{})
	got := inBubble(t, e, &e.watch, func(chip *fakeChip) {
		time.Sleep(300 * time.Millisecond)
		chip.set(true, 0)
		time.Sleep(1900 * time.Millisecond)
		chip.set(false, 0)
		time.Sleep(300 * time.Millisecond)
	})
	compare(t, written(got), []string{
		"0s state 0",
		"300ms state 1", "300ms rising 1",
		"999.999999ms on 0.7", "999.999999ms rising 0", "999.999999ms falling 0",
		"1s state 1",
		"1.999999999s on 1", "1.999999999s rising 0", "1.999999999s falling 0",
		"2s state 1",
		"2.2s state 0", "2.2s falling 1",
		"2.5s on 0.2",
	})
}

// TestUnseen: a level that was gone before the interrupt was served.
func TestUnseen(t *testing.T) {
	e := edgesFor(t, EdgeOptions{})
	inBubble(t, e, &e.watch, func(chip *fakeChip) {
		for i, on := range []bool{true, false, true, true, false, false, true} {
			time.Sleep(time.Duration(i+1) * time.Millisecond)
			chip.set(on, 0)
		}
	})
	if e.Unseen() != 2 || e.Status().Lost != 0 {
		t.Errorf("%d unseen, %d lost", e.Unseen(), e.Status().Lost)
	}
}

// TestLateEdge is stamped before the end of an interval and read long after.
func TestLateEdge(t *testing.T) {
	e := edgesFor(t, EdgeOptions{})
	got := inBubble(t, e, &e.watch, func(chip *fakeChip) {
		time.Sleep(1005 * time.Millisecond) // within the grace: it counts where it belongs
		chip.set(true, 10*time.Millisecond)
		time.Sleep(1045 * time.Millisecond) // later: at the end of the interval
		chip.set(false, 100*time.Millisecond)
	})
	compare(t, written(got), []string{
		"0s state 0",
		"995ms state 1", "995ms rising 1",
		"999.999999ms on 0.005", "999.999999ms rising 0", "999.999999ms falling 0",
		"1s state 1",
		"1.999999999s on 1", "1.999999999s rising 0", "1.999999999s falling 0",
		"2s state 1",
		"2s state 0", "2s falling 1",
		"2.05s on 0",
	})
}

func TestClockIsSet(t *testing.T) {
	e := edgesFor(t, EdgeOptions{})
	got := inBubble(t, e, &e.watch, func(chip *fakeChip) {
		chip.set(true, 0)
		time.Sleep(400 * time.Millisecond)
		chip.setClock(time.Hour + 250*time.Millisecond)
		time.Sleep(200 * time.Millisecond)
		chip.set(false, 0) // this shows the new clock: the edge has the new date
		time.Sleep(100 * time.Millisecond)
		chip.set(true, 0)
		time.Sleep(350 * time.Millisecond)
		chip.setClock(-time.Hour) // back before all
		time.Sleep(50 * time.Millisecond)
	})
	compare(t, written(got), []string{
		"0s state 0",
		"0s state 1", "0s rising 1",
		"600ms on 0.6",
		"1h0m0.85s state 1",
		"1h0m0.85s state 0", "1h0m0.85s falling 1",
		"1h0m0.95s state 1", "1h0m0.95s rising 1",
		"1h0m0.999999999s on 0.05", "1h0m0.999999999s rising 0", "1h0m0.999999999s falling 0",
		"1h0m1s state 1",
		"1h0m1.35s on 0.35",
		"-59m58.9s state 1",
		"-59m58.9s on 0",
	})
}

// TestSuspended changes the line while nobody sees it.
func TestSuspended(t *testing.T) {
	e := edgesFor(t, EdgeOptions{})
	got := inBubble(t, e, &e.watch, func(chip *fakeChip) {
		time.Sleep(100 * time.Millisecond)
		chip.hide()
		chip.setClock(8 * time.Hour) // the wall clock has gone on
		time.Sleep(4 * time.Second)
	})
	if e.Unseen() != 1 {
		t.Errorf("unseen: %d", e.Unseen())
	}
	lines := written(got)
	if last := lines[len(lines)-2]; last != "8h0m4s state 1" {
		t.Errorf("in the end: %s of %q", last, lines)
	}
	rising := 0.0
	for _, r := range got {
		if r.Channel == EdgeRising {
			rising += r.Value
		}
	}
	if rising != 1 {
		t.Errorf("%v changes to on", rising)
	}
}

func TestLostEdges(t *testing.T) {
	e := edgesFor(t, EdgeOptions{})
	got := inBubble(t, e, &e.watch, func(chip *fakeChip) {
		chip.pulses(10)
	})
	edges := 0
	for _, r := range got {
		if (r.Channel == EdgeRising || r.Channel == EdgeFalling) && r.Value == 1 {
			edges++
		}
	}
	if lost := e.Status().Lost; edges != fakeBuffer || lost != 20-fakeBuffer {
		t.Errorf("%d edges, %d lost", edges, lost)
	}
}

func TestSequenceWraps(t *testing.T) {
	e := edgesFor(t, EdgeOptions{})
	inBubble(t, e, &e.watch, func(chip *fakeChip) {
		chip.set(true, 0)
		synctest.Wait()
		lost := e.Status().Lost
		chip.mu.Lock()
		chip.request.seq = 1<<32 - 3 // as after four thousand million edges
		chip.mu.Unlock()
		for i := range 6 {
			chip.set(i%2 == 1, 0)
			synctest.Wait()
		}
		if got := e.Status().Lost - lost; got != 1<<32-4 {
			t.Errorf("%d lost", got) // by the jump, and none since
		}
	})
}

func TestUnplugged(t *testing.T) {
	e := edgesFor(t, EdgeOptions{})
	gone := errors.New("no such device")
	got := inBubble(t, e, &e.watch, func(chip *fakeChip) {
		chip.set(true, 0)
		time.Sleep(2500 * time.Millisecond)
		if s := e.Status(); s.Err != nil || !s.Since.Equal(bubbleStart) || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
		chip.unplug(gone)
		time.Sleep(2 * time.Minute)
		s := e.Status()
		if !errors.Is(s.Err, gone) || s.Since.Sub(bubbleStart) != 2500*time.Millisecond || s.Failures < 10 || s.Failures > 25 {
			t.Errorf("%+v", s)
		}
		chip.mu.Lock()
		if uint64(chip.opened) != s.Failures {
			t.Errorf("%d tries, %d failures", chip.opened, s.Failures)
		}
		chip.mu.Unlock()
		chip.plug()
		time.Sleep(lastPause * 5 / 4)
		if s := e.Status(); s.Err != nil || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	})
	on, ended := 0.0, int64(0)
	for _, r := range got {
		if d := r.Time - bubbleStart.UnixNano(); r.Channel == EdgeOn && d < int64(time.Minute) {
			on, ended = on+r.Value, d
		} else if d > int64(2500*time.Millisecond) && d < int64(2*time.Minute) {
			t.Errorf("a reading while the chip is away: %v", r)
		}
	}
	if on != 2.5 || ended != int64(2500*time.Millisecond) {
		t.Errorf("%v s on until %v", on, time.Duration(ended))
	}
}

// TestOnTimeProperty: however edges fall, and whatever the clock starts at, the
// sum over a window is the time on in it.
func TestOnTimeProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		offset := rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "offset")
		every := rapid.SampledFrom([]time.Duration{10 * time.Millisecond, 250 * time.Millisecond, time.Second}).Draw(rt, "interval")
		gaps := rapid.SliceOfN(rapid.Int64Range(1, int64(700*time.Millisecond)), 1, 40).Draw(rt, "gaps")
		var got []sensors.Reading
		type change struct {
			at int64
			on bool
		}
		var changes []change
		end := int64(0)
		synctest.Test(t, func(*testing.T) {
			e := edgesFor(t, EdgeOptions{Interval: every})
			got = tell(t, e, &e.watch, func(chip *fakeChip) {
				chip.setClock(time.Duration(offset))
				time.Sleep(every + 2*grace) // the clock is noticed
				for i, gap := range gaps {
					time.Sleep(time.Duration(gap))
					chip.set(i%2 == 0, 0)
					changes = append(changes, change{time.Now().UnixNano() + offset, i%2 == 0})
				}
				time.Sleep(every)
				end = time.Now().UnixNano() + offset
			})
		})
		want := make(map[int64]int64) // by window, nanoseconds
		for i, c := range changes {
			until := end
			if i+1 < len(changes) {
				until = changes[i+1].at
			}
			for at := c.at; c.on && at < until; {
				window := at / int64(every)
				next := min((window+1)*int64(every), until)
				want[window] += next - at
				at = next
			}
		}
		told, edges := make(map[int64]float64), 0.0
		last := int64(0)
		for _, r := range got {
			if r.Time < last && r.Time >= changes[0].at {
				rt.Errorf("%d after %d", r.Time, last)
			}
			last = r.Time
			switch r.Channel {
			case EdgeOn:
				told[r.Time/int64(every)] += r.Value
			case EdgeRising, EdgeFalling:
				edges += r.Value
			}
		}
		if int(edges) != len(gaps) {
			rt.Errorf("%v edges of %d", edges, len(gaps))
		}
		for window, on := range told {
			if on != seconds(want[window]) {
				rt.Errorf("window %d: %v s on, not %v", window, on, seconds(want[window]))
			}
			delete(want, window)
		}
		for window, on := range want {
			if on != 0 {
				rt.Errorf("window %d: %d ns on and nothing said", window, on)
			}
		}
	})
}

func TestManyIntervalsAtOnce(t *testing.T) {
	var sizes []int
	w := &watcher{edges: bothEdges, interval: 10 * time.Millisecond}
	m := &edgeMeter{batch: batch{emit: func(r []sensors.Reading) { sizes = append(sizes, len(r)) }, status: &w.status}}
	s := session{watcher: w, meter: m}
	s.clock.update(clocks{mono: 0, wall: 0})
	s.cut = s.clock.nextCut(0, int64(w.interval))
	s.take(nil, clocks{mono: int64(time.Hour), wall: int64(time.Hour)}) // stopped for an hour
	m.flush()
	if slices.Max(sizes) > batchReadings {
		t.Errorf("as many as %d readings at once", slices.Max(sizes))
	}
	if got := w.status.get().Readings; got != 4*(360000-1) {
		t.Errorf("%d readings", got)
	}
}
