package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milepost/can"
	"milepost/can/cantest"
	"milepost/can/dbc"
	"milepost/cmd/internal/config"
	"milepost/sensors"
	"milepost/uplink"
)

// liveRig is a gateway with buses in memory and a file as its sink.
type liveRig struct {
	t      *testing.T
	live   *Live
	buses  map[string]*cantest.Bus
	path   string
	stop   context.CancelFunc
	result chan error
	ledger Ledger
}

const liveDatabase = `BO_ 256 ENGINE: 2 ECU
 SG_ Speed : 0|8@1+ (1,0) [0|255] "rpm" X
 SG_ Temp : 8|8@1+ (1,-40) [0|255] "C" X
BO_ 257 BRAKE: 1 ECU
 SG_ Pressure : 0|8@1+ (0.5,0) [0|127] "bar" X
`

func liveBindings(t *testing.T, text string) *Bindings {
	t.Helper()
	db, err := dbc.Parse("live.dbc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return NewBindings(dbc.Compile([]*dbc.Database{db}, dbc.Options{}), nil)
}

func fileSink(name, path string) config.Sink {
	sink := config.NewSink()
	sink.Name, sink.Type, sink.Path = name, config.SinkFile, path
	return sink
}

func newLiveRig(t *testing.T, names ...string) *liveRig {
	dir := t.TempDir()
	r := &liveRig{t: t, buses: make(map[string]*cantest.Bus), path: filepath.Join(dir, "records.jsonl"), result: make(chan error, 1)}
	r.live = &Live{
		Options:  DefaultOptions(),
		Bindings: liveBindings(t, liveDatabase),
		Device:   "van-17", Boot: uplink.BootID{1},
		SpoolDir: filepath.Join(dir, "spool"),
		Sinks:    []config.Sink{fileSink("file", r.path)},
		Drain:    time.Minute,
	}
	for _, name := range names {
		r.buses[name] = cantest.NewBus(name)
		r.live.Buses = append(r.live.Buses, LiveBus{Name: name, Bus: r.buses[name].Receive(1 << 12)})
	}
	return r
}

// start runs the gateway and returns when it is ready.
func (r *liveRig) start() {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	ready := make(chan struct{})
	r.live.Ready = func() { close(ready) }
	go func() {
		var err error
		r.ledger, err = r.live.Run(ctx)
		r.result <- err
	}()
	<-ready
}

// Ready waits for the buses, but not for one that hangs for ever, and not longer than
// the gateway is to run.
func TestLiveReadyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := make(chan struct{})
		l := &Live{Buses: []LiveBus{{Name: "can0"}, {Name: "can1", Begun: begun}}}
		start := time.Now()
		l.awaitBuses(t.Context())
		if waited := time.Since(start); waited != beginning {
			t.Errorf("a bus that hangs is waited for during %v", waited)
		}
		time.AfterFunc(time.Second, func() { close(begun) })
		start = time.Now()
		l.awaitBuses(t.Context())
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("a bus that takes 1s is waited for during %v", waited)
		}
		l.Buses[0].Begun = make(chan struct{})
		ended, end := context.WithCancel(t.Context())
		end()
		start = time.Now()
		l.awaitBuses(ended)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("with nothing to run for it waits %v", waited)
		}
	})
}

// end stops it and returns the records of its buses, without those of the gateway
// itself unless own says so.
func (r *liveRig) end(own bool) (records []map[string]any) {
	r.t.Helper()
	r.stop()
	if err := <-r.result; err != nil {
		r.t.Fatal(err)
	}
	return readRecords(r.t, r.path, own)
}

func readRecords(t *testing.T, path string, own bool) (records []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		if own || record["bus"] != "milepost" {
			records = append(records, record)
		}
	}
	return records
}

// send sends frames of an ID with the given first bytes, evenly over a second.
func (r *liveRig) send(bus string, id uint32, values ...byte) {
	for _, v := range values {
		if err := r.buses[bus].Send(can.Frame{ID: id, Len: 2, Data: [64]byte{v, 100}}); err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(time.Second / time.Duration(len(values)))
	}
}

// line is a record in short.
func line(r map[string]any) string {
	return fmt.Sprintf("%.0f %v %v.%v count %v min %v max %v last %v rev %v", r["window"].(float64)-946684800, r["bus"], r["message"], r["signal"],
		r["count"], r["min"], r["max"], r["last"], r["revision"])
}

func lines(records []map[string]any, signal string) string {
	var all []string
	for _, r := range records {
		if strings.Contains(signal, r["signal"].(string)) {
			all = append(all, line(r))
		}
	}
	return strings.Join(all, "\n")
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0", "can1")
		r.start()
		r.send("can0", 256, 1, 2, 3, 4)
		r.send("can1", 257, 10, 20)
		r.send("can0", 256, 7)
		r.send("can0", 999, 7) // no database knows it
		r.buses["can0"].Send(can.Frame{ID: 256, Len: 2, Data: [64]byte{9, 1}})
		got := lines(r.end(false), "Speed Pressure")
		want := `0 can0 ENGINE.Speed count 4 min 1 max 4 last 4 rev <nil>
1 can1 BRAKE.Pressure count 2 min 5 max 10 last 10 rev <nil>
2 can0 ENGINE.Speed count 1 min 7 max 7 last 7 rev <nil>
4 can0 ENGINE.Speed count 1 min 9 max 9 last 9 rev <nil>`
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if l := r.ledger; l.Frames != 9 || l.Decoded != 8 || l.Unknown != 1 {
			t.Errorf("%+v", l)
		}
	})
}

