package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"milepost/aggregate"
	"milepost/can"
)

// intake is one live bus on its way into windows. Its goroutine reads and sorts;
// the closer summarises.
type intake struct {
	name    string
	bus     Bus
	sensors bool // its frames are readings
	endless bool // the bus does not end: when it is to, it has when nothing waits
	options Options
	signal  func() // something is complete
	log     *slog.Logger
	tick    time.Duration

	// The goroutine's own.
	c        *collector
	streams  []can.StreamKey
	idle     int       // ticks without a frame
	quiet    time.Time // the first of them
	resting  bool      // silent for so long that nothing is open
	lastTick int64     // time of day
	gaveUp   time.Time // waiting for room

	pending atomic.Pointer[Bindings] // to be used from the next window on
	beat    atomic.Int64             // when the goroutine was seen last, on started's clock

	mu         sync.Mutex
	collectors []*collector // those that are not closed to their end; the last one is c
	ended      bool
	counts     collectCounts // of all collectors, as of the last batch
	stats      aggregate.CollectorStats
	newest     int64 // start of the newest window
	done       collectCounts
	doneStats  aggregate.CollectorStats
	folded     foldCounts // of collectors that are gone; the closer's
}

// started is the zero of the clock of beats.
var started = time.Now()

func newIntake(name string, bus Bus, o Options, signal func(), log *slog.Logger) *intake {
	return &intake{name: name, bus: bus, options: o, signal: signal, log: log, tick: min(o.Window, time.Second) / ticks}
}

// rebind makes the bindings those of the next window.
func (in *intake) rebind(b *Bindings) { in.pending.Store(b) }

// fix gives the intake the streams of sensors, which never change.
func (in *intake) fix(bindings []*Binding) {
	in.sensors = true
	in.begin(func(can.Source, *can.Frame) *Binding { return nil })
	in.c.makeRoom = in.waitForRoom
	for _, b := range bindings {
		in.c.addStream(b)
	}
}

const (
	roomWait  = time.Second      // as long as hub has room for all readings, and the watchdog patience
	roomPause = 10 * time.Second // after a wait that was of no use
)

// waitForRoom waits for the closer while the ring is full of windows. Each sensor
// finds for itself that the clock was set: until all have, readings of both times
// come by turns, and each turn begins a window, so that there are more of them in
// a moment than the closer closes otherwise. It does not wait for a disk that
// hangs.
func (in *intake) waitForRoom() {
	if !in.gaveUp.IsZero() && time.Since(in.gaveUp) < roomPause {
		return
	}
	for begin := time.Now(); in.c.windows.Pending(); time.Sleep(gather / 5) {
		if time.Since(begin) > roomWait {
			in.gaveUp = time.Now()
			return
		}
		in.signal()
	}
}

// begin makes a new collector the current one.
func (in *intake) begin(bind binder) {
	c := newCollector(nil, in.options, nil)
	c.live, c.bind = true, bind
	c.folder.shared.Store(c.streams)
	c.windows = aggregate.NewCollector(aggregate.Options{
		Window: int64(in.options.Window), Lateness: int64(in.options.Lateness), Step: int64(in.options.ClockStep),
		Slots: liveSlots(in.options.Window), MaxRuns: aggregate.MostRuns, Stamp: in.options.Stamp,
	})
	if in.c != nil {
		c.windows.Follow(in.c.windows)
	}
	in.c = c
	in.mu.Lock()
	in.collectors = append(in.collectors, c)
	in.mu.Unlock()
}

// use begins a collector with new bindings: the streams that are known are bound
// anew, and everything up to now is complete.
func (in *intake) use(b *Bindings) {
	if in.c != nil {
		in.c.windows.Finish()
		in.publish()
		in.mu.Lock()
		in.done, in.doneStats = in.counts, in.stats
		in.mu.Unlock()
	}
	in.begin(func(source can.Source, f *can.Frame) *Binding {
		key := can.StreamKey{Bus: f.Bus, ID: f.ID, Extended: f.Is(can.Extended)}
		in.streams = append(in.streams, key)
		return b.Bind(source.Buses()[f.Bus], f)
	})
	for _, key := range in.streams {
		f := can.Frame{Bus: key.Bus, ID: key.ID}
		if key.Extended {
			f.Flags = can.Extended
		}
		in.c.addStream(b.Bind(in.bus.Buses()[key.Bus], &f))
	}
}

