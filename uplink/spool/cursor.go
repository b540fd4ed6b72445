package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Start says where a cursor that is new begins.
type Start int

const (
	Oldest Start = iota // at the oldest entry that there is
	Newest              // behind the newest entry: with the next one appended
)

// MaxNote is the longest note that Ack takes, in bytes.
const MaxNote = 64

// Entry is one entry as a Cursor or Scan reads it.
type Entry struct {
	Index   uint64
	Payload []byte
	// Missing is how many entries are gone between the one read before and this
	// one, damaged or evicted.
	Missing uint64
}

// Cursor reads the entries of a spool in order and acknowledges them. Each
// cursor has its own place, kept on disk under its name.
//
// Reading and acknowledging are apart: Next runs ahead as far as the reader
// likes, Ack says that everything up to an index is dealt with, and Rewind
// returns to the first entry that is not. After a restart the cursor continues
// there, so an entry is read at least once.
//
// The methods are for one goroutine at a time, but for Ack and Acked, which are
// safe for concurrent use.
type Cursor struct {
	s *Spool
	p *position

	next   uint64 // the index to read
	gone   uint64 // missing entries met since the last one read
	ch     *chapter
	reader segmentReader
}

// Cursor opens the cursor of that name; a new one begins where from says. Names
// have 1 to 64 letters, digits, '-', '_' and '.', and don't begin with '.'.
//
// A cursor that is on disk holds chapters back even while it is not open, until
// RemoveCursor.
func (s *Spool) Cursor(name string, from Start) (*Cursor, error) {
	if !validName(name) {
		return nil, fmt.Errorf("spool: %q cannot name a cursor: 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.' are allowed, and no '.' at the beginning", name)
	}
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	p := s.cursors[name]
	if p == nil {
		p = &position{name: name, wake: make(chan struct{}, 1)}
		p.begin(s.oldestLocked())
		if from == Newest {
			p.begin(s.next)
		}
		if err := p.create(s.fs, s.cursorsDir()); err != nil {
			return nil, fmt.Errorf("spool: making cursor %s: %w", name, err)
		}
		s.cursors[name] = p
	}
	if p.open {
		return nil, fmt.Errorf("spool: cursor %s is open already", name)
	}
	p.open = true
	return &Cursor{s: s, p: p, next: p.acked + 1}, nil
}

// RemoveCursor forgets a cursor, so that it holds no chapter back any more. It
// must not be open. It is no error if there is none.
func (s *Spool) RemoveCursor(name string) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	p := s.cursors[name]
	if p == nil {
		return nil
	}
	if p.open {
		return fmt.Errorf("spool: cursor %s is open, close it before it is removed", name)
	}
	err := s.fs.Remove(filepath.Join(s.cursorsDir(), name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = s.fs.SyncDir(s.cursorsDir())
	}
	if err != nil {
		return fmt.Errorf("spool: removing cursor %s: %w", name, err)
	}
	p.slots.close()
	delete(s.cursors, name)
	s.markDirty()
	return nil
}

// oldestLocked is the index of the oldest entry, or of the next one.
func (s *Spool) oldestLocked() uint64 {
	if len(s.chapters) > 0 {
		return s.chapters[0].base
	}
	return s.flushed + 1
}

// Name returns the cursor's name.
func (c *Cursor) Name() string { return c.p.name }

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
		e, err := c.read(dst, true)
		if err != ErrNone {
			return e, err
		}
		select {
		case <-c.p.wake:
		case <-ctx.Done():
		}
	}
}

// TryNext is Next without the waiting: the error ErrNone says that there is no
// entry yet.
func (c *Cursor) TryNext(dst []byte) (Entry, error) { return c.read(dst, false) }

// read returns the next entry, or ErrNone; it then leaves word, if wait is set,
// that the cursor wants to be woken.
func (c *Cursor) read(dst []byte, wait bool) (Entry, error) {
	for {
		ch, size, last, err := c.locate(wait)
		if err != nil {
			return Entry{}, err
		}
		rec, err := c.readRecord(ch, size, last)
		if err != nil {
			return Entry{}, err
		}
		if rec.index == 0 {
			continue // Something was missing, and is accounted for.
		}
		e := Entry{Index: rec.index, Payload: append(dst[:0], rec.payload...), Missing: c.gone}
		c.next, c.gone = rec.index+1, 0
		return e, nil
	}
}

