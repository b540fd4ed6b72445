package clock

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"milepost/aggregate"
)

// TestSteps walks a clock through its life: what is said of it after each act, and
// what is told.
func TestSteps(t *testing.T) {
	k := newKernel()
	line := timelineOf(k)
	line.events = nil
	f := func(what string, act func(), clock aggregate.Clock, learnt Learnt, told ...Kind) {
		t.Helper()
		act()
		line.see(k)
		var kinds []Kind
		for _, e := range line.events {
			kinds = append(kinds, e.Kind)
		}
		line.events = nil
		learnt.Error = line.learnt.Error
		if e := line.now(); e.clock != clock || e.offset != k.offset/1000*1000 || line.learnt != learnt || !slices.Equal(kinds, told) {
			t.Errorf("%s: the clock is %v at %d, learnt %+v, told %v; want %v at %d, %+v, %v", what, e.clock, e.offset, line.learnt, kinds, clock, k.offset, learnt, told)
		}
	}
	nothing := Learnt{}
	f("an hour in 1970", func() { k.pass(time.Hour) }, unset, nothing)
	f("set back to before 1970", func() { k.set(-5*hour, false) }, unset, nothing, Stepped)
	f("NTP says so in 1970", func() { k.set(0, true) }, unset, nothing, Stepped)
	byHand := ntp2026 - hour
	f("set by hand", func() { k.set(byHand, false) }, set, Learnt{set, byHand, 0}, Stepped, QualityChanged, OffsetLearnt)
	f("slept", func() { k.suspend(8 * time.Hour) }, set, Learnt{set, byHand, 0}, Slept)
	byHand -= 60e9
	f("set by hand once more", func() { k.set(byHand, false) }, set, Learnt{set, byHand, 0}, Stepped, OffsetLearnt)
	f("NTP", func() { k.set(ntp2026, true) }, synchronized, Learnt{set, byHand, 0}, Stepped, QualityChanged)
	f("it stays", func() { k.pass(time.Second) }, synchronized, Learnt{synchronized, ntp2026, 0}, OffsetLearnt)
	f("a leap second", func() { k.set(ntp2026-1e9, true) }, synchronized, Learnt{synchronized, ntp2026, 0}, Stepped)
	f("and after it", func() { k.pass(time.Hour) }, synchronized, Learnt{synchronized, ntp2026, 0})
	f("no more NTP", func() { k.set(ntp2026-1e9, false) }, set, Learnt{synchronized, ntp2026, 0}, QualityChanged)
	f("back to 1970", func() { k.set(0, false) }, unset, Learnt{synchronized, ntp2026, 0}, Stepped, QualityChanged)
	f("a small step", func() { k.set(ms, false) }, unset, Learnt{synchronized, ntp2026, 0}, Stepped)
	k.set(ms+ms/2, false)
	line.see(k)
	if len(line.events) != 0 || line.now().offset != ms {
		t.Errorf("half a millisecond is a step: %v", line.events)
	}
}

// TestSynchronizedBeforeStep: a daemon that says synchronized and then steps the
// clock does not make the old offset that of the boot.
func TestSynchronizedBeforeStep(t *testing.T) {
	k := newKernel()
	line := timelineOf(k)
	k.set(ntp2026-hour, true)
	line.see(k)
	k.pass(time.Second / 2)
	line.see(k)
	k.set(ntp2026, true)
	line.see(k)
	k.pass(time.Second / 2)
	line.see(k)
	if line.learnt.Clock == synchronized {
		t.Errorf("learnt %+v half a second after a step", line.learnt)
	}
	k.pass(time.Second)
	line.see(k)
	if line.learnt.Clock != synchronized || line.learnt.Offset != ntp2026 {
		t.Errorf("learnt %+v, want the offset after the step", line.learnt)
	}
}

// TestFrameBeforeStep: a frame that was stamped before a step and is read after it
// belongs to the clock from before.
func TestFrameBeforeStep(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to int64
	}{
		{"years forward", 0, ntp2026},
		{"years back", ntp2026, 0},
		{"an hour forward", ntp2026, ntp2026 + hour},
		{"an hour back", ntp2026, ntp2026 - hour},
		{"20 ms forward", ntp2026, ntp2026 + 20*ms},
		{"20 ms back", ntp2026, ntp2026 - 20*ms},
	} {
		k := newKernel()
		k.offset = c.from
		line := timelineOf(k)
		k.pass(time.Hour)
		before := k.stamp()
		k.pass(4 * time.Millisecond)
		k.set(c.to, false)
		after := k.stamp()
		k.pass(4 * time.Millisecond)
		line.see(k)
		if got, _ := line.at(before, k.boot()); got != c.from {
			t.Errorf("%s: the frame from before has the offset %d, want %d", c.name, got, c.from)
		}
		if got, _ := line.at(after, k.boot()); got != c.to {
			t.Errorf("%s: the frame from after has the offset %d, want %d", c.name, got, c.to)
		}
	}
	if offset, clock := new(timeline).at(1, 1); offset != 0 || clock != aggregate.ClockUnknown {
		t.Errorf("who has seen no clock says %d, %v", offset, clock)
	}
}

