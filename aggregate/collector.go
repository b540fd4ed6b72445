package aggregate

import (
	"slices"

	"milepost/aggregate/ring"
)

// Options of a Collector.
type Options struct {
	// Window is the length of a window in nanoseconds.
	Window int64
	// Lateness is how far behind the newest window's start a window's end may
	// lie, in nanoseconds, for the window to be still open.
	Lateness int64
	// Step is how far back in time a frame must lie for the clock to count as
	// set back, not the frame as late.
	Step int64
	// Slots is how many windows may be waiting for the closer beyond the open
	// ones.
	Slots int
	// MaxRuns is how many different payloads in a row a stream may have in a
	// window before its lane is Full; 0 is 4096, at most MostRuns.
	MaxRuns int
	// Stamp, if set, tells the clock under which a frame got its time, which was
	// read just now. It is called for the first frame of each window, by the
	// writer. A replay has none, and its windows no Stamp.
	Stamp func(frameTime int64) (offset int64, quality Clock)
}

// CollectorStats count what a Collector could not treat as usual.
type CollectorStats struct {
	// Late are frames whose window was closed already; they are summarised as
	// corrections.
	Late uint64
	// Steps are the times that the clock went back by more than Options.Step.
	Steps uint64
	// Dropped are frames for which there was no room, because the closer was
	// too far behind.
	Dropped uint64
}

// Collector sorts the frames of one source into the lanes of their windows and
// tells when a window is complete: when a frame belongs to a window that begins
// Lateness or more after its end. Time is event time, what the frames say.
//
// One goroutine adds, one (the same or another) closes.
type Collector struct {
	options Options
	behind  int64 // windows that stay open behind the newest
	ring    *ring.Ring[Lane]
	counted []bool // by stream: only count its frames

	// Writer's side.
	begun   bool // there was a frame
	restart bool
	lowest  int64 // number of the earliest window that a frame asked for
	newest  int64 // number of the newest window
	shift   int64 // window number + shift = number in the ring, which never goes back
	highest int64 // the highest window number before the last step back
	epoch   uint32
	entered bool // the newest window has a lane
	// From and To bound the current lane's window: From <= time < To.
	From, To int64
	stats    CollectorStats

	// Closer's side.
	revision  *uint32 // of late frames; shared with the collectors that follow
	lateLane  Lane
	lateOrder []int
}

// NewCollector makes a collector.
func NewCollector(o Options) *Collector {
	behind := (o.Lateness + o.Window - 1) / o.Window
	if o.MaxRuns == 0 {
		o.MaxRuns = maxRuns
	}
	o.MaxRuns = min(o.MaxRuns, MostRuns)
	return &Collector{options: o, behind: behind, ring: ring.New[Lane](int(behind)+o.Slots+2, 0), revision: new(uint32)}
}

// Follow makes a collector that has taken nothing yet the successor of one of the
// same Options that has finished: what belongs to the windows of that is late, so
// that none of them comes twice but as a correction, and no correction has the
// Revision of another. Both must have the same closer.
func (c *Collector) Follow(before *Collector) {
	c.revision, c.epoch = before.revision, before.epoch
	if !before.begun {
		return
	}
	c.begun, c.newest, c.lowest, c.highest = true, before.newest, before.newest, before.highest
	if before.entered {
		c.newest++
	}
	c.shift = c.ring.Completed() - c.newest
}

// floorDiv rounds towards minus infinity: there is time before 1970.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Lane returns the lane for a time, which stays the current one while From <=
// time < To. There is none for a late frame (AddLate takes it) and none for a
// frame to be dropped; closeUp is called when the ring is full and should close
// what is complete, if it can at once.
func (c *Collector) Lane(time int64, closeUp func()) (lane *Lane, late bool) {
	w := floorDiv(time, c.options.Window)
	if !c.begun || c.restart {
		c.rebase(w)
	}
	c.lowest = min(c.lowest, w)
	if w < c.newest && c.newest-w > c.options.Step/c.options.Window {
		c.stepBack(w)
	}
	if w > c.newest {
		c.forward(w)
	}
	lane, fresh, state := c.ring.Slot(w + c.shift)
	if state == ring.Full {
		closeUp()
		lane, fresh, state = c.ring.Slot(w + c.shift)
	}
	switch state {
	case ring.Full:
		c.From, c.To = 0, 0
		return nil, false
	case ring.Late:
		c.From, c.To = 0, 0
		return nil, true
	}
	if fresh {
		c.begin(lane, w, time)
	}
	lane.grow(c.counted)
	c.From, c.To = w*c.options.Window, (w+1)*c.options.Window
	return lane, false
}

