package dbc

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// Payloads are those of one message within a window, the identical ones in a row
// taken together.
type Payloads struct {
	// Data holds the payloads one after the other, each in Stride bytes: a
	// multiple of 8, 8 at least. The bytes behind a payload's end are zero.
	Data   []byte
	Stride int
	// Lens are the real lengths, at most Stride.
	Lens []uint8
	// Weights tell how many identical frames each payload stands for.
	Weights []uint32
}

// Column is one signal of many payloads, in their order. A value that is the
// same in all payloads may stand there once, for all of them.
type Column struct {
	// Values are raw values: of a signed signal extended by its sign, of an
	// unsigned one by zeros (one of 64 bits is its bit pattern), of a
	// floating-point one math.Float64bits of its value.
	Values []int64
	// Weights tell how many samples each value stands for.
	Weights []uint32
	// Short and NotAvailable count the samples that are left out: those of frames
	// too short for the signal, and those whose raw value means "not available"
	// or "error" in J1939. Frames in which a multiplexer does not select the
	// signal have no sample of it.
	Short, NotAvailable uint64
}

// Counts are the frames of a Begin, and the irregular ones of them.
type Counts struct {
	// Frames are all of them: the sum of the weights.
	Frames uint64
	// UnknownMultiplexor counts the frames with a multiplexer value for which
	// the message defines nothing. The signals of that multiplexer are missing.
	UnknownMultiplexor uint64
	// Short and Long count the frames that are shorter and longer than the
	// message. Whether a signal is missing for it, its Column tells; excess
	// bytes are ignored.
	Short, Long uint64
}

// Scratch holds the buffers of one goroutine that decodes columns. It grows as
// needed and is then used again without allocation. The zero value is ready for
// use, for any number of plans in turn.
type Scratch struct {
	in Payloads
	// changed has the bits set in which the payloads, of 8 bytes each, are not all
	// the same; all bits where that was not looked into. total is the weight of
	// all payloads, total of several.
	changed uint64
	total   [1]uint32
	// shortest and longest are the extremes of the lengths, cut to that of the
	// message.
	shortest, longest int
	// conditions says for each condition of the plan which payloads fulfil it.
	conditions []selection
	// unknown marks the payloads with an unknown multiplexer value; used only
	// where a payload can have several.
	unknown []bool

	values    []int64
	weights   []uint32
	rows      []int32
	selectors []int64
}

// selection is some of the payloads.
type selection struct {
	rows []int32
	// weights are those of the rows, once somebody has asked for them.
	weights []uint32
}

// Begin prepares the columns of the payloads, which must stay unchanged as long
// as columns are asked for. It looks at lengths and multiplexers once for all
// signals.
func (p *Plan) Begin(s *Scratch, in Payloads) Counts {
	n := len(in.Lens)
	if in.Stride < 8 || in.Stride%8 != 0 || len(in.Data) < n*in.Stride || len(in.Weights) != n {
		panic(fmt.Sprintf("BUG: %d lengths, %d weights, %d bytes in strides of %d", n, len(in.Weights), len(in.Data), in.Stride))
	}
	s.in = in
	s.values = slices.Grow(s.values[:0], n)
	var counts Counts
	s.shortest, s.longest = extremes(in.Lens)
	if s.longest > in.Stride {
		panic(fmt.Sprintf("BUG: a payload of %d bytes in a stride of %d", s.longest, in.Stride))
	}
	counts.Frames = s.compare()
	length := p.Message.Length
	if n > 0 && (s.shortest != length || s.longest != length) {
		for i, l := range in.Lens {
			switch {
			case int(l) < length:
				counts.Short += uint64(in.Weights[i])
			case int(l) > length:
				counts.Long += uint64(in.Weights[i])
			}
		}
		s.shortest, s.longest = min(s.shortest, length), min(s.longest, length)
	}
	if len(p.multiplexers) > 0 {
		counts.UnknownMultiplexor = p.demultiplex(s)
	}
	return counts
}

