package dbc

import (
	"math"
	"slices"
	"sort"
)

// condition is a reason for signals to be in a frame: the value of a multiplexer
// lies in some ranges.
type condition struct {
	// multiplexer is an index into the plan's multiplexers.
	multiplexer int32
	ranges      []Range
}

// multiplexer evaluates the conditions that depend on one signal.
type multiplexer struct {
	// field is the index of the signal.
	field int32
	// spans divide the values into ranges with the same consequences, in
	// ascending order. Values outside of them are unknown; no spans mean that
	// every value is known and selects nothing.
	spans []span
	// dense holds for each value from 0 on the index of its span plus one; it is
	// there if the values are small.
	dense []uint16
	// conditions are the indices of all conditions that depend on this one; used
	// instead of those in the spans if there are too many to be listed.
	conditions []int32
	listed     bool
}

// span is a range of values that fulfils the same conditions.
type span struct {
	Range
	conditions []int32
}

const (
	// maxDense bounds the table of a multiplexer, maxListed the conditions that
	// its spans list. Real multiplexers have some hundred.
	maxDense  = 1 << 12
	maxListed = 1 << 16
)

// compileMultiplexing finds the distinct conditions of the signals. A signal
// whose multiplexer cannot be decoded itself is in no frame.
func (p *Plan) compileMultiplexing() {
	fields := make(map[*Signal]int32, len(p.signals))
	for i, s := range p.signals {
		fields[s] = int32(i)
	}
	multiplexers := make(map[*Signal]int32)
	for _, s := range p.outerFirst() {
		field, ok := fields[s]
		if !ok {
			field = -1
		} else {
			p.fields[field].multiplexer = int32(len(p.multiplexers))
		}
		multiplexers[s] = int32(len(p.multiplexers))
		p.multiplexers = append(p.multiplexers, multiplexer{field: field})
	}
	seen := make(map[int32]map[string]int32)
	for i, s := range p.signals {
		if s.Multiplexer == nil {
			continue
		}
		m := multiplexers[s.Multiplexer]
		key := rangesKey(s.MultiplexerRanges)
		if seen[m] == nil {
			seen[m] = make(map[string]int32)
		}
		c, ok := seen[m][key]
		if !ok {
			c = int32(len(p.conditions))
			seen[m][key] = c
			p.conditions = append(p.conditions, condition{multiplexer: m, ranges: s.MultiplexerRanges})
			p.multiplexers[m].conditions = append(p.multiplexers[m].conditions, c)
		}
		p.fields[i].condition = c
	}
	for i := range p.multiplexers {
		m := &p.multiplexers[i]
		var described []ValueDescription
		if m.field >= 0 {
			described = p.signals[m.field].Values
		}
		m.compile(p.conditions, described)
	}
}

// outerFirst returns the multiplexers, each behind its own multiplexer, those
// that select nothing among them: their value tables say which values are known.
func (p *Plan) outerFirst() []*Signal {
	depths := make(map[*Signal]int)
	var order []*Signal
	for _, s := range p.signals {
		m := s.Multiplexer
		if s.IsMultiplexer {
			m = s
		}
		var path []*Signal
		for ; m != nil && depths[m] == 0; m = m.Multiplexer {
			path = append(path, m)
		}
		depth := 0
		if m != nil {
			depth = depths[m]
		}
		for _, m := range slices.Backward(path) {
			depth++
			depths[m] = depth
			order = append(order, m)
		}
	}
	return order
}

func rangesKey(ranges []Range) string {
	key := make([]byte, 0, 16*len(ranges))
	for _, r := range ranges {
		for shift := 0; shift < 64; shift += 8 {
			key = append(key, byte(r.First>>shift), byte(r.Last>>shift))
		}
	}
	return string(key)
}

