package gateway

import (
	"iter"
	"slices"
	"time"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// maxThinned is about how many summaries are merged in memory at a time.
const maxThinned = 1 << 13

// NewThinning tells a spool how its entries are merged where it is nearly full:
// windows of a series within the same width become one, of the first width in the
// first step. The widths ascend. Nil where there are none.
//
// A merged window reaches from the first to the end of the last of those that it
// has, so windows do not overlap, and every sample is in exactly one record. The
// records of a merged entry take as many of the sequences of those that they
// consist of as they need, the lowest ones; the others are never used again.
func NewThinning(widths []time.Duration) *spool.Thinning {
	if len(widths) == 0 {
		return nil
	}
	return &spool.Thinning{Steps: len(widths), Merge: func(step int, entries iter.Seq[spool.Entry], put func(uint64, []byte) error) error {
		m := merger{width: int64(widths[step]), put: put, windows: make(map[windowKey]*mergedWindow)}
		for e := range entries {
			if err := m.add(e); err != nil {
				return err
			}
		}
		return m.flush()
	}}
}

// merger merges the batches of entries that follow one another.
type merger struct {
	width   int64
	put     func(index uint64, payload []byte) error
	decoder uplink.BatchDecoder
	records []uplink.Record

	// The open entry: what was merged so far.
	index     uint64
	device    string
	boot      uplink.BootID
	cell      int64 // of its last window
	windows   map[windowKey]*mergedWindow
	order     []*mergedWindow
	summaries int
	sequences []uint64 // of the records in it
}

// windowKey tells apart what is merged: the windows of a cell under one clock, or
// a correction of what is not among them.
type windowKey struct {
	start, duration int64
	revision        uint32
	stamp           aggregate.Stamp
}

type mergedWindow struct {
	from, to int64
	revision uint32
	stamp    aggregate.Stamp
	groups   map[*aggregate.Group][]aggregate.Summary
	order    []*aggregate.Group // as they came
}

// add merges an entry into the open one, or begins a new one with it.
func (m *merger) add(e spool.Entry) (err error) {
	if m.records, err = m.decoder.Decode(e.Payload, m.records[:0]); err != nil {
		return err
	}
	if len(m.records) == 0 {
		return nil
	}
	first := &m.records[0]
	begin := m.cellOf(first.Start)
	if len(m.order) > 0 && (begin > m.cell || first.Device != m.device || first.Boot != m.boot || m.summaries >= maxThinned) {
		if err := m.flush(); err != nil {
			return err
		}
	}
	if len(m.order) == 0 {
		m.index, m.device, m.boot, m.cell = e.Index, first.Device, first.Boot, begin
	}
	for i := range m.records {
		m.merge(&m.records[i])
	}
	return nil
}

// cellOf is the beginning of the cell that a time is in.
func (m *merger) cellOf(at int64) int64 {
	rest := at % m.width
	if rest < 0 {
		rest += m.width
	}
	return at - rest
}

func (m *merger) merge(r *uplink.Record) {
	cell := m.cellOf(r.Start)
	stamp := aggregate.Stamp{Clock: r.Clock}
	if r.Clock != aggregate.ClockUnknown {
		stamp.ClockOffset = r.Start - r.Uptime
	}
	key := windowKey{cell, m.width, 0, stamp}
	if r.Start+r.Duration > cell+m.width {
		key = windowKey{r.Start, r.Duration, 0, stamp} // It has more than a cell already.
	}
	w := m.windows[key]
	if r.Revision != 0 && (w == nil || r.Start < w.from || r.Start+r.Duration > w.to) {
		// What it corrects is not here.
		key = windowKey{r.Start, r.Duration, r.Revision, stamp}
		w = m.windows[key]
	}
	if w == nil {
		w = &mergedWindow{from: r.Start, to: r.Start + r.Duration, revision: r.Revision, stamp: stamp, groups: make(map[*aggregate.Group][]aggregate.Summary)}
		m.windows[key] = w
		m.order = append(m.order, w)
	}
	if r.Revision == 0 {
		m.cell = max(m.cell, cell)
	}
	w.from, w.to = min(w.from, r.Start), max(w.to, r.Start+r.Duration)
	summaries := w.groups[r.Group]
	if summaries == nil {
		summaries = make([]aggregate.Summary, len(r.Group.Series))
		w.groups[r.Group] = summaries
		w.order = append(w.order, r.Group)
	}
	for i := range r.Group.Series {
		if r.Series == &r.Group.Series[i] {
			s := &summaries[i]
			if s.Count == 0 && !s.Absent {
				m.summaries++
			}
			// That a series ended is told if there is nothing else of it in the cell.
			s.Absent = s.Count == 0 && r.Summary.Absent
			if !r.Summary.Absent {
				s.Merge(r.Series, &r.Summary)
			}
		}
	}
	m.sequences = append(m.sequences, r.Sequence)
}

// flush puts the open entry.
func (m *merger) flush() error {
	if len(m.order) == 0 {
		return nil
	}
	slices.SortStableFunc(m.order, func(a, b *mergedWindow) int {
		return int(min(1, max(-1, a.from-b.from)))
	})
	// There are at least as many as records: each was made of one or more.
	slices.Sort(m.sequences)
	numbers := m.sequences
	encoder := uplink.NewBatchEncoder(m.device, m.boot, numbers[0])
	for _, merged := range m.order {
		w := aggregate.NewWindow(merged.from, merged.to-merged.from, merged.revision)
		w.Stamp = merged.stamp
		records := 0
		for _, group := range merged.order {
			summaries := merged.groups[group]
			w.Groups = append(w.Groups, aggregate.GroupSummary{Group: group, Summaries: summaries})
			for i := range summaries {
				if summaries[i].Count != 0 || summaries[i].Absent {
					records++
				}
			}
		}
		slices.SortStableFunc(w.Groups, func(a, b aggregate.GroupSummary) int { return a.Group.Compare(b.Group) })
		encoder.AddNumbered(w, numbers[:records])
		numbers = numbers[records:]
		w.Release()
	}
	clear(m.windows)
	m.order, m.summaries, m.sequences = m.order[:0], 0, m.sequences[:0]
	return m.put(m.index, encoder.Take())
}
