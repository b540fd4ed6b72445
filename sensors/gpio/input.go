package gpio

import (
	"context"
	"sync"
	"time"

	"milepost/sensors"
)

// Change is a new state of an Input.
type Change struct {
	// Time is when it was seen, in nanoseconds since the Unix epoch.
	Time int64
	// On is the level; Known says whether there is one: the line may be gone.
	On, Known bool
}

// Input is a line that a program itself goes by: the ignition. Where a Sensor
// tells a series, it tells the state.
type Input struct {
	watch   watcher
	changes chan Change
	mu      sync.Mutex
	state   Change
}

// NewInput is an Input for a line that need not be there yet.
func NewInput(o LineOptions) (*Input, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Input{
		watch:   watcher{line: o, edges: bothEdges, interval: time.Second, open: requestLine},
		changes: make(chan Change, 1),
	}, nil
}

// Level is the line's level after the debounce. It is not known before Run has
// the line, while it is absent, and after Run.
func (i *Input) Level() (on, known bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.state.On, i.state.Known
}

// Changes delivers each change of what Level says, the first level included. Who
// is slow gets the newest alone. It is never closed.
func (i *Input) Changes() <-chan Change { return i.changes }

// Status is how the line is doing; there are no Readings.
func (i *Input) Status() sensors.Status { return i.watch.status.get() }

// Run watches the line until the context is done, when it returns nil. A line
// that is absent, or held by another, is tried again. An error says that there
// can be no lines on this system. Run is called once.
func (i *Input) Run(ctx context.Context) error { return i.watch.run(ctx, inputMeter{i}) }

// inputMeter keeps an Input's state.
type inputMeter struct{ input *Input }

func (m inputMeter) begin(at moment, on bool)                 { m.input.set(Change{at.wall, on, true}) }
func (m inputMeter) edge(at moment, rising bool, lost uint32) { m.begin(at, rising) }
func (m inputMeter) cut(moment)                               {}
func (m inputMeter) shift(from, to moment)                    {}
func (m inputMeter) end(at moment)                            { m.input.set(Change{Time: at.wall}) }
func (m inputMeter) flush()                                   {}

func (i *Input) set(c Change) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c.On == i.state.On && c.Known == i.state.Known {
		return
	}
	i.state = c
	// There is one writer, so after the old change is taken out, by whomever, there
	// is room.
	select {
	case <-i.changes:
	default:
	}
	i.changes <- c
}
