package gpio

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"milepost/sensors"
)

// The tests whose names begin with TestBoard run on a board with a real kernel
// and a GPIO chip of eight lines whose far ends someone else drives: QEMU's
// machine "virt", whose PL061 the host drives through the qtest socket. They are
// for a go test -c binary of the board's machine, started there with the variable
//
//	MILEPOST_BOARD_GPIO=gpiochip0    the chip
//
// and they ask the host, on lines of their own of the standard error,
//
//	gpio: set LINE 0|1                 set the line
//	gpio: toggle LINES TIMES SPACING   change each line so often, one after the other, SPACING apart:
//	                                   "gpio: toggle 0,1,2 500 1ms" are 1500 changes in half a second
//
// which does so at once, in order. Lines are low at the beginning, and each test
// leaves them so. When a test must know that all is done it has the host set a
// line that it watches.
const boardVariable = "MILEPOST_BOARD_GPIO"

func boardChip(t *testing.T) string {
	chip := os.Getenv(boardVariable)
	if chip == "" {
		t.Skip(boardVariable + " is not set: this is for a board whose GPIO lines a host drives (make test-board)")
	}
	return chip
}

func ask(format string, args ...any) { fmt.Fprintf(os.Stderr, "gpio: "+format+"\n", args...) }

// boardWait is for a board that is emulated by a busy machine.
const boardWait = 60 * time.Second

// running is a sensor that runs until the test ends, and what it has said.
type running struct {
	sensor   sensors.Sensor
	stop     func()
	changes  atomic.Int64 // edges so far
	mu       sync.Mutex
	readings []sensors.Reading
}

func (r *running) add(batch []sensors.Reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readings = append(r.readings, batch...)
	for _, reading := range batch {
		if (reading.Channel == EdgeRising || reading.Channel == EdgeFalling) && reading.Value > 0 {
			r.changes.Add(1)
		}
	}
}

func (r *running) count() int { return int(r.changes.Load()) }

func start(t *testing.T, s sensors.Sensor) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{sensor: s}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, r.add) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// sum adds up a channel.
func (r *running) sum(channel int) (sum float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reading := range r.readings {
		if reading.Channel == channel {
			sum += reading.Value
		}
	}
	return sum
}

// values are what a channel has said.
func (r *running) values(channel int) (values []float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reading := range r.readings {
		if reading.Channel == channel {
			values = append(values, reading.Value)
		}
	}
	return values
}

func (r *running) last(channel int) float64 {
	if v := r.values(channel); len(v) > 0 {
		return v[len(v)-1]
	}
	return -1
}

func (r *running) edges() int { return int(r.sum(EdgeRising) + r.sum(EdgeFalling)) }

// until waits for a condition, and says what it was if it does not come.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(boardWait); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", boardWait, what)
		}
	}
}

// works waits until a line is held.
func works(t *testing.T, s interface{ Status() sensors.Status }) {
	t.Helper()
	var status sensors.Status
	defer func() {
		if status.Err != nil {
			t.Log(status.Err)
		}
	}()
	until(t, "the line", func() bool {
		status = s.Status()
		return status.Err == nil && !status.Since.IsZero()
	})
}

// settled waits until a count has not changed for some seconds.
func settled(t *testing.T, want int, count func() int) int {
	t.Helper()
	for seen, since := -1, time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if n := count(); n != seen {
			seen, since = n, time.Now()
		}
		quiet := 3 * time.Second
		if seen >= want {
			quiet = 500 * time.Millisecond
		}
		if time.Since(since) > quiet {
			return seen
		}
	}
}

func newEdges(t *testing.T, o LineOptions) *Edges {
	t.Helper()
	e, err := NewEdges(EdgeOptions{LineOptions: o})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// done is a line by which the host says that it has done all before.
type done struct {
	t     *testing.T
	line  int
	input *Input
	on    bool
}

func newDone(t *testing.T, chip string, line int) *done {
	input, err := NewInput(LineOptions{Chip: chip, Line: fmt.Sprint(line)})
	if err != nil {
		t.Fatal(err)
	}
	runInput(t, input)
	works(t, input)
	return &done{t: t, line: line, input: input}
}

// runInput runs an input until the test ends, or it is told to stop.
func runInput(t *testing.T, input *Input) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- input.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, known := input.Level(); known {
			t.Error("a level is known after Run")
		}
	})
	t.Cleanup(stop)
	return stop
}

// wait waits until the host has done everything it was asked for.
func (d *done) wait() {
	d.t.Helper()
	d.on = !d.on
	ask("set %d %v", d.line, number(d.on))
	until(d.t, "the host to be done", func() bool {
		on, known := d.input.Level()
		return known && on == d.on
	})
}