// compare finds out which bits of the payloads change. In most messages most
// signals hold still for a second, and need not be looked at payload by payload.
// It returns the sum of the weights.
func (s *Scratch) compare() (total uint64) {
	n := len(s.in.Lens)
	s.changed = ^uint64(0)
	for _, w := range s.in.Weights {
		total += uint64(w)
	}
	if s.in.Stride != 8 || n < 2 {
		return total
	}
	data := s.in.Data[:8*n]
	first := binary.LittleEndian.Uint64(data)
	var changed uint64
	for len(data) >= 16 {
		changed |= (binary.LittleEndian.Uint64(data) ^ first) | (binary.LittleEndian.Uint64(data[8:]) ^ first)
		data = data[16:]
	}
	if len(data) >= 8 {
		changed |= binary.LittleEndian.Uint64(data) ^ first
	}
	s.changed, s.total[0] = changed, uint32(total)
	return total
}

// steady reports whether the field has the same value in all payloads.
func (x *extraction) steady(changed uint64) bool {
	if x.bigEndian {
		changed = bits.ReverseBytes64(changed)
	}
	return changed>>(x.shift&63)&x.mask == 0
}

// extremes returns the least and the greatest of the lengths.
func extremes(lens []uint8) (shortest, longest int) {
	if len(lens) == 0 {
		return 0, 0
	}
	// They are all the same in nearly every window: look at 8 a time.
	same, rest := uint64(lens[0])*0x0101010101010101, lens
	for len(rest) >= 8 && binary.LittleEndian.Uint64(rest) == same {
		rest = rest[8:]
	}
	low, high := lens[0], lens[0]
	for _, l := range rest {
		low, high = min(low, l), max(high, l)
	}
	return int(low), int(high)
}

// demultiplex finds out which payloads fulfil which conditions, and returns how
// many frames have an unknown multiplexer value.
func (p *Plan) demultiplex(s *Scratch) (unknown uint64) {
	n := len(s.in.Lens)
	s.conditions = slices.Grow(s.conditions[:0], len(p.conditions))[:len(p.conditions)]
	for i := range s.conditions {
		s.conditions[i].rows = s.conditions[i].rows[:0]
		s.conditions[i].weights = s.conditions[i].weights[:0]
	}
	if len(p.multiplexers) > 1 {
		s.unknown = slices.Grow(s.unknown[:0], n)[:n]
		clear(s.unknown)
	}
	for i := range p.multiplexers {
		m := &p.multiplexers[i]
		if m.field < 0 || len(m.spans) == 0 {
			continue
		}
		f := &p.fields[m.field]
		rows, all, _ := p.carriers(s, f)
		count := len(rows)
		if all {
			rows, count = nil, n
		}
		selectors := s.fill(&s.selectors, f, rows, count)
		for j, raw := range selectors {
			row := int32(j)
			if rows != nil {
				row = rows[j]
			}
			value := f.selector(raw)
			span := m.span(value)
			if span == nil {
				if s.unknownOnce(row, len(p.multiplexers)) {
					unknown += uint64(s.in.Weights[row])
				}
				continue
			}
			if m.listed {
				for _, c := range span.conditions {
					s.conditions[c].rows = append(s.conditions[c].rows, row)
				}
				continue
			}
			for _, c := range m.conditions {
				if holds(p.conditions[c].ranges, value) {
					s.conditions[c].rows = append(s.conditions[c].rows, row)
				}
			}
		}
	}
	return unknown
}

// unknownOnce marks a payload and reports whether it was not marked before.
func (s *Scratch) unknownOnce(row int32, multiplexers int) bool {
	if multiplexers == 1 {
		return true
	}
	first := !s.unknown[row]
	s.unknown[row] = true
	return first
}

