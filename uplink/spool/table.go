package spool

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// A thinned chapter begins with its table: a record, in a group of its own, that
// tells which indexes have no entry any more because it became a part of another
// one. Its index is the chapter's first; its payload is the number of spans of
// indexes, and for each how many indexes are between it and the one before (the
// first: the chapter's first index) and how many it has, uvarints all.
//
// It stands at the beginning, so that an opening need not read the chapter.
const (
	tableVersion = 3
	kindTable    = 4

	// maxTableSpans bounds what a table takes in memory.
	maxTableSpans = 4096
)

// thinned are the spans of indexes in a chapter that were thinned, ascending and
// apart.
type thinned struct{ spans []Span }

func (t *thinned) encode(base uint64) []byte {
	b := binary.AppendUvarint(nil, uint64(len(t.spans)))
	at := base
	for _, s := range t.spans {
		b = binary.AppendUvarint(b, s.From-at)
		b = binary.AppendUvarint(b, s.Len())
		at = s.To + 1
	}
	return b
}

// parseTable reads the payload of a table; cause says what is wrong with it.
func parseTable(b []byte, base uint64) (t thinned, cause string) {
	next := func() (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			cause = "the table of a thinned chapter breaks off"
			return 0
		}
		b = b[n:]
		return v
	}
	n := next()
	if n > maxTableSpans {
		return t, "the table of a thinned chapter is too long"
	}
	at := base
	for range n {
		gap, length := next(), next()
		if cause == "" && (gap == 0 || length == 0 || gap > maxIndex-at || length > maxIndex-at-gap) {
			cause = "the table of a thinned chapter has spans that do not ascend"
		}
		if cause != "" {
			return thinned{}, cause
		}
		t.spans = append(t.spans, Span{at + gap, at + gap + length - 1})
		at += gap + length
	}
	return t, cause
}

// first is the number of the first span that ends at the index or behind it.
func (t *thinned) first(index uint64) int {
	i, _ := slices.BinarySearchFunc(t.spans, index, func(s Span, index uint64) int { return cmp.Compare(s.To, index) })
	return i
}

// at returns the span that an index is in.
func (t *thinned) at(index uint64) (Span, bool) {
	if i := t.first(index); i < len(t.spans) && t.spans[i].From <= index {
		return t.spans[i], true
	}
	return Span{}, false
}

// in is how many indexes from one to another were thinned.
func (t *thinned) in(from, to uint64) (n uint64) {
	for _, s := range t.spans[t.first(from):] {
		if s.From > to {
			break
		}
		n += min(to, s.To) + 1 - max(from, s.From)
	}
	return n
}

// without appends to dst the parts of a span that were not thinned.
func (t *thinned) without(dst []Span, span Span) []Span {
	for _, s := range t.spans[t.first(span.From):] {
		if s.From > span.To {
			break
		}
		if span.From < s.From {
			dst = append(dst, Span{span.From, s.From - 1})
		}
		span.From = s.To + 1
	}
	if span.From <= span.To {
		dst = append(dst, span)
	}
	return dst
}

// readTable reads the table of a thinned chapter. Where it cannot be read, what
// it would tell of counts as missing when a cursor comes to it.
func (ch *chapter) readTable(f file) {
	data := make([]byte, windowBytes)
	n, _ := f.ReadAt(data, 0)
	rec, size, v := parseRecord(data[:n])
	if v == whole && rec.group >= 0 {
		rec, _, v = parseRecord(data[size:n])
	}
	if v == whole && rec.table {
		ch.table, _ = parseTable(rec.payload, ch.base)
	}
}

// supersede divides chapters into those that count and those whose place a
// thinned one has taken: a crash came before they were removed. A thinned
// chapter reaches from its first index to the one in its name, so whatever else
// begins there was a part of it. They are sorted by their first index.
func supersede(chapters []*chapter) (kept, old []*chapter) {
	var over []*chapter // those thinned ones that reach as far as the present one
	for i, ch := range chapters {
		over = slices.DeleteFunc(over, func(t *chapter) bool { return t.until < ch.base })
		for j := i; j < len(chapters) && chapters[j].base == ch.base; j++ {
			if t := chapters[j]; t.step > 0 && !slices.Contains(over, t) {
				over = append(over, t)
			}
		}
		if slices.ContainsFunc(over, func(t *chapter) bool { return t.step > ch.step }) {
			old = append(old, ch)
		} else {
			kept = append(kept, ch)
		}
	}
	return kept, old
}
