package gpio

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"milepost/sensors"
)

func pulsesFor(t failer, o PulseOptions) *Pulses {
	o.Line = "wheel"
	p, err := NewPulses(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func channel(readings []sensors.Reading, channel int) (values []float64) {
	for _, r := range readings {
		if r.Channel == channel {
			values = append(values, r.Value)
		}
	}
	return values
}

func equal(t *testing.T, what string, got, want []float64) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = math.Abs(got[i]-want[i]) < 1e-9
	}
	if !ok {
		t.Errorf("%s: %v, not %v", what, got, want)
	}
}

func TestPulses(t *testing.T) {
	p := pulsesFor(t, PulseOptions{})
	got := inBubble(t, p, &p.watch, func(chip *fakeChip) {
		time.Sleep(900 * time.Millisecond)
		for range 11 { // every 100 ms from 0.9 to 1.9
			chip.pulses(1)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(4100 * time.Millisecond)
		chip.pulses(1) // one alone tells no frequency
		time.Sleep(500 * time.Millisecond)
		chip.pulses(1)
		time.Sleep(500 * time.Millisecond)
	})
	equal(t, "pulses", channel(got, PulseCount), []float64{1, 10, 0, 0, 0, 0, 2, 0})
	// Nothing is known in the first second. Then 10 Hz, less as time passes, and 0
	// after two seconds.
	equal(t, "frequency", channel(got, PulseFrequency), []float64{10, 1 / 1.1, 0, 0, 0, 2})
	for i, r := range got[:len(got)-1] {
		if d := r.Time % int64(time.Second); d != int64(time.Second)-1 {
			t.Errorf("reading %d is %d ns after the second", i, d)
		}
	}
}

func TestPulsesInUnits(t *testing.T) {
	p := pulsesFor(t, PulseOptions{PerUnit: 4, Unit: "m", Falling: true})
	if c := p.Channels(); c[0] != (sensors.Channel{Name: "pulses", Unit: "m"}) || c[1] != (sensors.Channel{Name: "frequency", Unit: "m/s"}) {
		t.Errorf("%v", c)
	}
	got := inBubble(t, p, &p.watch, func(chip *fakeChip) {
		for range 20 {
			time.Sleep(50 * time.Millisecond)
			chip.pulses(1)
		}
		time.Sleep(20 * time.Millisecond)
	})
	equal(t, "metres", channel(got, PulseCount), []float64{4.75, 0.25})
	equal(t, "metres a second", channel(got, PulseFrequency), []float64{5})
}

// TestLostPulses are counted all the same.
func TestLostPulses(t *testing.T) {
	p := pulsesFor(t, PulseOptions{})
	got := inBubble(t, p, &p.watch, func(chip *fakeChip) {
		chip.pulses(100)
		time.Sleep(1100 * time.Millisecond)
	})
	equal(t, "pulses", channel(got, PulseCount), []float64{100, 0})
	if lost := p.Status().Lost; lost != 100-fakeBuffer {
		t.Errorf("%d lost", lost)
	}
}

// TestPulsesProperty: the sum over a window is the number of pulses in it, and a
// frequency is never above that of the shortest period.
func TestPulsesProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		gaps := rapid.SliceOfN(rapid.Int64Range(int64(time.Millisecond), int64(3*time.Second)), 1, 60).Draw(rt, "gaps")
		want := make(map[int64]float64)
		shortest := int64(math.MaxInt64)
		var got []sensors.Reading
		synctest.Test(t, func(*testing.T) {
			p := pulsesFor(t, PulseOptions{})
			got = tell(t, p, &p.watch, func(chip *fakeChip) {
				for i, gap := range gaps {
					if i > 0 {
						shortest = min(shortest, gap)
					}
					time.Sleep(time.Duration(gap))
					chip.pulses(1)
					want[time.Now().Unix()]++
				}
			})
		})
		for _, r := range got {
			if r.Channel == PulseCount {
				want[r.Time/1e9] -= r.Value
			} else if r.Value < 0 || r.Value > 1e9/float64(shortest)*(1+1e-12) {
				rt.Errorf("%v Hz with periods of %v at least", r.Value, time.Duration(shortest))
			}
		}
		for second, missing := range want {
			if missing != 0 {
				rt.Errorf("second %d: %v pulses too few", second, missing)
			}
		}
	})
}
