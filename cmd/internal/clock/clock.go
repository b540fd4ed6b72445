// Package clock keeps the one story of time: what the wall clock was worth when
// it stamped frames, when it was set, and by how much earlier records of the same
// boot are wrong.
//
// A gateway without a real-time clock starts in 1970, or where a file says that it
// was switched off, and learns the time minutes or hours later. The boot clock
// (CLOCK_BOOTTIME) counts from the start all the same, through sleep and steps. So
// windows carry the offset between the two clocks, and as soon as the right one is
// known, from NTP or GNSS, whatever was stamped in the same boot can be moved by
// the difference. A table of boots keeps that for records that are still stored
// when the device is started again.
package clock

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"milepost/aggregate"
	"milepost/uplink"
)

// Options of a Clock. The zero value is usable.
type Options struct {
	// Table is the file that keeps the offsets of the last boots; "" keeps none.
	Table string
	// Boot is the boot ID of this run's records; zero asks the kernel.
	Boot uplink.BootID
	// Earlier are the boot IDs of earlier starts of the program in the same run of
	// the kernel: what is learnt holds for their records, too.
	Earlier []uplink.BootID
	// Floor is the date below which a clock cannot be right; zero is the time of
	// the commit that the program was built from, and in any case 2026.
	Floor time.Time
	// Logger is told of steps, sleep, and what is wrong with the table.
	Logger *slog.Logger
}

// Clock watches the system's clocks. It is safe for concurrent use.
type Clock struct {
	boot   uplink.BootID
	boots  []uplink.BootID // of this run of the kernel, boot among them
	path   string
	logger *slog.Logger
	read   func() (reading, error)
	poke   chan struct{} // there are events, or something to save

	mu          sync.Mutex
	timeline    timeline
	table       table
	frozen      bool // the table is of a newer version and is not written
	unsaved     bool
	subscribers []*func(Event)
	saidUnsaved bool
	err         error // of the last reading
}

// Kind is what an Event is about.
type Kind uint8

const (
	// Stepped: the wall clock was set, By forward or (negative) back.
	Stepped Kind = iota
	// Slept: the system was suspended, for By.
	Slept
	// QualityChanged: the wall clock has become better or worse.
	QualityChanged
	// OffsetLearnt: a better offset is known for this boot than before, and
	// records that were stamped with a worse one can be sent with the right time.
	OffsetLearnt
)

// Event is something that happened to the clock.
type Event struct {
	Kind  Kind
	By    time.Duration
	State State // after it
}

// State is what is known at an instant.
type State struct {
	// Clock is the quality of the wall clock, and Offset what it says less what the
	// boot clock says, in nanoseconds.
	Clock  aggregate.Clock
	Offset int64
	// Learnt is the best that is known of this boot.
	Learnt Learnt
}

// Open reads the clocks and the table. A table that cannot be read is no error
// but logged: it is kept beside, and a new one begun. Where the system has no boot
// clock that is known here (it is not Linux), the Clock knows nothing: that is its
// quality.
func Open(o Options) (*Clock, error) {
	return open(o, readKernel)
}

func open(o Options, read func() (reading, error)) (*Clock, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Clock{boot: o.Boot, path: o.Table, logger: o.Logger, read: read, poke: make(chan struct{}, 1)}
	c.timeline.floor = floor(o.Floor).UnixNano()
	if c.boot == (uplink.BootID{}) {
		boot, err := BootID()
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
		c.boot = boot
	}
	if c.path != "" {
		var err error
		if c.table, err = loadTable(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.frozen = errors.Is(err, errNewer)
			c.logger.Warn("the table of clock offsets cannot be used: records of earlier boots keep their times", "cause", err)
		}
	}
	c.boots = append(slices.Clone(o.Earlier), c.boot)
	for _, boot := range c.boots {
		if learnt, ok := c.table.find(boot); ok {
			c.timeline.learnt = learnt
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observe()
	if c.err != nil && !errors.Is(c.err, errors.ErrUnsupported) {
		return nil, c.err
	}
	return c, nil
}

// observe takes a reading.
func (c *Clock) observe() {
	r, err := c.read()
	if c.err = err; err != nil {
		return
	}
	c.timeline.observe(r)
	c.changed()
}

// changed is called after each change of the timeline.
func (c *Clock) changed() {
	if l := c.timeline.learnt; l.Clock != aggregate.ClockUnknown {
		for _, boot := range c.boots {
			c.unsaved = c.table.set(boot, l) || c.unsaved
		}
	}
	if len(c.timeline.events) > 0 || c.unsaved {
		select {
		case c.poke <- struct{}{}:
		default:
		}
	}
}

// Stamp tells under which clock a frame got its time, which was read just now: its
// offset from the boot clock, in nanoseconds, and its quality. It is made for
// aggregate.Options.Stamp, and reads the clocks (a microsecond).
func (c *Clock) Stamp(frameTime int64) (offset int64, quality aggregate.Clock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.observe(); c.err != nil {
		return 0, aggregate.ClockUnknown
	}
	return c.timeline.at(frameTime, c.timeline.last.boot)
}

// GNSS tells the time of a satellite receiver: UTC in nanoseconds since the Unix
// epoch, what the boot clock said when it came, and how wrong it may be, including
// how long the receiver took to tell it. The second of two that agree is believed.
// It serves to re-date records even if nobody sets the system's clock.
func (c *Clock) GNSS(utc, boot int64, estimate time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.timeline.position(utc, boot, int64(estimate))
	c.observe() // the wall clock may be synchronized, judged by it
	c.changed()
}

// State is what is known now.
func (c *Clock) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observe()
	return c.state()
}

func (c *Clock) state() State {
	s := State{Learnt: c.timeline.learnt}
	if n := len(c.timeline.epochs); n > 0 && c.err == nil {
		s.Clock, s.Offset = c.timeline.epochs[n-1].clock, c.timeline.epochs[n-1].offset
	}
	return s
}

// Quality is that of the wall clock now.
func (c *Clock) Quality() aggregate.Clock { return c.State().Clock }

// Boot is the ID of this boot.
func (c *Clock) Boot() uplink.BootID { return c.boot }

// Subscribe calls f for each event from now on, from the goroutine of Run, until
// cancel is called. F should return soon.
func (c *Clock) Subscribe(f func(Event)) (cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribers = append(c.subscribers, &f)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.subscribers = slices.DeleteFunc(slices.Clone(c.subscribers), func(g *func(Event)) bool { return g == &f })
	}
}

// Wait waits until the time of this boot is known at least so well, for at most so
// long, and reports whether it is. With least as ClockUnknown it never waits. Run
// must be running.
func (c *Clock) Wait(ctx context.Context, least aggregate.Clock, atMost time.Duration) bool {
	known := make(chan struct{}, 1)
	defer c.Subscribe(func(e Event) {
		if e.Kind == OffsetLearnt && e.State.Learnt.Clock >= least {
			select {
			case known <- struct{}{}:
			default:
			}
		}
	})()
	if s := c.State(); s.Learnt.Clock >= least {
		return true
	}
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-known:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
