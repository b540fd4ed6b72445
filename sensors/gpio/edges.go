package gpio

import (
	"context"
	"time"

	"milepost/sensors"
)

// EdgeOptions configure Edges.
type EdgeOptions struct {
	LineOptions
	// Interval is how often the line is told of though nothing happens; 0 is a
	// second. At its multiples, in wall-clock time, the time on is cut: windows
	// should be as long, or a multiple.
	Interval time.Duration
}

// The channels of Edges.
const (
	EdgeState = iota
	EdgeOn
	EdgeRising
	EdgeFalling
)

var edgeChannels = []sensors.Channel{
	EdgeState:   {Name: "state"},
	EdgeOn:      {Name: "on", Unit: "s"},
	EdgeRising:  {Name: "rising"},
	EdgeFalling: {Name: "falling"},
}

// Edges tells when a line goes on and off, and for how long it is on.
//
//	state    1 or 0, at each edge and at the start of each interval, so that a
//	         window begins with the state that it finds
//	on       seconds on since the last such reading, at the end of each interval:
//	         the sum over a window is the time on in it
//	rising   1 at each change to on, and 0 at the end of each interval: the sum is
//	         the number of changes, and none is told from not known
//	falling  the same for changes to off
//
// The end of an interval is its last nanosecond, so that its readings are in its
// window. While the line cannot be read there are no readings, and that time
// is neither on nor off. Where edges were lost (Status), the level that was last
// known counts for the time between.
type Edges struct {
	watch watcher
}

// NewEdges is Edges for a line that need not be there yet.
func NewEdges(o EdgeOptions) (*Edges, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	every, err := interval(o.Interval, &o.LineOptions)
	if err != nil {
		return nil, err
	}
	return &Edges{watcher{line: o.LineOptions, edges: bothEdges, interval: every, open: requestLine}}, nil
}

// Channels are state, on, rising and falling.
func (e *Edges) Channels() []sensors.Channel { return edgeChannels }

// Status is how the line is doing.
func (e *Edges) Status() sensors.Status { return e.watch.status.get() }

// Unseen is how often the line changed and nobody could see it: pulses that were
// over before the interrupt was served, and changes during a suspend.
func (e *Edges) Unseen() uint64 { return e.watch.unseen.Load() }

// Run reads the line until the context is done.
func (e *Edges) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	return e.watch.run(ctx, &edgeMeter{batch: batch{emit: emit, status: &e.watch.status}})
}

// edgeMeter makes the readings of Edges.
type edgeMeter struct {
	batch
	time onTime
}

func (m *edgeMeter) begin(at moment, on bool) {
	m.time.begin(at.mono, on)
	m.add(at.wall, EdgeState, number(on))
}

func (m *edgeMeter) edge(at moment, rising bool, _ uint32) {
	m.time.set(at.mono, rising)
	m.add(at.wall, EdgeState, number(rising))
	if rising {
		m.add(at.wall, EdgeRising, 1)
	} else {
		m.add(at.wall, EdgeFalling, 1)
	}
}

func (m *edgeMeter) cut(at moment) {
	end := at.wall - 1
	m.add(end, EdgeOn, seconds(m.time.take(at.mono)))
	m.add(end, EdgeRising, 0)
	m.add(end, EdgeFalling, 0)
	m.add(at.wall, EdgeState, number(m.time.on))
}

func (m *edgeMeter) end(at moment) {
	m.add(at.wall, EdgeOn, seconds(m.time.take(at.mono)))
}

func (m *edgeMeter) shift(from, to moment) {
	m.end(from)
	m.begin(to, m.time.on)
}

// onTime adds up how long a line is on. Times are nanoseconds of one clock that
// nobody sets.
type onTime struct {
	on    bool
	since int64 // up to here it is in sum
	sum   int64
}

func (t *onTime) begin(at int64, on bool) { *t = onTime{on: on, since: at} }

func (t *onTime) set(at int64, on bool) {
	if t.on {
		t.sum += at - t.since
	}
	t.on, t.since = on, at
}

// take returns the time on since the last take.
func (t *onTime) take(at int64) int64 {
	t.set(at, t.on)
	sum := t.sum
	t.sum = 0
	return sum
}

func number(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func seconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e9 }
