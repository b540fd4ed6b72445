package gpio

import (
	"context"
	"fmt"
	"math"
	"time"

	"milepost/sensors"
)

// PulseOptions configure Pulses.
type PulseOptions struct {
	LineOptions
	// Falling counts changes to off instead of those to on.
	Falling bool
	// Interval is how often there are readings; 0 is a second.
	Interval time.Duration
	// Timeout is how long after the last pulse the frequency is 0; 0 is 2 seconds.
	Timeout time.Duration
	// PerUnit is how many pulses make one Unit: 4.7 pulses a "m". Zero: pulses are
	// counted as they are.
	PerUnit float64
	Unit    string
}

// The channels of Pulses.
const (
	PulseCount = iota
	PulseFrequency
)

// Pulses counts the pulses of a wheel, a flow meter, a fan, and tells how fast
// they come.
//
//	pulses     since the last reading, at the end of each interval: the sum over a
//	           window is their number. With PerUnit, units: metres, litres.
//	frequency  in Hz, from the kernel's time stamps of the first and the last edge:
//	           at the end of each interval the mean since the reading before. When
//	           none has come it falls as the time since the last one allows, and
//	           is 0 after Timeout. With PerUnit, units a second.
//
// One edge of a pulse is asked of the kernel, and its sequence numbers are
// counted: pulses whose time stamps the kernel had to drop are in the number all
// the same, with the next one that it kept. Status tells of them as lost.
type Pulses struct {
	watch    watcher
	channels []sensors.Channel
	timeout  time.Duration
	perUnit  float64
}

// NewPulses is Pulses for a line that need not be there yet.
func NewPulses(o PulseOptions) (*Pulses, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	every, err := interval(o.Interval, &o.LineOptions)
	if err != nil {
		return nil, err
	}
	p := &Pulses{
		watch:    watcher{line: o.LineOptions, edges: risingEdges, interval: every, open: requestLine},
		channels: []sensors.Channel{PulseCount: {Name: "pulses"}, PulseFrequency: {Name: "frequency", Unit: "Hz"}},
		timeout:  o.Timeout,
		perUnit:  1,
	}
	if o.Falling {
		p.watch.edges = fallingEdges
	}
	switch {
	case o.Timeout < 0:
		return nil, fmt.Errorf("gpio: line %s: a timeout of %v", &o.LineOptions, o.Timeout)
	case o.Timeout == 0:
		p.timeout = 2 * time.Second
	}
	switch {
	case o.PerUnit == 0 && o.Unit == "":
	case !(o.PerUnit > 0) || math.IsInf(1/o.PerUnit, 0) || math.IsInf(o.PerUnit, 0):
		return nil, fmt.Errorf("gpio: line %s: %v pulses a unit (%q): it is more than 0", &o.LineOptions, o.PerUnit, o.Unit)
	default:
		p.perUnit = o.PerUnit
		p.channels[PulseCount].Unit = o.Unit
		if p.channels[PulseFrequency].Unit = o.Unit + "/s"; o.Unit == "" {
			p.channels[PulseFrequency].Unit = "1/s"
		}
	}
	return p, nil
}

// Channels are pulses and frequency.
func (p *Pulses) Channels() []sensors.Channel { return p.channels }

// Status is how the line is doing.
func (p *Pulses) Status() sensors.Status { return p.watch.status.get() }

// Run counts until the context is done.
func (p *Pulses) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	return p.watch.run(ctx, &pulseMeter{
		batch:   batch{emit: emit, status: &p.watch.status},
		speed:   frequency{timeout: int64(p.timeout)},
		perUnit: p.perUnit,
	})
}

// pulseMeter makes the readings of Pulses.
type pulseMeter struct {
	batch
	count   uint64
	speed   frequency
	perUnit float64
}

func (m *pulseMeter) begin(at moment, _ bool) { m.speed.begin(at.mono) }

func (m *pulseMeter) edge(at moment, _ bool, lost uint32) {
	pulses := uint64(lost) + 1
	m.count += pulses
	m.speed.pulse(at.mono, pulses)
}

func (m *pulseMeter) cut(at moment) {
	m.end(moment{at.mono, at.wall - 1})
	if hertz, known := m.speed.take(at.mono); known {
		m.add(at.wall-1, PulseFrequency, hertz/m.perUnit)
	}
}

func (m *pulseMeter) end(at moment) {
	m.add(at.wall, PulseCount, float64(m.count)/m.perUnit)
	m.count = 0
}

func (m *pulseMeter) shift(from, _ moment) { m.end(from) }

// frequency is told of pulses and tells how fast they come. Times are nanoseconds
// of one clock that nobody sets.
type frequency struct {
	timeout int64
	// From the pulse at from the periods are counted; the newest ended at last.
	// There is none before the first pulse, and after a standstill.
	from, last int64
	periods    uint64
	running    bool
	begun      int64
	hertz      float64
	known      bool
}

func (f *frequency) begin(at int64) { *f = frequency{timeout: f.timeout, begun: at} }

// pulse is told of some pulses, of which the last was at a time.
func (f *frequency) pulse(at int64, pulses uint64) {
	if !f.running || at-f.last >= f.timeout {
		// Those lost before it have no time to measure from.
		f.from, f.last, f.periods, f.running = at, at, 0, true
		return
	}
	f.last = at
	f.periods += pulses
}

// take is the frequency at a time, and whether there is one yet.
func (f *frequency) take(now int64) (hertz float64, known bool) {
	switch {
	case f.running && f.periods > 0 && f.last > f.from:
		f.hertz, f.known = float64(f.periods)*1e9/float64(f.last-f.from), true
		f.from, f.periods = f.last, 0
	case f.running && now-f.last < f.timeout:
		// The next period will be longer than what has passed of it.
		if now > f.last {
			f.hertz = min(f.hertz, 1e9/float64(now-f.last))
		}
	case f.running || now-f.begun >= f.timeout:
		f.hertz, f.known, f.running = 0, true, false
	}
	return f.hertz, f.known
}
