package clock

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"milepost/aggregate"
)

const (
	// pollFast is how often the clocks are read until the time of the boot is known
	// for good: a step is told at once, but that NTP has become synchronized is not.
	pollFast = time.Second
	pollSlow = 10 * time.Second
)

// Run watches for steps, sleep and synchronization, tells the subscribers and
// writes the table, until ctx is done. It is not to be called twice.
func (c *Clock) Run(ctx context.Context) {
	c.run(ctx, watchSteps)
}

func (c *Clock) run(ctx context.Context, watch func(context.Context, func()) error) {
	c.mu.Lock()
	blind := errors.Is(c.err, errors.ErrUnsupported)
	c.mu.Unlock()
	if blind {
		<-ctx.Done()
		return
	}
	steps := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- watch(ctx, func() {
			select {
			case steps <- struct{}{}:
			default:
			}
		})
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if ended != nil {
				<-ended
			}
			c.work()
			return
		case err := <-ended:
			if ended = nil; err != nil && ctx.Err() == nil {
				c.logger.Warn("steps of the clock are noticed by polling only", "cause", err)
			}
			continue
		case <-steps:
		case <-timer.C:
		case <-c.poke:
		}
		timer.Reset(c.work())
	}
}

// work takes a reading, tells what has happened, saves what was learnt, and says
// when to come again.
func (c *Clock) work() (pause time.Duration) {
	c.mu.Lock()
	c.observe()
	events := c.timeline.events
	c.timeline.events = nil
	state := c.state()
	subscribers := c.subscribers
	var text []byte
	if c.unsaved && c.path != "" && !c.frozen {
		text = c.table.encode()
	}
	c.unsaved = false
	select {
	case <-c.poke: // it is about what is taken here
	default:
	}
	c.mu.Unlock()

	if text != nil {
		if err := saveTable(c.path, text); err != nil {
			c.failed(err)
		}
	}
	for _, e := range events {
		e.State = state
		c.log(&e)
		for _, f := range subscribers {
			(*f)(e)
		}
	}
	pause = pollSlow
	if state.Clock != aggregate.ClockSynchronized || state.Learnt.Clock != aggregate.ClockSynchronized {
		pause = pollFast
	}
	return pause - rand.N(pause/8)
}

// failed notes that the table was not written: it is tried again.
func (c *Clock) failed(err error) {
	c.mu.Lock()
	c.unsaved = true
	said := c.saidUnsaved
	c.saidUnsaved = true
	c.mu.Unlock()
	if !said {
		c.logger.Warn("the table of clock offsets cannot be written, and is tried again: after a restart, earlier records may keep a wrong time", "cause", err)
	}
}

func (c *Clock) log(e *Event) {
	switch e.Kind {
	case Stepped:
		c.logger.Info("the clock was set", "by", e.By, "clock", e.State.Clock.String())
	case Slept:
		c.logger.Info("the system was suspended", "for", e.By)
	case QualityChanged:
		c.logger.Info("the quality of the clock has changed", "clock", e.State.Clock.String())
	case OffsetLearnt:
		c.logger.Info("the time of this boot is known", "clock", e.State.Learnt.Clock.String(), "error", e.State.Learnt.Error)
	}
}