// carriers returns the payloads that carry the field, and the weight of those
// that are too short for it. If all payloads carry it, there are no rows.
func (p *Plan) carriers(s *Scratch, f *field) (rows []int32, all bool, short uint64) {
	var selected *selection
	if f.condition != always {
		selected = &s.conditions[f.condition]
		rows, all = selected.rows, len(selected.rows) == len(s.in.Lens)
	} else {
		all = true
	}
	if int(f.need) <= s.shortest && !f.never {
		return rows, all, 0
	}
	// Without a length in between, all are too short.
	none := f.never || int(f.need) > s.longest
	kept := s.rows[:0]
	each := func(row int32) {
		if !none && int(s.in.Lens[row]) >= int(f.need) {
			kept = append(kept, row)
		} else {
			short += uint64(s.in.Weights[row])
		}
	}
	if f.condition == always {
		for row := range s.in.Lens {
			each(int32(row))
		}
	} else {
		for _, row := range rows {
			each(row)
		}
	}
	s.rows = kept
	return kept, false, short
}

// Column decodes signal i of Signals from the payloads of the last Begin with
// this Scratch, which must have been this plan's. The result is valid until the
// next Column or Begin.
func (p *Plan) Column(s *Scratch, i int) (c Column) {
	// The body is elsewhere so that this is inlined and c, too large for
	// registers, is written where the caller has it.
	p.column(s, &p.fields[i], &c)
	return c
}

func (p *Plan) column(s *Scratch, f *field, c *Column) {
	if f.simple && s.in.Stride == 8 && int(f.need) <= s.shortest {
		// The usual case: a short cut of what follows.
		if f.word.steady(s.changed) {
			c.Values, c.Weights = s.values[:1], s.total[:]
		} else {
			c.Values, c.Weights = s.values[:len(s.in.Lens)], s.in.Weights
		}
		f.word.words(c.Values, s.in.Data)
		if f.missing.count != 0 {
			s.leaveOutMissing(f, c)
		}
		return
	}
	if f.condition != always && len(s.conditions[f.condition].rows) == 0 {
		return
	}
	rows, all, short := p.carriers(s, f)
	c.Short = short
	switch {
	case all:
		c.Values = s.fill(&s.values, f, nil, len(s.in.Lens))
		c.Weights = s.in.Weights
	case len(rows) > 0:
		c.Values = s.fill(&s.values, f, rows, len(rows))
		c.Weights = s.gatherWeights(f, rows)
	}
	if !f.missing.none() {
		s.leaveOutMissing(f, c)
	}
}

// gatherWeights returns the weights of the rows. Those of a condition are
// gathered once for all its signals.
func (s *Scratch) gatherWeights(f *field, rows []int32) []uint32 {
	buffer := &s.weights
	if f.condition != always {
		if selected := &s.conditions[f.condition]; len(rows) == len(selected.rows) {
			if len(selected.weights) == len(rows) {
				return selected.weights
			}
			buffer = &selected.weights
		}
	}
	weights := slices.Grow((*buffer)[:0], len(rows))[:len(rows)]
	for j, row := range rows {
		weights[j] = s.in.Weights[row]
	}
	*buffer = weights
	return weights
}

// leaveOutMissing takes the values that J1939 reserves out of a column.
func (s *Scratch) leaveOutMissing(f *field, c *Column) {
	first := f.missing.index(f.kind, c.Values)
	if first == len(c.Values) {
		return
	}
	weights := slices.Grow(s.weights[:0], len(c.Values))[:len(c.Values)]
	copy(weights, c.Weights[:first])
	kept := first
	for j := first; j < len(c.Values); j++ {
		raw, weight := c.Values[j], c.Weights[j]
		if f.missing.has(f.kind, raw) {
			c.NotAvailable += uint64(weight)
			continue
		}
		c.Values[kept], weights[kept] = raw, weight
		kept++
	}
	s.weights = weights
	c.Values, c.Weights = c.Values[:kept], weights[:kept]
}
