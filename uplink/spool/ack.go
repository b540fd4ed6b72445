package spool

import (
	"errors"
	"fmt"
	"slices"
)

// ErrSpans says that AckSpan or Advance would leave more than MaxSpans islands
// of acknowledged entries behind Acked, and was not done.
var ErrSpans = errors.New("spool: too many acknowledged spans with pending entries between them: acknowledge those first")

// Ack says that the entries up to and including index are dealt with, and keeps
// a note of up to MaxNote bytes with it. Both are durable with the next sync.
// The cursor never moves backwards: a smaller index than the last one does
// nothing, the same one replaces the note.
func (c *Cursor) Ack(index uint64, note []byte) error {
	return c.ack(note, func() error {
		switch {
		case index >= c.s.next:
			return fmt.Errorf("spool: cursor %s: index %d cannot be acknowledged, the last entry is %d", c.p.name, index, c.s.next-1)
		case index < c.p.acked:
			return nil
		}
		c.s.ackLocked(c.p, Span{1, index}, note)
		return nil
	})
}

// AckSpan says that the entries of a span are dealt with, whatever is before
// them, and replaces the note. At most MaxSpans such spans that do not touch one
// another can be kept; with one more, AckSpan returns ErrSpans and changes
// nothing.
func (c *Cursor) AckSpan(span Span, note []byte) error {
	return c.ack(note, func() error {
		switch {
		case span.From == 0 || span.To < span.From:
			return fmt.Errorf("spool: cursor %s: %d to %d is no span of indexes", c.p.name, span.From, span.To)
		case span.To >= c.s.next:
			return fmt.Errorf("spool: cursor %s: %d to %d cannot be acknowledged, the last entry is %d", c.p.name, span.From, span.To, c.s.next-1)
		}
		span := c.s.widenLocked(span)
		if sum := c.p.accounted.with(span); len(sum.islands) > MaxSpans {
			return ErrSpans
		}
		c.s.ackLocked(c.p, span, note)
		return nil
	})
}

// ack calls change, which acknowledges something, with Spool.mu held.
func (c *Cursor) ack(note []byte, change func() error) error {
	if len(note) > MaxNote {
		return fmt.Errorf("spool: cursor %s: a note of %d bytes is too long, %d are allowed", c.p.name, len(note), MaxNote)
	}
	s := c.s
	s.mu.Lock()
	err := ErrClosed
	if !s.closed && c.p.open {
		err = change()
	}
	s.mu.Unlock()
	if err == nil && s.interval == SyncAlways {
		err = s.Sync()
	}
	return err
}

func (s *Spool) ackLocked(p *place, span Span, note []byte) {
	p.note = append(p.note[:0], note...)
	floor := p.accounted.floor
	s.accountLocked(p, span, false)
	if span.From <= p.acked+1 {
		p.acked = max(p.acked, span.To)
	}
	if p.accounted.floor > floor {
		p.acked = p.accounted.floor // What is between was evicted.
	}
	s.markDirty()
}

// Acked returns the last index up to which everything is acknowledged or gone,
// and the last note; for a cursor that has acknowledged nothing, the index
// before its first.
func (c *Cursor) Acked() (index uint64, note []byte) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.p.acked, slices.Clone(c.p.note)
}

// Pending appends to dst the spans of indexes that are not acknowledged,
// ascending. The last one ends with the newest entry, unless that is
// acknowledged. Entries that are lost or evicted may still be in them; a span
// without any entry is left out.
func (c *Cursor) Pending(dst []Span) []Span {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	first := len(dst)
	dst = c.p.accounted.gaps(dst, max(c.p.start, s.oldestLocked()), s.next-1)
	spans := slices.DeleteFunc(dst[first:], func(gap Span) bool { return s.tallyLocked(gap.From, gap.To).entries == 0 })
	return dst[:first+len(spans)]
}
