package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Next returns the next entry and waits for it where there is none yet. The
// payload is written over dst, or into new memory if dst is too small.
//
// Errors: the context's; ErrEnd after End, when all is read; ErrClosed; or the
// disk's, after which Next may be called again. Unreadable entries are no
// error, they are counted in Missing of the entry behind them.
func (c *Cursor) Next(ctx context.Context, dst []byte) (Entry, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Entry{}, err
		}
		e, err := c.TryNext(dst)
		if err != ErrNone {
			return e, err
		}
		select {
		case <-c.p.wake:
		case <-ctx.Done():
		}
	}
}

// Ready returns a channel, always the same, that gets a token when a TryNext
// that returned ErrNone may return something else now: after Append, End or
// Close. Several cursors can be waited for with it:
//
//	for {
//		e, err := c.TryNext(nil)
//		if err == spool.ErrNone {
//			<-c.Ready() // or select
//			continue
//		}
//		…
//	}
//
// A token may also come for nothing.
func (c *Cursor) Ready() <-chan struct{} { return c.p.wake }

// TryNext is Next without the waiting: the error ErrNone says that there is no
// entry yet.
func (c *Cursor) TryNext(dst []byte) (Entry, error) {
	for {
		var e Entry
		ch, size, last, err := c.locate(dst, &e)
		if e.Index != 0 && c.mark {
			c.s.hand(e.Index)
		}
		if err != nil || e.Index != 0 {
			return e, err
		}
		rec, err := c.readRecord(ch, size, last)
		if err != nil {
			return Entry{}, err
		}
		if rec.index == 0 {
			continue // Something was missing, and is accounted for.
		}
		payload, err := rec.appendPayload(dst[:0])
		if err != nil {
			c.lose(ch, err.Error(), Span{rec.index, rec.index})
			c.s.mu.Lock()
			ch.damaged = true
			c.s.mu.Unlock()
			continue
		}
		if !c.hand(ch, rec.index) {
			continue
		}
		e = Entry{Index: rec.index, Payload: payload, Missing: c.gone}
		c.next, c.gone = rec.index+1, 0
		return e, nil
	}
}

// locate returns the chapter that holds the next entry, moving c.next over what
// is acknowledged or known to be missing; and how far the chapter is written.
// An entry that is still in memory it reads itself.
// Where it returns ErrNone, it leaves word that the cursor wants to be woken.
func (c *Cursor) locate(dst []byte, e *Entry) (ch *chapter, size int64, last uint64, err error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !c.p.open {
		c.reader.close()
		return nil, 0, 0, ErrClosed
	}
	for _, u := range c.p.unseen {
		if u.To >= c.next {
			t := s.tallyLocked(max(u.From, c.next), u.To)
			c.gone += t.evicted + t.missing
		}
	}
	c.p.unseen = c.p.unseen[:0]
	c.next = c.p.accounted.beyond(c.next)
	for ch = c.ch; ch == nil || ch.removed || c.next < ch.base || c.next > ch.last; {
		if i := s.chapterAtLocked(c.next); i < len(s.chapters) {
			ch = s.chapters[i]
			if ch.base > c.next {
				c.skipLocked(ch.base)
				if next := c.p.accounted.beyond(c.next); next > c.next {
					c.next = next
					continue
				}
			}
			break
		}
		if g := s.groupAtLocked(c.next); g != nil {
			if g.base > c.next {
				c.skipLocked(g.base)
				if next := c.p.accounted.beyond(c.next); next > c.next {
					c.next = next
					continue
				}
			}
			return nil, 0, 0, c.readMemoryLocked(g, dst, e)
		}
		c.skipLocked(s.next)
		if s.ended {
			return nil, 0, 0, ErrEnd
		}
		if !c.p.waiting {
			c.p.waiting = true
			s.waiting++
		}
		return nil, 0, 0, ErrNone
	}
	for l, ok := ch.lostAt(c.next); ok; l, ok = ch.lostAt(c.next) {
		c.skipLocked(l.To + 1)
	}
	return ch, ch.size, ch.last, nil
}

// groupAtLocked returns the first group that ends at the index or behind it.
func (s *Spool) groupAtLocked(index uint64) *group {
	for _, g := range s.groups {
		if g.last >= index {
			return g
		}
	}
	return nil
}

// readMemoryLocked reads the entry c.next, which is in a group.
func (c *Cursor) readMemoryLocked(g *group, dst []byte, e *Entry) error {
	at := groupStart
	if c.inGroup == g.base && c.groupNext <= c.next {
		at = c.groupAt
	}
	for {
		rec, next := g.record(at)
		if at = next; rec.index < c.next {
			continue
		}
		payload, err := rec.appendPayload(dst[:0])
		if err != nil {
			return err
		}
		*e = Entry{Index: rec.index, Payload: payload, Missing: c.gone}
		c.mark = !c.s.handLocked(rec.index)
		c.next, c.gone = rec.index+1, 0
		c.inGroup, c.groupAt, c.groupNext = g.base, at, c.next
		return nil
	}
}

