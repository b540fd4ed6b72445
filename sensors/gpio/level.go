package gpio

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"milepost/sensors"
)

// LevelOptions configure a Level.
type LevelOptions struct {
	LineOptions // without Debounce; a Bias is as it is, pull-up or pull-down
	// Interval is how often the line is read, give or take a tenth; 0 is a second.
	Interval time.Duration
}

// Level reads a slow line every so often, through periph.io: a float switch, the
// line of a chip that gives no interrupts.
//
//	state  1 or 0, at each reading
//
// Edges costs less where it works: it sleeps until something happens, knows when
// that was, and misses nothing between two looks.
type Level struct {
	line     LineOptions
	interval time.Duration
	open     func(*LineOptions) (slowLine, error)
	status   status
}

// slowLine is a line to be polled.
type slowLine interface {
	level() (on bool, err error)
	close()
}

var levelChannels = []sensors.Channel{{Name: "state"}}

// NewLevel is a Level for a line that need not be there yet.
func NewLevel(o LevelOptions) (*Level, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Debounce != 0 {
		return nil, fmt.Errorf("gpio: line %s: a level that is polled has no debounce; watch its edges", &o.LineOptions)
	}
	if o.Bias == BiasDisabled {
		return nil, fmt.Errorf("gpio: line %s: periph.io cannot disable the bias of a level; watch its edges", &o.LineOptions)
	}
	every, err := interval(o.Interval, &o.LineOptions)
	if err != nil {
		return nil, err
	}
	return &Level{line: o.LineOptions, interval: every, open: openSlow}, nil
}

// Channels is state.
func (l *Level) Channels() []sensors.Channel { return levelChannels }

// Status is how the line is doing.
func (l *Level) Status() sensors.Status { return l.status.get() }

// Run polls until the context is done.
func (l *Level) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	pause := firstPause
	for ctx.Err() == nil {
		line, err := l.open(&l.line)
		if err == nil {
			var worked bool
			worked, err = l.poll(ctx, line, emit)
			line.close()
			if err == nil {
				break
			}
			if worked {
				pause = firstPause
			}
		}
		if errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		l.status.failed(l.line.failure(err))
		sleep(ctx, jittered(pause, 4))
		pause = min(2*pause, lastPause)
	}
	return nil
}

// poll reads the line until the context is done, or it fails.
func (l *Level) poll(ctx context.Context, line slowLine, emit func([]sensors.Reading)) (worked bool, err error) {
	var one [1]sensors.Reading
	for ctx.Err() == nil {
		on, err := line.level()
		if err != nil {
			return worked, err
		}
		worked = true
		l.status.works()
		l.status.handed(1)
		one[0] = sensors.Reading{Time: time.Now().UnixNano(), Value: number(on)}
		emit(one[:])
		sleep(ctx, jittered(l.interval, 10))
	}
	return worked, nil
}

// jittered is d, more or less by up to a fraction of it.
func jittered(d time.Duration, fraction int64) time.Duration {
	spread := int64(d) / fraction
	return d - time.Duration(spread) + time.Duration(rand.Int64N(2*spread+1))
}
