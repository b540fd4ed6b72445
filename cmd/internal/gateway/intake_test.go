package gateway

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"milepost/aggregate"
	"milepost/can"
	"milepost/sensors"
)

// wakeful counts how often a Read came back because of its deadline.
type wakeful struct {
	Bus
	wakes atomic.Int64
}

func (w *wakeful) Read(frames []can.Frame) (int, error) {
	n, err := w.Bus.Read(frames)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.wakes.Add(1)
	}
	return n, err
}

// TestIntakeSleeps: a bus on which nothing is heard wakes the gateway once a
// second, one with something in every window twice, and a window is complete a tick
// after its end, also that with which a silence ends.
func TestIntakeSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(130 * time.Millisecond) // the clock of the test begins with a whole second
		gauge := newGauges(time.Second, []gauge{{Channel: sensors.Channel{Name: "x"}}}, nil)
		bus := newHub([]LiveSensor{{Driver: "d", Name: "s", Sensor: gauge}})
		emit := bus.emit(0)
		counted := &wakeful{Bus: bus}
		options := sensorOptions(Options{Window: time.Second})
		options.Lateness = 0
		var in *intake
		var signals, windows atomic.Int64
		var worst time.Duration
		in = newIntake("sensors", counted, options, func() {
			signals.Add(1)
			in.close(func(w *aggregate.Window) {
				windows.Add(1)
				worst = max(worst, time.Duration(wall()-w.Start-w.Duration))
				w.Release()
			})
		}, slog.New(slog.DiscardHandler))
		in.fix(bus.bindings)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { in.run(ctx); close(ended) }()

		counts := func(length time.Duration) (wakes, signalled, closed int64) {
			synctest.Wait()
			w, s, c := counted.wakes.Load(), signals.Load(), windows.Load()
			time.Sleep(length)
			synctest.Wait()
			return counted.wakes.Load() - w, signals.Load() - s, windows.Load() - c
		}
		reading := func() { emit([]sensors.Reading{{Time: wall(), Value: 1}}) }

		time.Sleep(5 * time.Second)
		if wakes, signals, _ := counts(100 * time.Second); wakes != 100 || signals != 0 {
			t.Errorf("in 100 s of silence %d wake-ups and %d signals; want 100 and none", wakes, signals)
		}
		reading() // at 0.13 s of a second
		if wakes, _, closed := counts(100 * time.Second); wakes > 108 || closed != 1 {
			t.Errorf("one reading and 100 s of silence: %d wake-ups, %d windows; want at most 108, and 1", wakes, closed)
		}
		go func() {
			for range 100 {
				time.Sleep(370 * time.Millisecond)
				reading()
				time.Sleep(630 * time.Millisecond)
			}
		}()
		if wakes, _, closed := counts(102 * time.Second); wakes > 210 || closed != 100 {
			t.Errorf("a reading in each of 100 windows: %d wake-ups, %d windows; want at most 210, and 100", wakes, closed)
		}
		cancel()
		bus.Close()
		<-ended
		if limit := time.Second/ticks + afterTick; worst > limit {
			t.Errorf("a window was complete %v after its end; want at most %v", worst, limit)
		}
	})
}
