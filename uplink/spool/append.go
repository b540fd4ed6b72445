package spool

import (
	"errors"
	"fmt"
	"time"
)

// ErrFull says that the disk takes nothing, and that memory is full of entries
// that wait for it.
var ErrFull = errors.New("spool: the disk takes nothing and the memory for it is full")

// Append adds an entry and returns its index. Cursors see it at once; it is
// durable with the next sync. The payload may be empty and is copied.
//
// An index of 0 says that the entry was not taken, and may be tried again. With
// SyncAlways, an index and an error say that it was taken but is not durable
// yet.
//
// Append waits where the disk is slow. Where the disk fails, entries are kept in
// memory, up to Options.MemoryBytes, until it works again; then the newest are
// dropped and counted: Append returns ErrFull. The older ones were promised.
func (s *Spool) Append(payload []byte) (index uint64, err error) {
	now := time.Now()
	return s.AppendAt(payload, now, now)
}

// AppendAt is Append for an entry whose contents are from a range of times. Where
// entries are evicted, Stats tells of which times they were.
func (s *Spool) AppendAt(payload []byte, from, until time.Time) (index uint64, err error) {
	times := timesOf(from, until)
	if len(payload) > MaxEntry {
		return 0, fmt.Errorf("spool: an entry of %d bytes is too large, %d are allowed", len(payload), MaxEntry)
	}
	length, compressed := len(payload), false
	if s.opts.Compression == Zstd {
		if c := s.compressor.compress(payload); c != nil {
			payload, compressed = c, true
		}
	}
	s.mu.Lock()
	index, err = s.appendLocked(payload, compressed, length, times)
	s.mu.Unlock()
	if err == nil && s.interval == SyncAlways {
		err = s.Sync()
	}
	return index, err
}

func (s *Spool) appendLocked(payload []byte, compressed bool, length int, times timeRange) (uint64, error) {
	size := recordSize(len(payload))
	if err := s.makeRoomLocked(size); err != nil {
		return 0, err
	}
	if s.next > s.water.reserved {
		if err := s.reserveLocked(); err != nil {
			s.dropLocked(length, err)
			return 0, err
		}
	}
	index := s.next
	g := s.filling
	if g != nil && int64(len(g.buf))+size > s.groupBytes+s.groupBytes/8 {
		s.closeGroupLocked()
		g = nil
	}
	if g == nil {
		g = s.newGroupLocked(index)
	}
	before := len(g.buf)
	g.add(index, payload, compressed)
	g.times.add(times)
	s.queued += int64(len(g.buf) - before)
	if int64(len(g.buf)) >= s.groupBytes-s.groupBytes/8 {
		s.closeGroupLocked()
	}
	s.next++
	s.dropping = false
	s.counters.appended++
	s.counters.payloadBytes += uint64(length)
	s.wakeLocked()
	s.markDirty()
	return index, nil
}

// makeRoomLocked returns when an entry of that size may be taken.
func (s *Spool) makeRoomLocked(size int64) error {
	for {
		switch {
		case s.closed:
			return ErrClosed
		case s.ended:
			return ErrEnd
		case s.queued == 0:
			return nil
		case s.failure == nil && (s.filling != nil || len(s.groups) < maxGroups):
			return nil
		case s.failure != nil && s.queued+size <= s.opts.MemoryBytes:
			return nil
		case s.failure != nil:
			if s.forgetLocked(); s.queued+size <= s.opts.MemoryBytes {
				return nil
			}
			if s.storing && s.allHaveLocked(s.groups[0]) {
				break // It is being tried again to store what could be forgotten.
			}
			err := fmt.Errorf("%w: %w", ErrFull, s.failure)
			s.dropLocked(int(size), err)
			return err
		}
		s.room.Wait()
	}
}

func (s *Spool) dropLocked(bytes int, cause error) {
	s.counters.dropped++
	s.counters.droppedBytes += uint64(bytes)
	s.counters.droppedUntil = time.Now()
	if s.counters.droppedFrom.IsZero() {
		s.counters.droppedFrom = s.counters.droppedUntil
	}
	s.dropping = true
	if s.droppingLog.due(cause.Error()) {
		s.log.Error("an entry is dropped", "dir", s.dir, "cause", cause)
	}
}

// newGroupLocked begins a group to be filled.
func (s *Spool) newGroupLocked(base uint64) *group {
	g := &group{}
	if len(s.spare) == 0 {
		// Grown step by step, it would cost several times its bytes.
		g.buf = make([]byte, 0, s.groupBytes+s.groupBytes/8+groupStart)
	}
	if n := len(s.spare); n > 0 {
		g = s.spare[n-1]
		s.spare = s.spare[:n-1]
	}
	g.begin(base)
	s.groups = append(s.groups, g)
	s.filling = g
	return g
}

// closeGroupLocked hands the group that is being filled to the writer.
func (s *Spool) closeGroupLocked() {
	if s.filling != nil {
		s.filling = nil
		notify(s.full)
	}
}

// takenLocked removes the first group: it is in a chapter, or nobody wants it.
func (s *Spool) takenLocked() {
	g := s.groups[0]
	if g == s.filling {
		s.filling = nil
	}
	s.flushed, s.after = g.last, g.last
	s.queued -= int64(len(g.buf) - groupStart)
	s.groups = append(s.groups[:0], s.groups[1:]...)
	if int64(cap(g.buf)) <= 2*s.groupBytes && len(s.groups)+len(s.spare) <= maxGroups {
		s.spare = append(s.spare, g)
	}
	s.room.Broadcast()
}

// forgetLocked lets go of groups that all cursors have acknowledged, while the
// disk does not take them.
func (s *Spool) forgetLocked() {
	for len(s.groups) > 0 && !s.storing && s.allHaveLocked(s.groups[0]) {
		g := s.groups[0]
		s.counters.released += g.last + 1 - g.base
		s.goneLocked(Span{g.base, g.last}, len(s.chapters) == 0)
		if s.durable == g.base-1 {
			s.durable = g.last
		}
		s.takenLocked()
	}
}

// allHaveLocked reports whether there are cursors and all have acknowledged a
// group.
func (s *Spool) allHaveLocked(g *group) bool {
	for _, p := range s.cursors {
		if !p.accounted.covers(g.base, g.last) {
			return false
		}
	}
	return len(s.cursors) > 0
}

// reserveLocked makes a further block of indexes usable.
func (s *Spool) reserveLocked() error {
	w := s.water
	w.clean = false
	w.reserved = s.next - 1 + reserveBlock
	return s.putWaterLocked(w)
}

// putWaterLocked brings the high-water mark up to date and makes it durable.
func (s *Spool) putWaterLocked(w highWater) error {
	w.unsynced = s.interval == SyncNever
	w.last, w.after, w.next = s.lastStoredLocked(), s.after, s.next
	if err := s.waterSlots.put(w.encode()); err != nil {
		s.counters.syncErrors++
		return fmt.Errorf("spool: writing the high-water mark: %w", err)
	}
	s.counters.syncs++
	s.water = w
	return nil
}

// lastStoredLocked is the last index that stands in a chapter, or stood in one
// that was removed on purpose.
func (s *Spool) lastStoredLocked() uint64 {
	gone := reach{s.water.removedTo, s.water.holes}
	last := gone.last()
	if n := len(s.chapters); n > 0 {
		last = max(last, s.chapters[n-1].last)
	}
	return last
}