// locate returns the chapter that holds the next entry, moving c.next over what
// is known to be missing; and how far the chapter is written.
func (c *Cursor) locate(wait bool) (ch *chapter, size int64, last uint64, err error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !c.p.open {
		c.reader.close()
		return nil, 0, 0, ErrClosed
	}
	for ch = c.ch; ch == nil || ch.removed || c.next < ch.base || c.next > ch.last; {
		i, _ := slices.BinarySearchFunc(s.chapters, c.next, func(ch *chapter, index uint64) int {
			return cmp.Compare(ch.last, index)
		})
		if i < len(s.chapters) {
			ch = s.chapters[i]
			break
		}
		if s.batched > 0 {
			if err := s.flushLocked(); err != nil {
				return nil, 0, 0, err
			}
			continue
		}
		c.skipLocked(s.next)
		if s.ended {
			return nil, 0, 0, ErrEnd
		}
		if wait && !c.p.waiting {
			c.p.waiting = true
			s.waiting++
		}
		return nil, 0, 0, ErrNone
	}
	c.skipLocked(ch.base)
	for _, l := range ch.lost {
		if l.From <= c.next && c.next <= l.To {
			c.skipLocked(l.To + 1)
		}
	}
	return ch, ch.size, ch.last, nil
}

// skipLocked moves on to an index over entries that are missing.
func (c *Cursor) skipLocked(to uint64) {
	if c.next < to {
		t := c.s.tallyLocked(c.next, to-1)
		c.gone += t.evicted + t.missing
		c.next = to
	}
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
			return record{}, fmt.Errorf("spool: %w", err)
		}
		c.reader.open(f)
		c.ch = ch
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
	lost := found.lost
	if found.last < last {
		lost = append(lost, Span{found.last + 1, last})
	}
	c.lose(ch, cause, lost...)
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

// Ack says that the entries up to and including index are dealt with, and keeps
// a note of up to MaxNote bytes with it. Both are durable with the next sync.
// The cursor never moves backwards: a smaller index than the last one does
// nothing, the same one replaces the note.
func (c *Cursor) Ack(index uint64, note []byte) error {
	if len(note) > MaxNote {
		return fmt.Errorf("spool: cursor %s: a note of %d bytes is too long, %d are allowed", c.p.name, len(note), MaxNote)
	}
	s := c.s
	s.mu.Lock()
	err := s.ackLocked(c.p, index, note)
	s.mu.Unlock()
	if err == nil && s.interval == SyncAlways {
		err = s.Sync()
	}
	return err
}

func (s *Spool) ackLocked(p *position, index uint64, note []byte) error {
	switch {
	case s.closed || !p.open:
		return ErrClosed
	case index >= s.next:
		return fmt.Errorf("spool: cursor %s: index %d cannot be acknowledged, the last entry is %d", p.name, index, s.next-1)
	case index < p.acked:
		return nil
	}
	p.acked = index
	p.note = append(p.note[:0], note...)
	if index > p.accounted {
		s.accountLocked(p, index, false)
	}
	p.dirty = true
	s.markDirty()
	return nil
}

// Acked returns the last acknowledged index and its note; for a cursor that has
// acknowledged nothing, the index before its first.
func (c *Cursor) Acked() (index uint64, note []byte) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.p.acked, slices.Clone(c.p.note)
}

// Rewind returns to the first entry that is not acknowledged.
func (c *Cursor) Rewind() { c.Seek(0) }

// Seek goes to an index, in either direction but not before the first entry
// that is not acknowledged: Next returns that entry, or the first one behind it.
func (c *Cursor) Seek(index uint64) {
	c.s.mu.Lock()
	index = max(index, c.p.acked+1)
	c.s.mu.Unlock()
	if index < c.next {
		c.reader.close()
	}
	c.next, c.gone = index, 0
}

// Close ends the reading. What was acknowledged stays so.
func (c *Cursor) Close() error {
	c.reader.close()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if !c.p.open {
		return ErrClosed
	}
	c.p.open = false
	return nil
}