// begin makes a fresh lane that of window w, whose first frame is of a time.
func (c *Collector) begin(lane *Lane, w, time int64) {
	lane.Start = w * c.options.Window
	lane.most = uint16(c.options.MaxRuns)
	c.entered = c.entered || w == c.newest
	lane.Stamp = c.stamp(time)
	if w <= c.highest {
		lane.Revision = 2 * c.epoch
	}
}

// stamp asks for the clock of a frame.
func (c *Collector) stamp(time int64) (s Stamp) {
	if c.options.Stamp != nil {
		s.ClockOffset, s.Clock = c.options.Stamp(time)
	}
	return s
}

// rebase makes w the newest window there has ever been.
func (c *Collector) rebase(w int64) {
	c.begun, c.restart = true, false
	c.newest, c.lowest, c.entered = w, w, false
	c.highest = w - c.behind - 1
	c.shift = c.ring.Completed() - (w - c.behind)
}

// forward makes w, which is later, the newest window. Windows between that no
// frame asked for take no place in the ring: a clock that is set by years must
// not wait for the closer.
func (c *Collector) forward(w int64) {
	if end := c.newest + 1; w-c.behind > end {
		c.shift += end - (w - c.behind)
	}
	c.newest, c.entered = w, false
	c.ring.Complete(w + c.shift - c.behind)
}

// stepBack starts over at window w: everything before is complete, and the
// windows that come again are corrections.
func (c *Collector) stepBack(w int64) {
	c.stats.Steps++
	c.highest = max(c.highest, c.newest)
	end := c.newest + c.shift + 1
	c.ring.Complete(end)
	c.shift = end - (w - c.behind)
	c.newest, c.entered = w, false
	c.epoch++
}

// AddStream declares the next stream; countOnly if the payloads of its frames
// are of no interest. The current lane, if any, learns of it at once.
func (c *Collector) AddStream(countOnly bool, current *Lane) {
	c.counted = append(c.counted, countOnly)
	if current != nil {
		current.grow(c.counted)
	}
}

// AddLate adds a late frame to the newest window, beside which it is summarised
// as a correction. It reports whether there was room; takeOut is called when the
// lane is full and should take out what is in it, if it can at once.
func (c *Collector) AddLate(time int64, stream uint32, data *[64]byte, length uint8, takeOut func(*Lane)) bool {
	lane, fresh, state := c.ring.Slot(c.newest + c.shift)
	if state == ring.Open && len(lane.late) >= maxLate {
		takeOut(lane)
	}
	if state != ring.Open || len(lane.late) >= maxLate {
		c.stats.Dropped++
		return false
	}
	if fresh {
		c.begin(lane, c.newest, c.newest*c.options.Window)
	}
	c.stats.Late++
	lane.grow(c.counted)
	f := lateFrame{
		start:  floorDiv(time, c.options.Window) * c.options.Window,
		stream: stream, length: length, data: *data,
	}
	if n := len(lane.late); n > 0 && lane.late[n-1].start == f.start {
		f.stamp = lane.late[n-1].stamp
	} else {
		f.stamp = c.stamp(time)
	}
	lane.late = append(lane.late, f)
	if len(lane.late) == maxLate {
		lane.full = true
	}
	return true
}

// Leave says that the current lane takes no more: it is asked for again with the
// next frame.
func (c *Collector) Leave() { c.From, c.To = 0, 0 }

// Drop counts n frames for which Lane had no room.
func (c *Collector) Drop(n uint64) { c.stats.Dropped += n }

// Advance tells that time has passed without frames.
func (c *Collector) Advance(time int64) {
	if w := floorDiv(time, c.options.Window); c.begun && !c.restart && w > c.newest {
		c.forward(w)
		c.From, c.To = 0, 0
	}
}

// Finish completes every window: there will be no more frames.
func (c *Collector) Finish() {
	if c.begun {
		c.ring.Complete(c.newest + c.shift + 1)
	}
	c.From, c.To = 0, 0
}

// Pending says whether there are complete windows that were not closed yet.
func (c *Collector) Pending() bool { return c.ring.Pending() }

// Stats of the writer's side; only the writer may call it.
func (c *Collector) Stats() CollectorStats { return c.stats }

