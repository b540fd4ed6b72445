package spool

import "slices"

// MaxSpans is how many acknowledged spans beyond Acked a cursor keeps.
const MaxSpans = 32

// reach is a set of indexes: all up to floor, and islands beyond it. Islands
// ascend, and between two of them, and between floor and the first, at least
// one index is not in the set.
type reach struct {
	floor   uint64
	islands []Span
}

// last is the highest index in the set.
func (r *reach) last() uint64 {
	if n := len(r.islands); n > 0 {
		return r.islands[n-1].To
	}
	return r.floor
}

// beyond returns the first index from the given one on that is not in the set.
func (r *reach) beyond(index uint64) uint64 {
	index = max(index, r.floor+1)
	for _, d := range r.islands {
		if d.From > index {
			break
		}
		index = max(index, d.To+1)
	}
	return index
}

// gaps appends to dst the spans between from and to, both included, that are
// not in the set.
func (r *reach) gaps(dst []Span, from, to uint64) []Span {
	from = max(from, r.floor+1)
	for _, d := range r.islands {
		if d.From > to {
			break
		}
		if from < d.From {
			dst = append(dst, Span{from, d.From - 1})
		}
		from = max(from, d.To+1)
	}
	if from <= to {
		dst = append(dst, Span{from, to})
	}
	return dst
}

// covers reports whether the set has all indexes from one to another.
func (r *reach) covers(from, to uint64) bool { return r.beyond(from) > to }

// with returns the set with a span added. The islands are new.
func (r *reach) with(span Span) reach {
	sum := reach{floor: r.floor}
	if span.From <= sum.floor+1 {
		sum.floor = max(sum.floor, span.To)
		for _, d := range r.islands {
			if d.From <= sum.floor+1 {
				sum.floor = max(sum.floor, d.To)
			} else {
				sum.islands = append(sum.islands, d)
			}
		}
		return sum
	}
	for i, d := range r.islands {
		if d.To+1 < span.From {
			sum.islands = append(sum.islands, d)
			continue
		}
		if d.From > span.To+1 {
			sum.islands = append(sum.islands, span)
			sum.islands = append(sum.islands, r.islands[i:]...)
			return sum
		}
		span = Span{min(span.From, d.From), max(span.To, d.To)}
	}
	sum.islands = append(sum.islands, span)
	return sum
}

func (r *reach) clone() reach { return reach{r.floor, slices.Clone(r.islands)} }

// spans reads spans from numbers on disk; they must ascend beyond floor,
// apart from it and from one another.
func (f *fields) spans(floor uint64, most int) (spans []Span) {
	n := f.uint64()
	if !f.ok || n > uint64(most) {
		f.ok = false
		return nil
	}
	for range n {
		s := Span{f.uint64(), f.uint64()}
		if !f.ok || s.From <= floor+1 || s.To < s.From || s.To > maxIndex {
			f.ok = false
			return nil
		}
		spans = append(spans, s)
		floor = s.To
	}
	return spans
}

func appendSpans(b []byte, spans []Span) []byte {
	b = appendNumbers(b, uint64(len(spans)))
	for _, s := range spans {
		b = appendNumbers(b, s.From, s.To)
	}
	return b
}
