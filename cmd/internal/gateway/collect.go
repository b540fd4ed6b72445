package gateway

import (
	"encoding/binary"
	"io"
	"sync/atomic"

	"milepost/aggregate"
	"milepost/can"
)

// batchFrames is how many frames are read at once: enough to make the call
// cheap, few enough to stay in the first-level cache.
const batchFrames = 64

// collector takes the frames of one source into windows: it binds, sorts by
// window, counts. Everything a frame can become is counted once:
//
//	Frames = Decoded + Unknown + Remote + Errors + Duplicates + Dropped
//
// where Decoded and most of Unknown are counted when their window is closed.
type collector struct {
	bindings  *Bindings
	windows   *aggregate.Collector
	folder    folder
	emit      func(*aggregate.Window)
	unchanged bool // compare payloads before they are decoded
	mirrors   *mirrorFilter

	read *atomic.Uint64

	lane   *aggregate.Lane
	counts collectCounts
	// lateNow says that the current frame's window is closed.
	lateNow bool
	last    int64 // time of the last frame
}

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
	return &collector{
		bindings: bindings,
		windows: aggregate.NewCollector(aggregate.Options{
			Window: int64(o.Window), Lateness: int64(o.Lateness), Step: int64(o.ClockStep), Slots: 4,
		}),
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
	c.windows.TakeOut(lane, &c.folder, c.emit)
}

// add sorts frames into their windows. This is the loop that runs once a frame;
// what is not the usual case is left to addOne.
func (c *collector) add(source can.Source, frames []can.Frame) {
	lane := c.lane
	from, width := c.windows.From, uint64(c.windows.To-c.windows.From)
	known := uint32(len(c.folder.streams.bindings))
	usual := c.unchanged && c.mirrors == nil
	for i := range frames {
		f := &frames[i]
		if usual && uint64(f.Time-from) < width && f.Stream < known && f.Len <= 8 {
			lane.Add(f.Stream, binary.LittleEndian.Uint64(f.Data[:8]), f.Len)
			continue
		}
		c.addOne(source, f)
		lane = c.lane
		from, width = c.windows.From, uint64(c.windows.To-c.windows.From)
		known = uint32(len(c.folder.streams.bindings))
	}
	c.counts.Frames += uint64(len(frames))
	if c.read != nil {
		c.read.Add(uint64(len(frames)))
	}
	if lane != nil {
		lane.Count(len(frames))
	}
	if len(frames) > 0 {
		c.last = frames[len(frames)-1].Time
	}
}

// addOne sorts one frame into its window, whatever it is.
func (c *collector) addOne(source can.Source, f *can.Frame) {
	if f.Time < c.windows.From || f.Time >= c.windows.To {
		c.relieve()
		c.lane, c.lateNow = c.windows.Lane(f.Time, c.closeEarly)
	}
	if f.Stream == can.NoStream {
		if f.Is(can.Error) {
			c.counts.Errors++
		} else {
			c.counts.Remote++
		}
		return
	}
	for int(f.Stream) >= len(c.folder.streams.bindings) {
		binding := c.folder.streams.bind(c.bindings, source.Buses(), f)
		c.windows.AddStream(binding == nil, c.lane)
	}
	if c.mirrors != nil && c.mirrors.duplicate(source, f) {
		c.counts.Duplicates++
		return
	}
	switch unknown := c.folder.streams.bindings[f.Stream] == nil; {
	case c.lane == nil && unknown:
		c.counts.Unknown++
	case c.lane == nil:
		if !c.lateNow || !c.windows.AddLate(f.Time, f.Stream, &f.Data, f.Len, c.takeOut) {
			c.counts.Dropped++
		}
	case f.Len > 8 || !c.unchanged:
		c.lane.AddWide(f.Stream, &f.Data, f.Len, !c.unchanged)
	default:
		c.lane.Add(f.Stream, binary.LittleEndian.Uint64(f.Data[:8]), f.Len)
	}
}

// closeEarly makes room in the ring in the middle of a batch.
func (c *collector) closeEarly() { c.windows.Close(&c.folder, c.emit) }