// A window reaches the sinks soon after its end, on a busy bus and on one that is
// silent.
func TestLiveDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0", "can1")
		r.start()
		r.send("can0", 256, 1, 2, 3, 4)
		r.send("can0", 256, 5) // the window is complete with it
		if got := lines(readRecords(t, r.path, false), "Speed"); !strings.HasPrefix(got, "0 can0 ENGINE.Speed count 4") {
			t.Errorf("a second after its end the window is not delivered: %q", got)
		}
		time.Sleep(time.Second)
		if got := lines(readRecords(t, r.path, false), "Speed"); strings.Count(got, "\n") != 1 {
			t.Errorf("a second after the bus fell silent: %q", got)
		}
		r.end(false)
	})
}

// counting is a sensor that makes a reading now and then.
type counting struct {
	interval time.Duration
	values   []float64
}

func (c *counting) Channels() []sensors.Channel {
	return []sensors.Channel{{Name: "other"}, {Name: "temperature", Unit: "°C"}}
}
func (c *counting) Status() sensors.Status { return sensors.Status{} }
func (c *counting) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	for _, v := range c.values {
		emit([]sensors.Reading{{Time: time.Now().UnixNano(), Channel: 1, Value: v}})
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.interval):
		}
	}
	<-ctx.Done()
	return nil
}

func TestLiveSensors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0")
		r.live.Sensors = []LiveSensor{
			{"iio", "cabin", &counting{time.Second / 2, []float64{1, 2.5, 3, 4}}},
			{"iio", "engine", &counting{time.Second, []float64{-7}}},
		}
		r.start()
		r.send("can0", 256, 1, 2)
		time.Sleep(3 * time.Second)
		records := r.end(true)
		want := `0 iio cabin.temperature count 2 min 1 max 2.5 last 2.5 rev <nil>
0 iio engine.temperature count 1 min -7 max -7 last -7 rev <nil>
1 iio cabin.temperature count 2 min 3 max 4 last 4 rev <nil>`
		if got := lines(records, "temperature"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		// What became of the frames is in the records, too.
		frames := 0.0
		for _, record := range records {
			if record["message"] == "ledger" && record["signal"] == "frames" {
				frames += record["sum"].(float64)
			}
		}
		if frames != 2 {
			t.Errorf("the ledger's records tell of %v frames", frames)
		}
	})
}

// Windows longer than a second are put together of shorter ones.
func TestLiveLongWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0")
		r.live.Window = 5 * time.Second
		r.start()
		for i := range byte(12) {
			r.send("can0", 256, i)
		}
		want := `0 can0 ENGINE.Speed count 5 min 0 max 4 last 4 rev <nil>
5 can0 ENGINE.Speed count 5 min 5 max 9 last 9 rev <nil>
10 can0 ENGINE.Speed count 2 min 10 max 11 last 11 rev <nil>`
		if got := lines(r.end(false), "Speed"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// A clock that is set, forward by years or back by hours, empties no window and
// holds none up.
func TestLiveClockSet(t *testing.T) {
	for _, jump := range []time.Duration{30 * 365 * 24 * time.Hour, -5 * time.Hour, 3 * time.Second} {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLiveRig(t, "can0")
				r.start()
				count := 0
				for i := range 40 {
					at := time.Now()
					if i >= 20 {
						at = at.Add(jump)
					}
					r.buses["can0"].Send(can.Frame{Time: at.UnixNano(), ID: 256, Len: 2, Data: [64]byte{byte(i)}})
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(3 * time.Second)
				for _, record := range readRecords(t, r.path, false) {
					if record["signal"] == "Speed" {
						count += int(record["count"].(float64))
					}
				}
				if count != 40 {
					t.Errorf("%d of 40 samples are delivered", count)
				}
				r.end(false)
				if l := r.ledger; l.Decoded != 40 || l.Dropped != 0 {
					t.Errorf("%+v", l)
				}
			})
		})
	}
}

// late is a sensor that has not found yet that the clock was set.
type late struct {
	counting
	by time.Duration
}

func (l *late) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	return l.counting.Run(ctx, func(readings []sensors.Reading) {
		readings[0].Time -= int64(l.by)
		emit(readings)
	})
}

