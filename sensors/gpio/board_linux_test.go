package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"milepost/sensors"
)

func TestBoardLines(t *testing.T) {
	chip := boardChip(t)
	lines, err := Lines()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 8 {
		t.Errorf("%d lines: %v", len(lines), lines)
	}
	for i := range lines {
		t.Log(lines[i].String())
		if lines[i].Chip != chip || lines[i].Number != i || lines[i].Label == "" || lines[i].Used {
			t.Errorf("line %d: %+v", i, lines[i])
		}
		byPlace, err := Find(lines[i].Place())
		if err != nil || byPlace != lines[i] {
			t.Errorf("%s: %+v, %v", lines[i].Place(), byPlace, err)
		}
	}
	_, err = Find("no-such-line")
	t.Log(err)
	if !errors.Is(err, ErrNoLine) {
		t.Errorf("no-such-line: %v", err)
	}
	_, err = Find("gpiochip99/1")
	t.Log(err)
	if !errors.Is(err, ErrNoChip) || !strings.Contains(err.Error(), chip) {
		t.Errorf("gpiochip99/1: %v", err)
	}
	if lines[0].Name == "" {
		t.Log("the device tree names no lines: lines by name are not tested")
		return
	}
	for _, line := range lines {
		byName, err := Find(line.Name)
		if err != nil || byName != line {
			t.Errorf("%s: %+v, %v", line.Name, byName, err)
		}
	}
	if _, err := Find(lines[0].Name + "x"); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q meant", lines[0].Name)) {
		t.Errorf("a mistyped name: %v", err)
	}
	e := start(t, newEdges(t, LineOptions{Line: lines[2].Name}))
	works(t, e.sensor)
	ask("toggle 2 2 20ms")
	if n := settled(t, 2, e.edges); n != 2 {
		t.Errorf("%d edges of 2 on %s", n, lines[2].Name)
	}
}

// counted is a request that remembers how many edges the kernel has numbered.
type counted struct {
	request
	newest atomic.Uint32
}

func (c *counted) read(events []event) (int, error) {
	n, err := c.request.read(events)
	if n > 0 {
		c.newest.Store(events[n-1].seq)
	}
	return n, err
}

// countEdges lets a watcher open its line once, and remembers.
func countEdges(w *watcher) *counted {
	c := new(counted)
	w.open = func(o *LineOptions, kinds edgeKinds) (request, error) {
		held, err := requestLine(o, kinds)
		c.request = held
		return c, err
	}
	return c
}

// TestBoardEdges counts 500 changes of each line, to the edge. An emulator whose
// host is busy elsewhere may get to an interrupt so late that the line has
// changed again: such edges never were events for the kernel, and a whole pulse of
// them leaves no trace. Then they are driven once more, each when the one before has
// been seen, and have to be exact. What the kernel has numbered must be in the
// readings each time.
func TestBoardEdges(t *testing.T) {
	chip := boardChip(t)
	for _, spacing := range []time.Duration{time.Millisecond, 4 * time.Millisecond} {
		t.Run(spacing.String(), func(t *testing.T) {
			for line := range 8 {
				if !countChanges(t, chip, line, spacing, false) {
					countChanges(t, chip, line, spacing, true)
				}
			}
		})
	}
}

// countChanges has a line changed 500 times, and says whether each was seen, as each
// must be if they are driven one by one.
func countChanges(t *testing.T, chip string, line int, spacing time.Duration, oneByOne bool) bool {
	const changes = 500
	edges := newEdges(t, LineOptions{Chip: chip, Line: fmt.Sprint(line)})
	kernel := countEdges(&edges.watch)
	r := start(t, edges)
	works(t, edges)
	if oneByOne {
		for i := range changes {
			ask("set %d %d", line, 1-i%2)
			until(t, "an edge", func() bool { return r.count() > i })
			time.Sleep(spacing)
		}
	} else {
		ask("toggle %d %d %v", line, changes, spacing)
	}
	settled(t, changes, r.edges)
	r.stop()
	status, up, down := edges.Status(), r.sum(EdgeRising), r.sum(EdgeFalling)
	if r.edges() != int(kernel.newest.Load()) || status.Lost != 0 || status.Readings != uint64(len(r.readings)) {
		t.Errorf("line %d: %d edges and %d lost of the kernel's %d; %d readings of %d", line, r.edges(), status.Lost,
			kernel.newest.Load(), len(r.readings), status.Readings)
	}
	checkReadings(t, r.readings)
	t.Logf("line %d: %v up, %v down, %d unseen, %.6f s on, one by one: %v", line, up, down, edges.Unseen(), r.sum(EdgeOn), oneByOne)
	exact := up == changes/2 && down == changes/2
	if !exact && oneByOne {
		t.Errorf("line %d: %v up and %v down of %d changes, %d unseen", line, up, down, changes, edges.Unseen())
	}
	return exact
}

