package gateway

import (
	"slices"
	"sync/atomic"

	"milepost/aggregate"
	"milepost/can/dbc"
)

// folder decodes and summarises the lanes of one source. It implements
// aggregate.Folder and belongs to the closer's goroutine.
type folder struct {
	streams *streams
	// shared, where another goroutine writes, is what the writer knows now. It is
	// read for each lane, after that was found complete: the writer stored every
	// stream of a lane before it completed the lane.
	shared atomic.Pointer[streams]
	counts foldCounts

	scratch dbc.Scratch
	columns aggregate.ColumnFolder
}

// foldCounts is what became of bound frames and their samples.
type foldCounts struct {
	// Unknown counts frames without a binding.
	Unknown uint64
	// Decoded counts bound frames; Unchanged those of them whose payload was
	// that of the frame before, so that they were counted and not decoded.
	Decoded, Unchanged uint64
	// Short and Long count frames that were shorter or longer than their message.
	Short, Long uint64
	// UnknownMultiplexor counts frames with a multiplexor value that selects nothing.
	UnknownMultiplexor uint64
	// Samples were summarised. ShortSamples, NotAvailable and NotFinite were
	// left out: not within a short frame, a J1939 not-available or error value,
	// NaN or an infinity.
	Samples, ShortSamples, NotAvailable, NotFinite uint64
}

func (c *foldCounts) add(o *foldCounts) {
	c.Unknown += o.Unknown
	c.Decoded += o.Decoded
	c.Unchanged += o.Unchanged
	c.Short += o.Short
	c.Long += o.Long
	c.UnknownMultiplexor += o.UnknownMultiplexor
	c.Samples += o.Samples
	c.ShortSamples += o.ShortSamples
	c.NotAvailable += o.NotAvailable
	c.NotFinite += o.NotFinite
}

// streams are the bindings of a source's streams.
type streams struct {
	bindings []*Binding // by stream; nil: unknown
	order    []uint32   // the bound ones, in the order of their groups
}

// add binds the next stream.
func (s *streams) add(b *Binding) {
	stream := uint32(len(s.bindings))
	s.bindings = append(s.bindings, b)
	if b == nil {
		return
	}
	at, _ := slices.BinarySearchFunc(s.order, b, func(n uint32, b *Binding) int {
		return s.bindings[n].Group.Compare(b.Group)
	})
	s.order = slices.Insert(s.order, at, stream)
}

func (s *streams) clone() *streams {
	return &streams{bindings: slices.Clone(s.bindings), order: slices.Clone(s.order)}
}

// Fold implements aggregate.Folder.
func (f *folder) Fold(lane *aggregate.Lane, window *aggregate.Window) {
	if latest := f.shared.Load(); latest != nil {
		f.streams = latest
	}
	f.counts.Unknown += lane.Counted()
	for _, stream := range f.streams.order {
		payloads := lane.Payloads(stream)
		if len(payloads.Lens) == 0 {
			continue
		}
		binding := f.streams.bindings[stream]
		plan := binding.Plan
		counts := plan.Begin(&f.scratch, dbc.Payloads(payloads))
		f.counts.Decoded += counts.Frames
		f.counts.Unchanged += counts.Frames - uint64(len(payloads.Weights))
		f.counts.Short += counts.Short
		f.counts.Long += counts.Long
		f.counts.UnknownMultiplexor += counts.UnknownMultiplexor

		summaries := window.AddGroup(binding.Group)
		var samples uint64
		for i := range summaries {
			column := plan.Column(&f.scratch, i)
			f.counts.ShortSamples += column.Short
			f.counts.NotAvailable += column.NotAvailable
			c := aggregate.Column{Values: column.Values, Weights: column.Weights}
			f.counts.NotFinite += f.columns.Fold(&binding.Group.Series[i], c, window, &summaries[i])
			samples += summaries[i].Count
		}
		f.counts.Samples += samples
		if samples == 0 {
			window.DropGroup()
		}
	}
}