// While some sensors know that the clock was set and some do not, their readings
// come by turns: none is dropped, however many turns there are.
func TestLiveClockSetSensors(t *testing.T) {
	for _, jump := range []time.Duration{30 * 365 * 24 * time.Hour, -5 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const each = 100
				r := newLiveRig(t)
				readings := counting{time.Millisecond, make([]float64, each)}
				r.live.Sensors = []LiveSensor{
					{"iio", "knows", &late{readings, 0}},
					{"iio", "knows not", &late{readings, jump}},
				}
				r.start()
				time.Sleep(10 * time.Second)
				count := map[any]float64{}
				for _, record := range r.end(false) {
					count[record["message"]] += record["count"].(float64)
				}
				if count["knows"] != each || count["knows not"] != each {
					t.Errorf("%v of %d readings each are delivered", count, each)
				}
				if l, misdated := r.ledger, r.live.hub.Misdated(); l.ReadingsDropped != 0 || misdated != each {
					t.Errorf("%d are dated anew: %+v", misdated, l)
				}
			})
		})
	}
}

// New databases, priorities and sinks take effect with a window, and none is lost.
func TestLiveReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0", "can1")
		r.start()
		r.send("can0", 256, 1, 2, 3, 4)
		r.send("can0", 256, 5, 6)
		second := r.path + ".2"
		err := r.live.Reload(Change{
			Bindings:   liveBindings(t, strings.ReplaceAll(liveDatabase, "Speed : 0|8@1+ (1,0)", "Speed : 0|8@1+ (10,0)")),
			Priorities: []config.PriorityRule{{Signal: "Speed", Priority: config.PriorityHigh}},
			Sinks:      []config.Sink{fileSink("file", r.path), fileSink("second", second)},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.send("can0", 256, 7, 8)
		r.send("can1", 257, 10)
		r.send("can0", 256, 9)
		// The first sink goes, and what is stored for it with it.
		if err := r.live.Reload(Change{Bindings: liveBindings(t, liveDatabase), Sinks: []config.Sink{fileSink("second", second)}}); err != nil {
			t.Fatal(err)
		}
		r.send("can0", 256, 11)
		first := lines(r.end(false), "Speed Pressure")
		want := `0 can0 ENGINE.Speed count 4 min 1 max 4 last 4 rev <nil>
1 can0 ENGINE.Speed count 2 min 5 max 6 last 6 rev <nil>
2 can0 ENGINE.Speed count 2 min 70 max 80 last 80 rev <nil>
3 can1 BRAKE.Pressure count 1 min 5 max 5 last 5 rev <nil>`
		if !strings.HasPrefix(first, want) {
			t.Errorf("got\n%s\nwant\n%s", first, want)
		}
		if got := lines(readRecords(t, second, false), "Speed"); !strings.HasSuffix(got, "5 can0 ENGINE.Speed count 1 min 11 max 11 last 11 rev <nil>") {
			t.Errorf("the second sink has\n%s", got)
		}
		if l := r.ledger; l.Frames != l.Decoded || l.Frames != 11 {
			t.Errorf("%+v", l)
		}
	})
}

// Of frames that two buses carry, each counts once, whichever bus it came from.
func TestLiveMirrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0", "can1", "can2")
		r.live.Mirrors = []Mirror{{Buses: []string{"can0", "can2"}, Within: 10 * time.Millisecond}}
		r.start()
		for i := range byte(20) {
			f := can.Frame{Time: time.Now().UnixNano(), ID: 256, Len: 2, Data: [64]byte{i}}
			r.buses["can0"].Send(f)
			f.Time += 1e6
			r.buses["can2"].Send(f)
			r.buses["can1"].Send(f)
			time.Sleep(100 * time.Millisecond)
		}
		count := map[string]float64{}
		for _, record := range r.end(false) {
			if record["signal"] == "Speed" {
				count[record["bus"].(string)] += record["count"].(float64)
			}
		}
		if count["can0"]+count["can2"] != 20 || count["can1"] != 20 {
			t.Errorf("%v", count)
		}
		if l := r.ledger; l.Frames != 60 || l.Duplicates != 20 {
			t.Errorf("%+v", l)
		}
	})
}

// What a reader is told by exception: each second can be rebuilt, and that a bus
// has fallen silent is told soon.
func TestLiveByException(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRig(t, "can0", "can1")
		r.live.Refresh = time.Minute
		r.start()
		for range 3 {
			go r.send("can1", 257, 10, 10)
			r.send("can0", 256, 7, 7)
		}
		time.Sleep(6 * time.Second) // the end is told before anything else comes
		want := `0 can0 ENGINE.Speed count 2 min 7 max 7 last 7 rev <nil>
0 can1 BRAKE.Pressure count 2 min 5 max 5 last 5 rev <nil>
3 can0 ENGINE.Speed count 0 min <nil> max <nil> last <nil> rev <nil>
3 can1 BRAKE.Pressure count 0 min <nil> max <nil> last <nil> rev <nil>`
		if got := lines(readRecords(t, r.path, false), "Speed Pressure"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		r.send("can0", 256, 7, 7)
		r.end(false)
		if l := r.ledger; l.Suppressed < 6 {
			t.Errorf("%+v", l)
		}
	})
}
