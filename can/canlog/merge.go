package canlog

import (
	"io"

	"milepost/can"
)

// mergeBatch is how many frames a Merge reads from a source at once.
const mergeBatch = 256

// MergeOptions say how to merge.
type MergeOptions struct {
	// DropOverlap drops frames that another source has delivered before: the
	// same bus, ID, flags, payload and time. Of equal frames, as many are
	// delivered as the source with the most of them has; those of one source are
	// never dropped for one another. Frames are remembered until some 8,000 later
	// ones are delivered.
	DropOverlap bool
}

// Merge is a [can.Source] of the frames of several others, by time: of the next
// frames of all sources it delivers the earliest one, of equally early ones
// that of the first source. The order within a source is kept, even where its
// times run backwards.
//
// Buses of the same name are one bus, and their streams are one stream.
//
// It waits for each source, so it suits logs rather than live buses. It is used
// by one goroutine at a time.
type Merge struct {
	inputs  []mergeInput
	order   []int // inputs that have frames, the next one first
	started bool
	err     error // of a source
	overlap *overlapFilter

	buses    []string
	busIndex map[string]uint16
	streams  can.Streams
}

type mergeInput struct {
	source can.Source
	batch  []can.Frame
	frames []can.Frame // what is left of batch
	err    error
	// buses and streams translate the source's numbers; a stream plus one, 0 for
	// one not yet seen.
	buses   []uint16
	streams []uint32
}

// NewMerge merges sources. The Merge does not close them.
func NewMerge(opts MergeOptions, sources ...can.Source) *Merge {
	m := &Merge{busIndex: make(map[string]uint16)}
	for _, s := range sources {
		m.inputs = append(m.inputs, mergeInput{source: s, batch: make([]can.Frame, mergeBatch)})
	}
	if opts.DropOverlap && len(sources) > 1 {
		m.overlap = newOverlapFilter(len(sources))
	}
	return m
}

// Dropped is the number of frames that DropOverlap dropped so far.
func (m *Merge) Dropped() uint64 {
	if m.overlap == nil {
		return 0
	}
	return m.overlap.dropped
}

// Buses implements [can.Source].
func (m *Merge) Buses() []string { return m.buses }

// Read implements [can.Source]. The first error of a source ends the Merge,
// after the frames that were read before.
func (m *Merge) Read(frames []can.Frame) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if !m.started {
		for i := range m.inputs {
			if err := m.fill(i); err != nil {
				return 0, err
			}
		}
		m.started = true
	}
	n := 0
	for n < len(frames) && len(m.order) > 0 {
		i := m.order[0]
		in := &m.inputs[i]
		if len(in.frames) == 0 {
			// Deliver what there is before waiting for the source.
			if n > 0 {
				break
			}
			m.order = m.order[:copy(m.order, m.order[1:])]
			if err := m.fill(i); err != nil {
				return 0, err
			}
			continue
		}
		f := &in.frames[0]
		in.frames = in.frames[1:]
		if m.deliver(i, f, &frames[n]) {
			n++
		}
		if len(in.frames) > 0 {
			m.sift()
		}
	}
	if n == 0 && len(frames) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// deliver copies a frame of input i with the numbers of the Merge, unless it is
// to be dropped.
func (m *Merge) deliver(i int, f, to *can.Frame) bool {
	in := &m.inputs[i]
	*to = *f
	to.Bus = in.buses[f.Bus]
	if f.Stream != can.NoStream {
		to.Stream = m.stream(in, f, to.Bus)
	}
	return m.overlap == nil || !m.overlap.drop(i, to)
}

func (m *Merge) stream(in *mergeInput, f *can.Frame, bus uint16) uint32 {
	for int64(f.Stream) >= int64(len(in.streams)) {
		in.streams = append(in.streams, 0)
	}
	number := &in.streams[f.Stream]
	if *number == 0 {
		*number = m.streams.Number(bus, f.ID, f.Flags&can.Extended != 0) + 1
	}
	return *number - 1
}

// fill reads from input i and puts it back in order, unless it has ended.
func (m *Merge) fill(i int) error {
	in := &m.inputs[i]
	n, err := in.source.Read(in.batch)
	in.frames = in.batch[:n]
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		if err != io.EOF {
			m.err = err
			return err
		}
		return nil
	}
	for _, name := range in.source.Buses()[len(in.buses):] {
		index, ok := m.busIndex[name]
		if !ok {
			index = uint16(len(m.buses))
			m.busIndex[name] = index
			m.buses = append(m.buses, name)
		}
		in.buses = append(in.buses, index)
	}
	m.order = append(m.order, 0)
	copy(m.order[1:], m.order)
	m.order[0] = i
	m.sift()
	return nil
}

// sift moves the first input of order to its place.
func (m *Merge) sift() {
	order := m.order
	for k := 0; k+1 < len(order) && m.before(order[k+1], order[k]); k++ {
		order[k], order[k+1] = order[k+1], order[k]
	}
}

// before reports whether the next frame of input a comes before that of b.
func (m *Merge) before(a, b int) bool {
	ta, tb := m.inputs[a].frames[0].Time, m.inputs[b].frames[0].Time
	return ta < tb || ta == tb && a < b
}