// checkReadings compares the time on with the states, edge by edge.
func checkReadings(t *testing.T, readings []sensors.Reading) {
	t.Helper()
	var on, told, state float64
	var since, last int64
	for i, r := range readings {
		if r.Time < last {
			t.Errorf("reading %d goes back from %d to %d", i, last, r.Time)
		}
		last = r.Time
		switch r.Channel {
		case EdgeState:
			on += state * float64(r.Time-since) / 1e9
			state, since = r.Value, r.Time
		case EdgeOn:
			told += r.Value
		}
	}
	on += state * float64(last-since) / 1e9
	if d := on - told; d > 1e-6 || d < -1e-6 {
		t.Errorf("by the states %v s on, by the sum %v s", on, told)
	}
	if age := time.Since(time.Unix(0, last)); age < 0 || age > time.Hour {
		t.Errorf("the last reading is %v old", age)
	}
}

func TestBoardDebounce(t *testing.T) {
	chip := boardChip(t)
	d := newDone(t, chip, 7)
	plain := start(t, newEdges(t, LineOptions{Chip: chip, Line: "1"}))
	calm := start(t, newEdges(t, LineOptions{Chip: chip, Line: "0", Debounce: 10 * time.Millisecond}))
	works(t, plain.sensor)
	works(t, calm.sensor)
	ask("toggle 0,1 21 2ms")
	d.wait()
	if n := settled(t, 1, calm.edges); n != 1 || calm.last(EdgeState) != 1 {
		t.Errorf("%d edges after a bounce that ends up on; the state is %v", n, calm.last(EdgeState))
	}
	if n := plain.edges(); n < 10 {
		t.Errorf("%d edges without debounce: the line did not bounce", n)
	}
	ask("toggle 0,1 1 50ms")
	d.wait()
	if n := settled(t, 2, calm.edges); n != 2 || calm.last(EdgeState) != 0 {
		t.Errorf("%d edges; the state is %v", n, calm.last(EdgeState))
	}
	line, err := Find(chip + "/0")
	if err != nil || line.Debounce != 10*time.Millisecond || line.Consumer != consumer {
		t.Errorf("%+v, %v", line, err)
	}
}

