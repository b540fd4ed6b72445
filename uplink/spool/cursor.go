package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
// likes, Ack says that everything up to an index is dealt with, AckSpan that a
// range is, and Rewind returns to the first entry that is not. After a restart
// the cursor continues there, so an entry is read at least once. Next passes
// over what is acknowledged.
//
// Reading (Next, TryNext, Ready, Rewind, Seek, Close) is for one goroutine at a
// time; acknowledging (Ack, AckSpan, Advance) and asking (Acked, Pending,
// Position) are safe for concurrent use.
type Cursor struct {
	s *Spool
	p *place

	next   uint64 // the index to read
	gone   uint64 // missing entries met since the last one read
	ch     *chapter
	reader segmentReader
	// Where the entry groupNext begins in the group with the index inGroup first.
	inGroup, groupNext uint64
	groupAt            int
	mark               bool // an entry is to be noted before it is returned
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
		p = newPlace(name)
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
	return &Cursor{s: s, p: p, next: p.accounted.floor + 1}, nil
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

// Rewind returns to the first entry that is not acknowledged.
func (c *Cursor) Rewind() { c.Seek(0) }

// Seek goes to an index, in either direction: Next returns that entry, or the
// first pending one behind it.
func (c *Cursor) Seek(index uint64) {
	c.s.mu.Lock()
	index = c.p.accounted.beyond(index)
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
	c.p.wakeLocked()
	return nil
}
