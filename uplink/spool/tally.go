package spool

import (
	"cmp"
	"slices"
)

// tally says what became of a range of indexes.
type tally struct {
	entries uint64 // readable, as far as is known
	evicted uint64
	missing uint64 // damaged or lost
	skipped uint64 // set aside and never appended
	thinned uint64 // merged into others
}

func (t *tally) add(u tally) {
	t.entries += u.entries
	t.evicted += u.evicted
	t.missing += u.missing
	t.skipped += u.skipped
	t.thinned += u.thinned
}

// tallyLocked looks at the indexes from one to another, both included and below
// s.next.
func (s *Spool) tallyLocked(from, to uint64) (t tally) {
	if from > to {
		return t
	}
	if from <= s.water.evictedTo {
		end := min(to, s.water.evictedTo)
		t.evicted += end - from + 1
		from = end + 1
	}
	for i := s.chapterAtLocked(from); i < len(s.chapters) && from <= to; i++ {
		ch := s.chapters[i]
		from = s.gapLocked(&t, from, to, ch.base, ch.after)
		if end := min(to, ch.last); from <= end {
			lost, thinned := ch.lostIn(from, end), ch.table.in(from, end)
			t.entries += end - from + 1 - lost - thinned
			t.missing += lost
			t.thinned += thinned
			from = end + 1
		}
	}
	// What is not in a chapter yet.
	from = s.gapLocked(&t, from, to, s.flushed+1, s.after)
	if from <= to {
		t.entries += to - from + 1
	}
	return t
}

// gapLocked tallies the indexes before base, where a chapter begins, and returns
// the next one to look at.
func (s *Spool) gapLocked(t *tally, from, to, base, after uint64) uint64 {
	end := min(to, base-1)
	for _, h := range s.water.holes {
		if from > end || h.To < from || h.From > end {
			continue
		}
		if from < h.From {
			t.missing += h.From - from
			from = h.From
		}
		// All cursors had acknowledged it, so it concerns only one made since.
		t.skipped += min(end, h.To) + 1 - from
		from = min(end, h.To) + 1
	}
	if from > end {
		return from
	}
	all := end - from + 1
	skipped := uint64(0)
	if lo := max(from, after+1); lo <= end {
		skipped = end - lo + 1
	}
	t.skipped += skipped
	t.missing += all - skipped
	return end + 1
}

// chapterAtLocked returns the number of the first chapter that ends at the index
// or behind it; len(s.chapters) if there is none.
func (s *Spool) chapterAtLocked(index uint64) int {
	i, _ := slices.BinarySearchFunc(s.chapters, index, func(ch *chapter, index uint64) int { return cmp.Compare(ch.last, index) })
	return i
}

// widenLocked extends a span on both sides over indexes at which there is no
// entry, as far as is known; upwards not over those set aside, which nobody may
// take for given out.
func (s *Spool) widenLocked(span Span) Span {
	for span.From > 1 && span.From-1 <= s.flushed {
		at := span.From - 1
		i := s.chapterAtLocked(at)
		if i < len(s.chapters) && s.chapters[i].base <= at {
			l, lost := s.chapters[i].lostAt(at)
			if !lost {
				break
			}
			span.From = l.From
		} else if i > 0 {
			span.From = s.chapters[i-1].last + 1
		} else {
			span.From = 1
		}
	}
	for span.To < s.flushed {
		at := span.To + 1
		i := s.chapterAtLocked(at)
		end := s.after
		if i < len(s.chapters) {
			ch := s.chapters[i]
			end = ch.after
			if l, lost := ch.lostAt(at); lost && ch.base <= at {
				end = l.To
			}
		}
		if end <= span.To {
			break
		}
		span.To = end
	}
	return span
}

// accountLocked adds the indexes of a span to the sums of a cursor, but for
// those that are in them: readable entries as acknowledged, or as evicted.
func (s *Spool) accountLocked(p *place, span Span, evicted bool) {
	span.From = max(span.From, p.start)
	for _, gap := range p.accounted.gaps(nil, span.From, span.To) {
		t := s.tallyLocked(gap.From, gap.To)
		if evicted {
			p.evicted += t.entries
		} else {
			p.acknowledged += t.entries
		}
		if n := len(p.unseen); evicted && n > 0 && p.unseen[n-1].To+1 == gap.From {
			p.unseen[n-1].To = gap.To
		} else if evicted {
			p.unseen = append(p.unseen, gap)
		}
		p.evicted += t.evicted
		p.missing += t.missing
		p.skipped += t.skipped
		p.thinned += t.thinned
	}
	if n := len(p.unseen) - MaxSpans; n > 0 {
		p.unseen = slices.Delete(p.unseen, 0, n)
	}
	floor := max(p.accounted.floor, span.To)
	p.accounted = p.accounted.with(span)
	if p.accounted.floor > floor {
		p.acked = p.accounted.floor // It reached an island, which was acknowledged.
	}
	p.dirty = true
}

// loseLocked notes that entries of a chapter cannot be read.
func (s *Spool) loseLocked(ch *chapter, l Span, cause string) {
	n := l.Len() - ch.lostIn(l.From, l.To)
	if n == 0 {
		return
	}
	// Spans found later may take in earlier ones; they stay apart and ascend.
	ch.lost = slices.DeleteFunc(ch.lost, func(k Span) bool {
		if k.From > l.To || k.To < l.From {
			return false
		}
		l.From, l.To = min(l.From, k.From), max(l.To, k.To)
		return true
	})
	at, _ := slices.BinarySearchFunc(ch.lost, l, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	ch.lost = slices.Insert(ch.lost, at, l)
	s.counters.missing += n
	s.log.Warn("entries are lost: they cannot be read", "file", ch.segment(), "from", l.From, "to", l.To, "entries", n, "cause", cause)
}
