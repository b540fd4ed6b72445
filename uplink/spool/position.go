package spool

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// position is a cursor as it stands on disk, in a slot file of its name. It is
// guarded by Spool.mu, but for slots, which belong to who holds Spool.syncing.
//
// Of the indexes from start to accounted, each is counted in one of the four
// sums; those behind are pending. So at any time
// next - start = acknowledged + evicted + missing + skipped + pending.
type position struct {
	name  string
	start uint64 // the first index that concerns it
	acked uint64
	// accounted is the last index in the sums: acked, or beyond that what was
	// evicted.
	accounted                               uint64
	acknowledged, evicted, missing, skipped uint64
	note                                    []byte

	open      bool
	waiting   bool // for a token in wake
	dirty     bool
	persisted uint64 // accounted as it is on disk
	slots     *slotFile
	wake      chan struct{}
}

const positionVersion = 1

func (p *position) begin(at uint64) {
	p.start, p.acked, p.accounted, p.persisted = at, at-1, at-1, at-1
}

// The value: version u64, then start, acked, accounted, acknowledged, evicted,
// missing, skipped and the length of the note, u64 each, and the note.
func (p *position) encode() []byte {
	b := appendNumbers(nil, positionVersion, p.start, p.acked, p.accounted,
		p.acknowledged, p.evicted, p.missing, p.skipped, uint64(len(p.note)))
	return append(b, p.note...)
}

func (p *position) decode(b []byte) error {
	f := fields{b: b, ok: true}
	f.uint64() // the version: meta refuses what is too new
	for _, n := range []*uint64{&p.start, &p.acked, &p.accounted, &p.acknowledged, &p.evicted, &p.missing, &p.skipped} {
		*n = f.uint64()
	}
	n := f.uint64()
	if !f.ok || n > MaxNote || n > uint64(len(f.b)) || p.start == 0 || p.acked > p.accounted || p.accounted+1 < p.start {
		return fmt.Errorf("cursor: its numbers contradict one another: %w", errDamaged)
	}
	p.note = slices.Clone(f.b[:n])
	p.persisted = p.accounted
	return nil
}

// create makes the slot file and writes the position to it.
func (p *position) create(fsys fileSystem, dir string) (err error) {
	if p.slots, err = openSlots(fsys, filepath.Join(dir, p.name), 0); err != nil {
		return err
	}
	if err = p.slots.put(p.encode()); err != nil {
		p.slots.close()
		fsys.Remove(filepath.Join(dir, p.name))
	}
	return err
}

func validName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '.' || strings.HasSuffix(name, ".TEMP") {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// tally says what became of a range of indexes.
type tally struct {
	entries uint64 // readable, as far as is known
	evicted uint64
	missing uint64 // damaged or lost
	skipped uint64 // set aside and never appended
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
	i, _ := slices.BinarySearchFunc(s.chapters, from, func(ch *chapter, index uint64) int { return cmp.Compare(ch.last, index) })
	for ; i < len(s.chapters) && from <= to; i++ {
		ch := s.chapters[i]
		from = t.gap(from, to, ch.base, ch.after)
		if end := min(to, ch.last); from <= end {
			lost := ch.lostIn(from, end)
			t.entries += end - from + 1 - lost
			t.missing += lost
			from = end + 1
		}
	}
	// What is not in a chapter yet.
	from = t.gap(from, to, s.flushed+1, s.after)
	if from <= to {
		t.entries += to - from + 1
	}
	return t
}

// gap tallies the indexes before base, where a chapter begins, and returns the
// next one to look at.
func (t *tally) gap(from, to, base, after uint64) uint64 {
	end := min(to, base-1)
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

// accountLocked moves p.accounted to an index and adds what lies between to the
// sums: readable entries as acknowledged, or as evicted.
func (s *Spool) accountLocked(p *position, to uint64, evicted bool) {
	t := s.tallyLocked(max(p.accounted+1, p.start), to)
	if evicted {
		p.evicted += t.entries
	} else {
		p.acknowledged += t.entries
	}
	p.evicted += t.evicted
	p.missing += t.missing
	p.skipped += t.skipped
	p.accounted = to
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