// TestBoardLost holds two lines without reading them, until the kernel's buffers
// have overflowed.
func TestBoardLost(t *testing.T) {
	chip := boardChip(t)
	d := newDone(t, chip, 7)
	const changes = 4000 // of which an emulator that is late may lose half
	edges := newEdges(t, LineOptions{Chip: chip, Line: "0"})
	pulses, err := NewPulses(PulseOptions{LineOptions: LineOptions{Chip: chip, Line: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	read, held := make(chan struct{}), make(chan struct{}, 2)
	late := func(w *watcher) *counted {
		c := countEdges(w)
		open := w.open
		w.open = func(o *LineOptions, kinds edgeKinds) (request, error) {
			line, err := open(o, kinds)
			held <- struct{}{}
			<-read
			return line, err
		}
		return c
	}
	both, rising := late(&edges.watch), late(&pulses.watch)
	e, p := start(t, edges), start(t, pulses)
	<-held
	<-held
	ask("toggle 0,1 %d 1ms", changes)
	d.wait()
	close(read)
	settled(t, eventBuffer, e.edges)
	settled(t, changes/2, func() int { return int(p.sum(PulseCount)) })
	e.stop()
	p.stop()
	t.Logf("%d edges, %d lost; %v pulses, %d lost", e.edges(), edges.Status().Lost, p.sum(PulseCount), pulses.Status().Lost)
	if lost, newest := edges.Status().Lost, both.newest.Load(); e.edges() != eventBuffer || uint64(e.edges())+lost != uint64(newest) || newest < changes/2 {
		t.Errorf("%d edges and %d lost of the kernel's %d, after %d changes; the buffer holds %d", e.edges(), lost, newest, changes, eventBuffer)
	}
	if lost, newest := pulses.Status().Lost, rising.newest.Load(); uint32(p.sum(PulseCount)) != newest || lost != uint64(newest)-eventBuffer || newest <= eventBuffer {
		t.Errorf("%v pulses of the kernel's %d, after %d, of which %d were lost", p.sum(PulseCount), newest, changes/2, lost)
	}
	d.wait() // its line is low again
}

func TestBoardPulses(t *testing.T) {
	chip := boardChip(t)
	pulses, err := NewPulses(PulseOptions{LineOptions: LineOptions{Chip: chip, Line: "3"}, Timeout: time.Second, PerUnit: 2, Unit: "m"})
	if err != nil {
		t.Fatal(err)
	}
	kernel := countEdges(&pulses.watch)
	p := start(t, pulses)
	works(t, pulses)
	ask("toggle 3 800 4ms") // 400 pulses with 125 Hz, or less where the host is busy
	settled(t, 200, func() int { return int(p.sum(PulseCount)) })
	until(t, "the standstill", func() bool { return p.last(PulseFrequency) == 0 })
	fastest := 0.0
	for _, f := range p.values(PulseFrequency) {
		fastest = max(fastest, f)
	}
	// An emulator that is late makes one pulse of two.
	sum, numbered := p.sum(PulseCount), float64(kernel.newest.Load())/2
	t.Logf("%v m of 200, at most %v m/s of 62.5", sum, fastest)
	if sum != numbered || sum < 100 || sum > 200 || fastest < 10 || fastest > 70 {
		t.Errorf("%v m of the kernel's %v, after 200 were driven; at most %v m/s of 62.5", sum, numbered, fastest)
	}
}

func TestBoardActiveLowAndBias(t *testing.T) {
	chip := boardChip(t)
	d := newDone(t, chip, 7)
	r := start(t, newEdges(t, LineOptions{Chip: chip, Line: "4", ActiveLow: true, Bias: BiasPullUp}))
	works(t, r.sensor)
	until(t, "a state", func() bool { return r.last(EdgeState) == 1 }) // low is on
	line, err := Find(chip + "/4")
	if err != nil || !line.ActiveLow || line.Bias != BiasPullUp {
		t.Errorf("%+v, %v", line, err)
	}
	ask("set 4 1")
	d.wait()
	until(t, "an edge", func() bool { return r.edges() == 1 })
	if r.sum(EdgeFalling) != 1 || r.last(EdgeState) != 0 {
		t.Errorf("a high line that is active-low: %v", r.readings)
	}
	ask("set 4 0")
	d.wait()
	until(t, "an edge", func() bool { return r.edges() == 2 })
	if r.sum(EdgeRising) != 1 || r.last(EdgeState) != 1 {
		t.Errorf("a low line that is active-low: %v", r.readings)
	}
}

func TestBoardBusy(t *testing.T) {
	chip := boardChip(t)
	first := start(t, newEdges(t, LineOptions{Chip: chip, Line: "5"}))
	works(t, first.sensor)
	for _, newSensor := range []func() (sensors.Sensor, error){
		func() (sensors.Sensor, error) {
			return NewEdges(EdgeOptions{LineOptions: LineOptions{Chip: chip, Line: "5"}})
		},
		func() (sensors.Sensor, error) {
			return NewLevel(LevelOptions{LineOptions: LineOptions{Chip: chip, Line: "5"}})
		},
	} {
		s, err := newSensor()
		if err != nil {
			t.Fatal(err)
		}
		second := start(t, s)
		until(t, "a complaint", func() bool { return second.sensor.Status().Err != nil })
		err = second.sensor.Status().Err
		t.Log(err)
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("%q", consumer)) {
			t.Errorf("a line that is held: %v", err)
		}
		second.stop()
	}
	third := start(t, newEdges(t, LineOptions{Chip: chip, Line: "5"}))
	until(t, "a complaint", func() bool { return third.sensor.Status().Err != nil })
	first.stop()
	works(t, third.sensor)
}

func TestBoardLevel(t *testing.T) {
	chip := boardChip(t)
	for _, low := range []bool{false, true} {
		level, err := NewLevel(LevelOptions{LineOptions: LineOptions{Chip: chip, Line: "6", ActiveLow: low}, Interval: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		r := start(t, level)
		for _, high := range []float64{0, 1, 0} {
			ask("set 6 %v", high)
			want := high
			if low {
				want = 1 - high
			}
			until(t, fmt.Sprintf("the level %v", want), func() bool { return r.last(0) == want })
		}
		line, err := Find(chip + "/6")
		if err != nil || line.Bias != BiasAsIs || line.Output || !strings.Contains(line.Consumer, "@") {
			t.Errorf("a polled line: %+v, %v", line, err) // a pull-up that nobody has asked for
		}
		r.stop()
		if line, err := Find(chip + "/6"); err != nil || line.Used {
			t.Errorf("after Run: %+v, %v", line, err)
		}
	}
}

func TestBoardInput(t *testing.T) {
	chip := boardChip(t)
	input, err := NewInput(LineOptions{Chip: chip, Line: "2", Debounce: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	stop := runInput(t, input)
	for i, want := range []Change{{On: false, Known: true}, {On: true, Known: true}, {On: false, Known: true}, {On: false, Known: false}} {
		select {
		case c := <-input.Changes():
			if c.On != want.On || c.Known != want.Known {
				t.Errorf("change %d: %+v", i, c)
			}
		case <-time.After(boardWait):
			t.Fatalf("waited for change %d", i)
		}
		switch i {
		case 0, 1:
			ask("toggle 2 1 0s")
		case 2:
			stop()
		}
	}
}

// TestBoardUnplugged takes the driver from the chip, as if it were unplugged, and
// gives it back.
func TestBoardUnplugged(t *testing.T) {
	chip := boardChip(t)
	here, err := filepath.EvalSymlinks("/sys/bus/gpio/devices/" + chip)
	if err != nil {
		t.Fatal(err)
	}
	device := filepath.Base(filepath.Dir(here))
	driver, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(here), "driver"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(driver + "/unbind"); err != nil {
		t.Skipf("this chip cannot be unplugged: %v", err)
	}
	// Who holds a descriptor of a chip that goes, as periph.io does, makes the
	// kernel give it a new name when it comes back. Its label stays.
	line, err := Find(chip + "/0")
	if err != nil {
		t.Fatal(err)
	}
	edges := start(t, newEdges(t, LineOptions{Chip: line.Label, Line: "0"}))
	level, err := NewLevel(LevelOptions{LineOptions: LineOptions{Chip: line.Label, Line: "1"}, Interval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	slow := start(t, level)
	works(t, edges.sensor)
	works(t, slow.sensor)
	for range 2 {
		if err := os.WriteFile(driver+"/unbind", []byte(device), 0); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*running{edges, slow} {
			until(t, "a complaint", func() bool { return r.sensor.Status().Err != nil })
			t.Log(r.sensor.Status().Err)
		}
		if err := os.WriteFile(driver+"/bind", []byte(device), 0); err != nil {
			t.Fatal(err)
		}
		works(t, edges.sensor)
		works(t, slow.sensor)
		lines, err := Lines()
		if err != nil || len(lines) != 8 {
			t.Errorf("%v, %v", lines, err)
		}
		t.Logf("it is back as %s", lines[0].Chip)
		before := edges.edges()
		ask("toggle 0,1 2 50ms")
		until(t, "edges", func() bool { return edges.edges() == before+2 })
		until(t, "a low line", func() bool { return slow.last(0) == 0 })
	}
}
