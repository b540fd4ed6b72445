package cantest

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSine(t *testing.T) {
	for degrees := 0.0; degrees < 720; degrees += 0.7 {
		got := float64(sine(fixed(degrees))) / one
		if want := math.Sin(degrees * math.Pi / 180); math.Abs(got-want) > 0.002 {
			t.Fatalf("sine of %v° = %v, want %v", degrees, got, want)
		}
	}
}

func TestRoundIsInOrder(t *testing.T) {
	for i := 1; i < len(round); i++ {
		if round[i].seconds < round[i-1].seconds || round[i].seconds >= roundSeconds {
			t.Errorf("event %d at %v s follows one at %v s", i, round[i].seconds, round[i-1].seconds)
		}
	}
	for i, p := range []profile{speedProfile, steeringProfile, ambientProfile, altitudeProfile} {
		first, last := p[0], p[len(p)-1]
		if first.seconds != 0 || last.seconds != roundSeconds || first.value != last.value {
			t.Errorf("profile %d does not end as it begins", i)
		}
		for j := 1; j < len(p); j++ {
			if p[j].seconds <= p[j-1].seconds {
				t.Errorf("profile %d: %v s after %v s", i, p[j].seconds, p[j-1].seconds)
			}
		}
	}
}

// Rounds are alike but for the noise, and the second is as sane as the first.
func TestVehicleGoesRoundAgain(t *testing.T) {
	const steps = roundSeconds * 1_000_000 / stepMicros
	values := make([]int64, quantities)
	v := newVehicle(rand.NewPCG(1, 1), values)
	km := func(q quantity) float64 { return float64(values[q]) / one }
	start := float64(v.odometer) / 1e9
	gears := make([]int64, steps)
	different := 0
	for round := range 2 {
		for i := range steps {
			v.step()
			if lat := km(qLatitude); lat < 47 || lat > 49 {
				t.Fatalf("round %d, step %d: latitude %v", round, i, lat)
			}
			if rpm := km(qEngineSpeed); rpm < 0 || rpm > 6000 {
				t.Fatalf("round %d, step %d: engine speed %v", round, i, rpm)
			}
			switch {
			case round == 0:
				gears[i] = values[qGear]
			case gears[i] != values[qGear]:
				different++
			}
		}
	}
	if distance := km(qOdometer) - start; distance < 39 || distance > 41 {
		t.Errorf("%v km in two rounds", distance)
	}
	if different > steps/100 {
		t.Errorf("the gear differs in %d of %d steps", different, steps)
	}
}
