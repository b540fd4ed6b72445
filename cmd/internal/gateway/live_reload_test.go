package gateway

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"milepost/can"
	"milepost/cmd/internal/config"
	"milepost/sensors"
)

// change is a reload of the databases alone.
func (r *liveRig) change(database string) {
	r.t.Helper()
	err := r.live.Reload(Change{Bindings: liveBindings(r.t, database), Refresh: r.live.Refresh, Sinks: []config.Sink{fileSink("file", r.path)}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// withoutTemp is the database after ENGINE has lost a signal.
var withoutTemp = strings.Replace(liveDatabase, " SG_ Temp : 8|8@1+ (1,-40) [0|255] \"C\" X\n", "", 1)

// A reload while a window has begun and the bus is silent for a moment does not cut
// the window in two.
func TestLiveReloadInWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0")
		r.start()
		for i := range byte(4) {
			r.buses["can0"].Send(can.Frame{ID: 256, Len: 2, Data: [64]byte{2 * i, 100}})
			time.Sleep(50 * time.Millisecond)
			r.change(liveDatabase)
			time.Sleep(850 * time.Millisecond)
			r.buses["can0"].Send(can.Frame{ID: 256, Len: 2, Data: [64]byte{2*i + 1, 100}})
			time.Sleep(100 * time.Millisecond)
		}
		want := `0 can0 ENGINE.Speed count 2 min 0 max 1 last 1 rev <nil>
1 can0 ENGINE.Speed count 2 min 2 max 3 last 3 rev <nil>
2 can0 ENGINE.Speed count 2 min 4 max 5 last 5 rev <nil>
3 can0 ENGINE.Speed count 2 min 6 max 7 last 7 rev <nil>`
		if got := lines(r.end(false), "Speed"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// In a window that is longer than those of the buses, what comes after a reload is
// a correction where its series have changed, and part of it where they have not.
func TestLiveReloadInLongWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0")
		r.live.Window = 5 * time.Second
		r.start()
		r.send("can0", 256, 1)
		r.change(liveDatabase)
		r.send("can0", 256, 2)
		r.change(withoutTemp)
		r.send("can0", 256, 3)
		r.send("can0", 256, 4)
		r.send("can0", 256, 5)
		r.send("can0", 256, 6)
		want := `0 can0 ENGINE.Speed count 2 min 1 max 2 last 2 rev <nil>
0 can0 ENGINE.Speed count 3 min 3 max 5 last 5 rev 2.147483649e+09
5 can0 ENGINE.Speed count 1 min 6 max 6 last 6 rev <nil>`
		if got := lines(r.end(false), "Speed"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// What is reported by exception goes on after a reload: only what the databases do
// not know any more has ended.
func TestLiveReloadByException(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0")
		r.live.Refresh = time.Hour
		r.start()
		for _, database := range []string{liveDatabase, liveDatabase, withoutTemp} {
			r.change(database)
			r.send("can0", 256, 7, 7)
			r.send("can0", 256, 7, 7)
		}
		time.Sleep(100 * time.Millisecond)
		want := `0 can0 ENGINE.Speed count 2 min 7 max 7 last 7 rev <nil>
0 can0 ENGINE.Temp count 2 min 60 max 60 last 60 rev <nil>
2 can0 ENGINE.Speed count 2 min 7 max 7 last 7 rev <nil>
2 can0 ENGINE.Temp count 2 min 60 max 60 last 60 rev <nil>
4 can0 ENGINE.Speed count 2 min 7 max 7 last 7 rev <nil>
4 can0 ENGINE.Temp count 0 min <nil> max <nil> last <nil> rev <nil>`
		got := lines(readRecords(t, r.path, false), "Speed Temp")
		if !strings.HasPrefix(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		r.end(false)
	})
}

// deaf is a bus whose Read hangs when it is told to.
type deaf struct {
	Bus
	hangs atomic.Bool
	until chan struct{}
}

func (d *deaf) Read(frames []can.Frame) (int, error) {
	if d.hangs.Load() {
		<-d.until
	}
	return d.Bus.Read(frames)
}

// A bus that is not read any more is what the watchdog is for; one without frames
// is not.
func TestLiveStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0", "can1")
		bus := &deaf{Bus: r.live.Buses[1].Bus, until: make(chan struct{})}
		r.live.Buses[1].Bus = bus
		r.start()
		time.Sleep(time.Minute)
		if what := r.live.Stuck(); what != "" {
			t.Errorf("silent buses: %s", what)
		}
		bus.hangs.Store(true)
		time.Sleep(2 * patience)
		if what := r.live.Stuck(); !strings.Contains(what, "can1") {
			t.Errorf("a bus that hangs: %q", what)
		}
		close(bus.until)
		r.end(false)
	})
}

// ahead is a sensor whose clock is hours ahead, and a NaN its value now and then.
type ahead struct{ counting }

func (a *ahead) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	return a.counting.Run(ctx, func(readings []sensors.Reading) {
		readings[0].Time += int64(5 * time.Hour)
		emit(readings)
	})
}

// A sensor out of its mind does not close the windows of the others.
func TestLiveMisdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t)
		r.live.Sensors = []LiveSensor{
			{"iio", "sane", &counting{time.Second / 4, []float64{1, 2, 3, 4, 5, 6, 7, 8}}},
			{"iio", "wild", &ahead{counting{time.Second / 2, []float64{1, math.NaN(), 3}}}},
		}
		r.start()
		time.Sleep(4 * time.Second)
		want := `0 iio sane.temperature count 4 min 1 max 4 last 4 rev <nil>
0 iio wild.temperature count 1 min 1 max 1 last 1 rev <nil>
1 iio sane.temperature count 4 min 5 max 8 last 8 rev <nil>
1 iio wild.temperature count 1 min 3 max 3 last 3 rev <nil>`
		if got := lines(r.end(true), "temperature"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if r.ledger.ClockSteps != 0 || r.live.hub.Misdated() != 3 {
			t.Errorf("%d readings misdated; %+v", r.live.hub.Misdated(), r.ledger)
		}
	})
}