// run reads until the bus has ended or, once ctx is done, nothing waits in it.
func (in *intake) run(ctx context.Context) {
	frames := make([]can.Frame, batchFrames)
	if b := in.pending.Swap(nil); b != nil {
		in.use(b)
	}
	in.lastTick = wall()
	in.arm(ctx)
	failing := false
	for {
		n, err := in.bus.Read(frames)
		if n > 0 {
			in.take(frames[:n])
			if in.resting {
				in.resting = false
				in.arm(ctx)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if in.endless && ctx.Err() != nil {
				in.end()
				return
			}
			in.passTime(ctx)
		case ctx.Err() != nil, errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			in.end()
			return
		default:
			if !failing {
				in.log.Error("a bus cannot be read; trying again each second", "bus", in.name, "cause", err)
			}
			failing = true
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			in.passTime(ctx)
		}
		failing = failing && err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
		in.beat.Store(int64(time.Since(started)))
	}
}

// end completes everything.
func (in *intake) end() {
	in.c.windows.Finish()
	in.publish()
	in.mu.Lock()
	in.ended = true
	in.mu.Unlock()
	in.signal()
}

// drain has a bus end when nothing waits in it any more; the context of run is
// done.
func (in *intake) drain() {
	if all, ok := in.bus.(*joined); ok {
		all.drain()
		return
	}
	in.bus.SetReadDeadline(time.Now())
}

// take sorts frames into their windows.
func (in *intake) take(frames []can.Frame) {
	in.idle = 0
	if in.pending.Load() != nil {
		// New bindings begin with a window, so that each is summarised by one.
		n := 0
		for n < len(frames) && frames[n].Time < in.c.windows.To {
			n++
		}
		if n < len(frames) {
			in.c.add(in.bus, frames[:n])
			in.use(in.pending.Swap(nil))
			frames = frames[n:]
		}
	}
	before := in.c.windows.To
	in.c.add(in.bus, frames)
	in.publish()
	if in.c.windows.To != before {
		in.signal()
	}
}

const (
	// ticks is how many times in a window it is looked at most whether a bus is
	// silent.
	ticks = 4
	// rest is how often that is when it has been for long.
	rest = time.Second
	// afterTick is how long after the whole tick of the clock that is: a clock that
	// is slewed is not yet there when the time has passed.
	afterTick = 5 * time.Millisecond
)

// passTime is done when the window is over, and a tick after that. A bus on which
// nothing was heard for a whole tick has nothing on its way from before that, and
// its windows are complete. So they are after the time of a window in any case:
// the clock may have been set since their frames came.
//
// It is done only when nothing waits to be read: a process that was held up for
// long has much of the last seconds still before it, and none of that is late.
func (in *intake) passTime(ctx context.Context) {
	now := time.Now()
	if in.idle++; in.idle == 1 {
		in.quiet = now
	} else {
		in.c.advance(in.lastTick)
		complete := !in.resting && in.c.windows.Pending()
		if !in.resting && now.Sub(in.quiet) > (ticks+1)*in.tick-in.tick/2 {
			if newest, ok := in.c.windows.Newest(); ok {
				in.c.advance(newest + int64(in.options.Window))
				complete = true
			}
			in.resting = true
		}
		// A window that is not over is still summarised by what began it.
		if in.c.windows.To == 0 && in.pending.Load() != nil {
			in.use(in.pending.Swap(nil))
			complete = true
		}
		if complete {
			in.signal()
		}
	}
	in.lastTick = now.UnixNano()
	in.arm(ctx)
}

// arm sets when time is to have passed next, if no frame comes.
func (in *intake) arm(ctx context.Context) {
	now := time.Now()
	in.bus.SetReadDeadline(now.Add(in.untilTick(now.UnixNano())))
	if in.endless && ctx.Err() != nil { // drain may have come before that
		in.drain()
	}
}

// untilTick is how long it is until the window is over; until the next tick, if it
// is already. The ticks are those of the clock, so that a gateway whose buses are
// silent wakes up for all of them at once. There are at least three quarters of a
// tick between two of them.
func (in *intake) untilTick(now int64) time.Duration {
	now -= int64(afterTick)
	if in.resting {
		return rest - time.Duration(now%int64(rest))
	}
	wait := in.tick - time.Duration(now%int64(in.tick))
	if wait < in.tick*3/4 {
		wait += in.tick
	}
	if newest, ok := in.c.windows.Newest(); ok {
		if left := time.Duration(newest-now) + in.options.Window; left <= in.options.Window { // unless the clock was set back
			wait = max(wait, left)
		}
	}
	return wait
}

// publish shows the counts to others.
func (in *intake) publish() {
	stats := in.c.windows.Stats()
	newest, ok := in.c.windows.Newest()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.counts, in.stats = in.done, in.doneStats
	in.counts.add(&in.c.counts)
	in.stats.Late += stats.Late
	in.stats.Steps += stats.Steps
	if ok {
		in.newest = newest
	}
}

// close summarises what is complete and hands it to emit. The closer only.
func (in *intake) close(emit func(*aggregate.Window)) {
	in.mu.Lock()
	collectors, ended := in.collectors, in.ended
	in.mu.Unlock()
	for i, c := range collectors {
		// A collector that has a successor was finished before that was there.
		last := i == len(collectors)-1
		c.windows.Close(&c.folder, emit)
		if last && !ended {
			continue
		}
		in.mu.Lock()
		in.folded.add(&c.folder.counts)
		in.collectors = in.collectors[1:]
		in.mu.Unlock()
	}
}

// addTo adds what became of the frames to a ledger. The closer only.
func (in *intake) addTo(l *Ledger) {
	in.mu.Lock()
	defer in.mu.Unlock()
	folded := in.folded
	for _, c := range in.collectors {
		folded.add(&c.folder.counts)
	}
	if in.sensors {
		l.Readings += in.counts.Frames
		l.ReadingsDropped += in.counts.Dropped
		l.ReadingsSummarised += folded.Decoded
		folded = foldCounts{Samples: folded.Samples, NotFinite: folded.NotFinite}
		l.add(new(collectCounts), &folded)
	} else {
		l.add(&in.counts, &folded)
	}
	l.Late += in.stats.Late
	l.ClockSteps += in.stats.Steps
}
