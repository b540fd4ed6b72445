package gpio

import (
	"os"
	"slices"
	"sync"
	"time"

	"milepost/sensors"
)

// gathered are readings that were handed over.
type gathered struct {
	mu       sync.Mutex
	readings []sensors.Reading
}

func (g *gathered) add(batch []sensors.Reading) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.readings = append(g.readings, batch...)
}

func (g *gathered) all() []sensors.Reading {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.readings)
}

// fakeChip is a chip with one line, for tests in a bubble of testing/synctest.
// Its monotonic clock is the bubble's, its wall clock that plus what was set.
type fakeChip struct {
	mu      sync.Mutex
	absent  error // open fails with it
	offset  time.Duration
	on      bool
	request *fakeRequest
	opened  int
}

// fakeBuffer is what the kernel keeps.
const fakeBuffer = 8

type fakeRequest struct {
	chip   *fakeChip
	kinds  edgeKinds
	seq    uint32
	events []event
	gone   error
	until  time.Time
	bell   chan struct{}
	closed bool
}

func (c *fakeChip) open(_ *LineOptions, kinds edgeKinds) (request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	if c.absent != nil {
		return nil, c.absent
	}
	c.request = &fakeRequest{chip: c, kinds: kinds, bell: make(chan struct{}, 1)}
	return c.request, nil
}

// set drives the line; the edge was stamped some time ago.
func (c *fakeChip) set(on bool, ago time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setLocked(on, ago)
}

func (c *fakeChip) setLocked(on bool, ago time.Duration) {
	if c.on = on; c.request == nil || !on && c.request.kinds == risingEdges || on && c.request.kinds == fallingEdges {
		return
	}
	r := c.request
	r.seq++
	r.events = append(r.events, event{at: mono() - int64(ago), rising: on, seq: r.seq})
	if len(r.events) > fakeBuffer {
		r.events = r.events[1:]
	}
	r.ring()
}

// pulses drives the line on and off, before anyone can read.
func (c *fakeChip) pulses(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.setLocked(true, 0)
		c.setLocked(false, 0)
	}
}

// hide drives the line on while nobody can see it.
func (c *fakeChip) hide() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = true
}

// unplug takes the chip away until plug.
func (c *fakeChip) unplug(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.absent, c.request.gone = err, err
	c.request.ring()
	c.request = nil
}

func (c *fakeChip) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.absent = nil
}

func (c *fakeChip) setClock(offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}

var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// mono is a monotonic clock that began a day before the bubble's.
func mono() int64 { return int64(time.Since(bubbleStart) + 24*time.Hour) }

func (r *fakeRequest) ring() {
	select {
	case r.bell <- struct{}{}:
	default:
	}
}

func (r *fakeRequest) level() (bool, error) {
	r.chip.mu.Lock()
	defer r.chip.mu.Unlock()
	return r.chip.on, r.gone
}

func (r *fakeRequest) read(events []event) (int, error) {
	for {
		r.chip.mu.Lock()
		n := copy(events, r.events)
		r.events = r.events[n:]
		gone, wait := r.gone, time.Until(r.until)
		if r.closed {
			gone = os.ErrClosed
		}
		r.chip.mu.Unlock()
		if n > 0 || gone != nil || wait <= 0 {
			return n, gone
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.bell:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (r *fakeRequest) wake(at time.Time) error {
	r.chip.mu.Lock()
	defer r.chip.mu.Unlock()
	r.until = at
	r.ring()
	return nil
}

func (r *fakeRequest) clocks() clocks {
	r.chip.mu.Lock()
	defer r.chip.mu.Unlock()
	return clocks{mono: mono(), wall: time.Now().Add(r.chip.offset).UnixNano()}
}

func (r *fakeRequest) close() error {
	r.chip.mu.Lock()
	defer r.chip.mu.Unlock()
	r.closed = true
	return nil
}