// compile makes the spans. Known are the values that select a signal and, as in
// cantools, those that the multiplexer's value table describes: a page that has
// a name and no signals is no fault.
func (m *multiplexer) compile(conditions []condition, described []ValueDescription) {
	// starts are the values at which a span may begin.
	var starts []int64
	boundaries := func(r Range) {
		starts = append(starts, r.First)
		if r.Last < math.MaxInt64 {
			starts = append(starts, r.Last+1)
		}
	}
	for _, c := range m.conditions {
		for _, r := range conditions[c].ranges {
			boundaries(r)
		}
	}
	for _, v := range described {
		boundaries(Range{v.Value, v.Value})
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	if len(starts) == 0 {
		return
	}
	all := make([]span, len(starts))
	known := make([]bool, len(starts))
	for i, start := range starts {
		all[i].First, all[i].Last = start, math.MaxInt64
		if i+1 < len(starts) {
			all[i].Last = starts[i+1] - 1
		}
	}
	cover := func(r Range, f func(i int)) {
		i, _ := slices.BinarySearch(starts, r.First)
		for ; i < len(all) && all[i].Last <= r.Last; i++ {
			f(i)
		}
	}
	for _, v := range described {
		cover(Range{v.Value, v.Value}, func(i int) { known[i] = true })
	}
	m.listed = true
	listed := 0
	for _, c := range m.conditions {
		for _, r := range conditions[c].ranges {
			if m.listed {
				cover(r, func(i int) {
					known[i] = true
					if listed++; listed <= maxListed {
						all[i].conditions = append(all[i].conditions, c)
					}
				})
				m.listed = listed <= maxListed
			}
		}
	}
	if !m.listed {
		// So many that evaluating them one by one is cheaper than listing them.
		// What is known is then what any of them, or the table, contains.
		var union []Range
		for _, c := range m.conditions {
			union = append(union, conditions[c].ranges...)
		}
		for _, v := range described {
			union = append(union, Range{v.Value, v.Value})
		}
		for _, r := range mergeRanges(union) {
			m.spans = append(m.spans, span{Range: r})
		}
		return
	}
	for i, s := range all {
		if known[i] {
			m.spans = append(m.spans, s)
		}
	}
	m.compileDense()
}

func (m *multiplexer) compileDense() {
	first, last := m.spans[0].First, m.spans[len(m.spans)-1].Last
	if first < 0 || last >= maxDense {
		return
	}
	m.dense = make([]uint16, last+1)
	for i, s := range m.spans {
		for v := s.First; v <= s.Last; v++ {
			m.dense[v] = uint16(i + 1)
		}
	}
}

// span returns the span that a value lies in, nil if it is unknown.
func (m *multiplexer) span(value int64) *span {
	if m.dense != nil {
		if uint64(value) >= uint64(len(m.dense)) || m.dense[value] == 0 {
			return nil
		}
		return &m.spans[m.dense[value]-1]
	}
	i := sort.Search(len(m.spans), func(i int) bool { return m.spans[i].Last >= value })
	if i < len(m.spans) && m.spans[i].First <= value {
		return &m.spans[i]
	}
	return nil
}

// holds reports whether a value lies in the ranges.
func holds(ranges []Range, value int64) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Last >= value })
	return i < len(ranges) && ranges[i].First <= value
}

// selector makes the multiplexer value of a raw value.
func (f *field) selector(raw int64) int64 {
	if f.kind == Integer {
		return raw
	}
	number := math.Float64frombits(uint64(raw))
	if !(math.Abs(number) < 1<<62) { // NaN too: what Go makes of it is up to the machine
		return math.MinInt64
	}
	return int64(number)
}

// selected reports whether the payload of one frame fulfils a condition.
func (p *Plan) selected(c int32, data []byte) bool {
	for c != always {
		condition := &p.conditions[c]
		i := p.multiplexers[condition.multiplexer].field
		if i < 0 {
			return false
		}
		f := &p.fields[i]
		if f.never || int(f.need) > len(data) || !holds(condition.ranges, f.selector(f.extract(data))) {
			return false
		}
		c = f.condition
	}
	return true
}

// knows reports whether anything is defined for a value of the multiplexer.
func (m *multiplexer) knows(value int64) bool {
	return len(m.spans) == 0 || m.span(value) != nil
}
