package gateway

import (
	"encoding/binary"
	"io"
	"sync/atomic"

	"milepost/aggregate"
	"milepost/can"
)

// batchFrames is how many frames are read from a bus at once: what one system
// call gives.
const batchFrames = 64

// logFrames is how many are read from a log: enough to make the call cheap, few
// enough to leave room in the first-level cache, where all the streams want to be.
const logFrames = 32

// collector takes the frames of one source into windows: it binds, sorts by
// window, counts. Everything a frame can become is counted once:
//
//	Frames = Decoded + Unknown + Remote + Errors + Duplicates + Dropped
//
// where Decoded and most of Unknown are counted when their window is closed.
//
// In a replay one goroutine does everything. Live, the bus's goroutine only
// adds, and the closer's summarises: then streams and counts reach the other
// side as copies (see live).
type collector struct {
	bind      binder
	windows   *aggregate.Collector
	streams   *streams // of the writer
	folder    folder
	emit      func(*aggregate.Window)
	live      bool   // another goroutine closes
	makeRoom  func() // has it do so now, if the source can wait
	unchanged bool   // compare payloads before they are decoded
	mirrors   *mirrorFilter

	read *atomic.Uint64

	lane   *aggregate.Lane
	short  [logFrames]aggregate.ShortFrame // scratch
	counts collectCounts
	// lateNow says that the current frame's window is closed.
	lateNow bool
	last    int64 // time of the last frame
}

// binder says what the frames of a stream, of which f is one, carry; nil if it
// is unknown.
type binder func(source can.Source, f *can.Frame) *Binding

// collectCounts is what became of frames before they were decoded.
type collectCounts struct {
	Frames, Unknown, Remote, Errors, Duplicates, Dropped uint64
}

func (c *collectCounts) add(o *collectCounts) {
	c.Frames += o.Frames
	c.Unknown += o.Unknown
	c.Remote += o.Remote
	c.Errors += o.Errors
	c.Duplicates += o.Duplicates
	c.Dropped += o.Dropped
}

func newCollector(bindings *Bindings, o Options, emit func(*aggregate.Window)) *collector {
	streams := new(streams)
	return &collector{
		bind: func(source can.Source, f *can.Frame) *Binding {
			return bindings.Bind(source.Buses()[f.Bus], f)
		},
		windows: aggregate.NewCollector(aggregate.Options{
			Window: int64(o.Window), Lateness: int64(o.Lateness), Step: int64(o.ClockStep), Slots: 0,
		}),
		streams:   streams,
		folder:    folder{streams: streams},
		emit:      emit,
		unchanged: !o.DecodeUnchanged,
		mirrors:   newMirrorFilter(o.Mirrors),
		read:      o.Read,
	}
}

// run reads the source to its end, closing windows as they are complete.
func (c *collector) run(source can.Source, frames []can.Frame) error {
	for {
		n, err := source.Read(frames)
		if n > 0 {
			c.add(source, frames[:n])
			c.close()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// finish closes all windows.
func (c *collector) finish() {
	c.lane = nil
	c.windows.Finish()
	c.close()
}

// advance tells that time has passed without frames. The lane of a window that is
// over by that may be the closer's from then on.
func (c *collector) advance(time int64) {
	c.windows.Advance(time)
	if c.windows.To == 0 {
		c.lane, c.lateNow = nil, false
	}
}

func (c *collector) close() {
	c.relieve()
	c.windows.Close(&c.folder, c.emit)
}

// relieve takes out the current lane if it is full.
func (c *collector) relieve() {
	if c.lane != nil && c.lane.Full() {
		c.takeOut(c.lane)
	}
}

func (c *collector) takeOut(lane *aggregate.Lane) {
	if !c.live {
		c.windows.TakeOut(lane, &c.folder, c.emit)
	}
}

// add sorts frames into their windows. What is not the usual case is left to
// addOne.
func (c *collector) add(source can.Source, frames []can.Frame) {
	for rest := frames; len(rest) > 0; {
		n := c.addUsual(rest)
		if n == 0 {
			c.addOne(source, &rest[0])
			n = 1
		}
		rest = rest[n:]
	}
	c.counts.Frames += uint64(len(frames))
	if c.read != nil {
		c.read.Add(uint64(len(frames)))
	}
	if c.lane != nil {
		c.lane.Count(len(frames))
	}
	if len(frames) > 0 {
		c.last = frames[len(frames)-1].Time
	}
	c.leaveFull()
}

// addUsual adds the frames up to the first that is not the usual case, of the
// current window and 8 bytes at most, and returns how many. This is the loop that
// runs once a frame.
func (c *collector) addUsual(frames []can.Frame) (n int) {
	if c.lane == nil || !c.unchanged || c.mirrors != nil {
		return 0
	}
	from, width := c.windows.From, uint64(c.windows.To-c.windows.From)
	known := uint32(len(c.streams.bindings))
	for n < len(frames) && n < len(c.short) {
		f := &frames[n]
		if uint64(f.Time-from) >= width || f.Stream >= known || f.Len > 8 {
			break
		}
		c.short[n] = aggregate.ShortFrame{Word: binary.LittleEndian.Uint64(f.Data[:8]), Stream: f.Stream, Length: f.Len}
		n++
	}
	c.lane.Add(c.short[:n])
	return n
}

// leaveFull gives up a lane that is full and cannot be taken out, since it is not
// ours to close: what comes for its window is dropped.
func (c *collector) leaveFull() {
	if c.live && c.lane != nil && c.lane.Full() {
		c.lane, c.lateNow = nil, false
		c.windows.Leave()
	}
}

// addOne sorts one frame into its window, whatever it is.
func (c *collector) addOne(source can.Source, f *can.Frame) {
	if f.Time < c.windows.From || f.Time >= c.windows.To {
		c.relieve()
		c.lane, c.lateNow = c.windows.Lane(f.Time, c.closeEarly)
		c.leaveFull()
	}
	if f.Stream == can.NoStream {
		if f.Is(can.Error) {
			c.counts.Errors++
		} else {
			c.counts.Remote++
		}
		return
	}
	for int(f.Stream) >= len(c.streams.bindings) {
		c.addStream(c.bind(source, f))
	}
	if c.mirrors != nil && c.mirrors.duplicate(source, f) {
		c.counts.Duplicates++
		return
	}
	switch unknown := c.streams.bindings[f.Stream] == nil; {
	case c.lane == nil && unknown:
		c.counts.Unknown++
	case c.lane == nil:
		if !c.lateNow || !c.windows.AddLate(f.Time, f.Stream, &f.Data, f.Len, c.takeOut) {
			c.counts.Dropped++
		}
	case f.Len > 8 || !c.unchanged:
		c.lane.AddWide(f.Stream, &f.Data, f.Len, !c.unchanged)
	default:
		c.short[0] = aggregate.ShortFrame{Word: binary.LittleEndian.Uint64(f.Data[:8]), Stream: f.Stream, Length: f.Len}
		c.lane.Add(c.short[:1])
	}
}

// addStream declares the next stream. (A source that left out a number would have
// the streams between bound to the same: BUG of it.)
func (c *collector) addStream(b *Binding) {
	if c.live { // the closer reads what it was given
		c.streams = c.streams.clone()
	}
	c.streams.add(b)
	if c.live {
		c.folder.shared.Store(c.streams)
	}
	c.windows.AddStream(b == nil, c.lane)
}

// closeEarly makes room in the ring in the middle of a batch.
func (c *collector) closeEarly() {
	switch {
	case !c.live:
		c.windows.Close(&c.folder, c.emit)
	case c.makeRoom != nil:
		c.makeRoom()
	}
}