// TestAnyFrame: whatever happens to the clock, as long as steps are noticed before
// the next one, a frame is taken for at most as much younger as it is old.
func TestAnyFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKernel()
		line := timelineOf(k)
		type frame struct{ time, boot, offset int64 }
		var waiting []frame
		duration := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(1, 1<<rapid.IntRange(1, 42).Draw(t, "bits")).Draw(t, "ns"))
		})
		steps := 0
		for range rapid.IntRange(1, 60).Draw(t, "acts") {
			switch rapid.IntRange(0, 5).Draw(t, "act") {
			case 0:
				k.pass(duration.Draw(t, "pass"))
			case 1:
				k.suspend(duration.Draw(t, "suspend"))
			case 2:
				if steps++; steps == maxEpochs {
					return
				}
				to := rapid.SampledFrom([]int64{0, ntp2026, -hour}).Draw(t, "to") + int64(duration.Draw(t, "and"))
				if distance(to, k.offset) < 2*minStep {
					continue
				}
				k.set(to/1000*1000, rapid.Bool().Draw(t, "synchronized"))
				k.pass(duration.Draw(t, "unnoticed") % time.Second)
				waiting = append(waiting, frame{k.stamp(), k.boot(), k.offset})
				line.see(k)
			case 3:
				line.see(k)
			case 4:
				waiting = append(waiting, frame{k.stamp(), k.boot(), k.offset})
			case 5:
				line.see(k)
				for _, w := range waiting {
					offset, _ := line.at(w.time, k.boot())
					younger := w.time - offset - w.boot
					if age := k.boot() - w.boot; younger < -2000 || younger > age+2000 {
						t.Fatalf("a frame %v old is taken for %v younger (offset %d, was %d); %v", time.Duration(age), time.Duration(younger), offset, w.offset, line.epochs)
					}
				}
				waiting = nil
			}
		}
	})
}

// TestManySteps: a clock that is set all the time takes no more memory.
func TestManySteps(t *testing.T) {
	k := newKernel()
	line := timelineOf(k)
	for i := range int64(10 * maxEpochs) {
		k.set(ntp2026+i*hour, false)
		k.pass(time.Second)
		line.see(k)
	}
	if len(line.epochs) > maxEpochs || cap(line.epochs) > 2*maxEpochs || len(line.events) > maxEvents {
		t.Errorf("%d epochs, %d events", len(line.epochs), len(line.events))
	}
	if offset, _ := line.at(k.stamp(), k.boot()); offset != k.offset {
		t.Errorf("offset %d, want %d", offset, k.offset)
	}
}

// TestGNSS: a receiver tells the time, though nobody sets the clock.
func TestGNSS(t *testing.T) {
	k := newKernel()
	line := timelineOf(k)
	right := ntp2026
	f := func(what string, wrong, estimate int64, clock aggregate.Clock, learnt int64) {
		t.Helper()
		k.pass(time.Second)
		now := k.boot()
		line.position(now+right+wrong, now, estimate)
		line.see(k)
		if e := line.now(); e.clock != clock || line.learnt.Offset != learnt || (learnt != 0) != (line.learnt.Clock == synchronized) {
			t.Errorf("%s: the clock is %v, learnt %+v, want %v and %d", what, e.clock, line.learnt, clock, learnt)
		}
	}
	f("before it has a fix", -right, 0, unset, 0)
	f("the wrong week", -1024*7*24*hour, 50*ms, unset, 0) // a rollover
	f("the first fix", 0, 500*ms, unset, 0)
	f("confirmed", 40*ms, 500*ms, unset, right+40*ms)
	f("not much better", 0, 100*ms, unset, right+40*ms)
	f("ten times as good", 2*ms, 5*ms, unset, right+2*ms)
	f("a rough one again", 300*ms, 500*ms, unset, right+2*ms)
	f("one that is off", 48*hour, 5*ms, unset, right+2*ms)
	k.set(right+50*ms, false) // someone has set the clock by it
	f("the clock is right", 0, 500*ms, synchronized, right+2*ms)
	k.pass(2 * time.Hour)
	line.see(k)
	if line.now().clock != set {
		t.Errorf("two hours after the last fix the clock is %v", line.now().clock)
	}
	line.position(farAway, k.boot(), -5) // no panic
	line.position(-farAway, -farAway, farAway)
}

// TestSameBootSameOffset: a second process of a boot takes the first one's offset
// for its own, though it has read it a bit differently.
func TestSameBootSameOffset(t *testing.T) {
	k := newKernel()
	k.set(ntp2026+7000, true)
	line := &timeline{floor: earliest.UnixNano(), learnt: Learnt{Clock: synchronized, Offset: ntp2026}}
	line.see(k)
	if line.now().offset != ntp2026 {
		t.Errorf("offset %d, want %d", line.now().offset, ntp2026)
	}
	k.set(ntp2026+2*ms, true)
	line.see(k)
	if line.now().offset != ntp2026+2*ms || fmt.Sprint(line.events[len(line.events)-1].Kind) != fmt.Sprint(Stepped) {
		t.Errorf("offset %d after a step, %v", line.now().offset, line.events)
	}
}