// Newest is the start of the newest window in nanoseconds, and whether there is
// one. The writer only.
func (c *Collector) Newest() (start int64, ok bool) {
	return c.newest * c.options.Window, c.begun
}

// Folder summarises a lane: it appends to the window a GroupSummary for every
// group that had samples, in the order of Group.Compare, and returns it.
type Folder interface {
	Fold(lane *Lane, window *Window)
}

// Close summarises every complete window and hands it to emit, corrections
// behind the windows that they came with. The window is emit's to keep and to release.
func (c *Collector) Close(folder Folder, emit func(*Window)) {
	c.ring.Close(func(_ int64, lane *Lane) {
		window := c.window(lane)
		folder.Fold(lane, window)
		if lane.part != nil {
			lane.part.Merge(window)
			window = lane.part
		}
		late := lane.late
		if len(window.Groups) > 0 {
			emit(window)
		} else {
			window.Release()
		}
		c.corrections(late, lane, folder, emit)
		lane.reset()
	})
}

// window makes the window of a lane.
func (c *Collector) window(lane *Lane) *Window {
	w := NewWindow(lane.Start, c.options.Window, lane.Revision)
	w.Stamp = lane.Stamp
	return w
}

// TakeOut summarises what a full lane holds before its window is complete and
// keeps the result for the window's end; what is too much are late frames, then it
// emits corrections. The writer must be the closer, too.
func (c *Collector) TakeOut(lane *Lane, folder Folder, emit func(*Window)) {
	part := c.window(lane)
	folder.Fold(lane, part)
	if lane.part != nil {
		lane.part.Merge(part)
	} else {
		lane.part = part
	}
	if len(lane.late) >= maxLate {
		// Corrections come in the order of their frames: those that were added to
		// windows before this one first, complete or not.
		c.Close(folder, emit)
		c.ring.Each(func(_ int64, open *Lane) {
			c.corrections(open.late, open, folder, emit)
			open.late = open.late[:0]
		})
	}
	lane.clear()
}

// corrections folds late frames window by window.
func (c *Collector) corrections(late []lateFrame, from *Lane, folder Folder, emit func(*Window)) {
	if len(late) == 0 {
		return
	}
	order := c.lateOrder[:0]
	for i := range late {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case late[a].start < late[b].start:
			return -1
		case late[a].start > late[b].start:
			return 1
		}
		return 0
	})
	c.lateOrder = order
	lane := &c.lateLane
	if len(lane.streams) < len(from.streams) {
		lane.grow(make([]bool, len(from.streams)))
	}
	first := true // of its window
	var stamp Stamp
	for i, n := range order {
		f := &late[n]
		if first {
			stamp, first = f.stamp, false
		}
		lane.AddWide(f.stream, &f.data, f.length, false)
		if i+1 < len(order) && late[order[i+1]].start == f.start {
			continue
		}
		*c.revision++
		// Revisions of late frames and of set-back clocks must not meet: the
		// former are odd, the latter even.
		window := NewWindow(f.start, c.options.Window, 2**c.revision+1)
		window.Stamp, first = stamp, true
		folder.Fold(lane, window)
		lane.reset()
		if len(window.Groups) > 0 {
			emit(window)
		} else {
			window.Release()
		}
	}
}

// Lowest is the number of the earliest window that any frame belonged to since
// the last Restart. The writer only.
func (c *Collector) Lowest() int64 { return c.lowest }

// NewestNumber is the number of the newest window. The writer only.
func (c *Collector) NewestNumber() int64 { return c.newest }

// Behind is how many windows stay open behind the newest.
func (c *Collector) Behind() int64 { return c.behind }

// Number is the number of the window that begins at start.
func (c *Collector) Number(start int64) int64 { return floorDiv(start, c.options.Window) }

// Restart forgets the time that has been reached, so that frames of any time
// may follow; everything before must have been finished and closed. The
// counters go on.
func (c *Collector) Restart() {
	c.restart = true
	c.From, c.To = 0, 0
}

// Resume restarts at a time: window number newest is the newest, and the open
// windows hold what was collected for them elsewhere.
func (c *Collector) Resume(newest int64, open []*Window) {
	c.Restart()
	c.Lane(newest*c.options.Window, func() {})
	for _, w := range open {
		lane, _, _ := c.ring.Slot(c.Number(w.Start) + c.shift)
		lane.Start, lane.part, lane.most = w.Start, w, uint16(c.options.MaxRuns)
	}
	c.From, c.To = 0, 0
}