// skipLocked moves on to an index over entries that are missing or acknowledged.
func (c *Cursor) skipLocked(to uint64) {
	if c.next >= to {
		return
	}
	for _, gap := range c.p.accounted.gaps(nil, c.next, to-1) {
		t := c.s.tallyLocked(gap.From, gap.To)
		c.gone += t.evicted + t.missing
	}
	c.next = to
}

// hand notes that an entry of a chapter is about to be returned. It reports false
// where a thinned chapter has taken the place of that one: the entry has to be
// read again, there.
func (c *Cursor) hand(ch *chapter, index uint64) bool {
	s := c.s
	s.mu.Lock()
	for overlaps(s.thinning, Span{index, index}) && !s.closed {
		s.room.Wait()
	}
	if ch.superseded {
		s.mu.Unlock()
		return false
	}
	known := s.handLocked(index)
	s.mu.Unlock()
	if !known {
		s.hand(index)
	}
	return true
}

// readRecord reads the record with the index c.next. The index 0 says that it
// is not there; the chapter then knows.
func (c *Cursor) readRecord(ch *chapter, size int64, last uint64) (record, error) {
	if c.next > last {
		return record{}, nil // The rest of the chapter is lost.
	}
	if c.ch != ch || c.reader.file == nil {
		f, err := c.s.fs.OpenFile(ch.segment(), os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			c.lose(ch, "the segment is gone", Span{c.next, last})
			return record{}, nil
		}
		if err != nil {
			return record{}, c.refused(ch, err, last)
		}
		c.reader.open(f)
		c.ch = ch
		if size, err = c.opened(ch, f, size); err != nil {
			return record{}, c.refused(ch, err, last)
		}
	}
	for {
		rec, err := c.reader.next(size)
		switch {
		case err == nil && rec.index < c.next:
			// Read before, or on the way to a place in the middle.
		case err == nil && rec.index == c.next && rec.cause == "":
			return rec, nil
		default:
			return c.salvage(ch, size, last)
		}
	}
}

// maxAttempts is how often a cursor tries to open a segment that the disk
// refuses to open, before its entries count as lost.
const maxAttempts = 3

// refused returns the disk's error, or nil when that was the last attempt.
func (c *Cursor) refused(ch *chapter, err error, last uint64) error {
	c.s.mu.Lock()
	ch.attempts++
	over := ch.attempts >= maxAttempts
	ch.damaged = ch.damaged || over
	c.s.mu.Unlock()
	if !over {
		return fmt.Errorf("spool: %w", err)
	}
	c.lose(ch, err.Error(), Span{c.next, last})
	return nil
}

// opened learns the size of a segment that could not be opened before.
func (c *Cursor) opened(ch *chapter, f file, size int64) (int64, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if ch.unreadable == nil {
		return size, nil
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		c.reader.close()
		return 0, err
	}
	ch.unreadable, ch.size = nil, info.Size()
	if !ch.removed {
		c.s.bytes += ch.size
	}
	ch.synced = ch.size
	return ch.size, nil
}

// salvage looks through a whole chapter for the entry c.next after something
// was found wrong with it.
func (c *Cursor) salvage(ch *chapter, size int64, last uint64) (record, error) {
	data, err := readSegment(c.reader.file, size)
	if err != nil {
		return record{}, fmt.Errorf("spool: %s: %w", ch.segment(), err)
	}
	found := scanSegment(data, ch.base, last, nil)
	cause := "they are not there"
	if len(found.damage) > 0 {
		d := found.damage[0]
		cause = fmt.Sprintf("offset %d: %s", d.offset, d.cause)
	}
	c.s.mu.Lock()
	ch.table = found.table // should it not have been readable before
	c.s.mu.Unlock()
	c.lose(ch, cause, found.lostTo(last)...)
	c.s.mu.Lock()
	ch.damaged = ch.damaged || len(found.damage) > 0
	c.s.mu.Unlock()
	// What is there is taken from here: where the disk fails under a part of the
	// chapter, the reader's larger reads may fail again and again.
	var wanted record
	scanSegment(data, ch.base, last, func(offset int64, rec record) bool {
		if rec.index < c.next {
			return true
		}
		c.reader.offset, c.reader.window = offset, nil
		if rec.index == c.next {
			wanted = rec
			c.reader.offset += recordSize(len(rec.payload))
		}
		return false
	})
	return wanted, nil
}

func (c *Cursor) lose(ch *chapter, cause string, lost ...Span) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, l := range lost {
		if !ch.removed {
			c.s.loseLocked(ch, l, cause)
		}
	}
}
