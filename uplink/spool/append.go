package spool

import (
	"fmt"

	"github.com/tidwall/wal"
)

// Append adds an entry and returns its index. Cursors see it at once; it is
// durable with the next sync. The payload may be empty and is copied.
//
// An index of 0 says that the entry was not taken, and may be tried again. With
// SyncAlways, an index and an error say that it was taken but is not durable
// yet. Append waits where the disk is far behind.
func (s *Spool) Append(payload []byte) (index uint64, err error) {
	if len(payload) > MaxEntry {
		return 0, fmt.Errorf("spool: an entry of %d bytes is too large, %d are allowed", len(payload), MaxEntry)
	}
	s.mu.Lock()
	index, err = s.appendLocked(payload)
	s.mu.Unlock()
	if err == nil && s.interval == SyncAlways {
		err = s.Sync()
	}
	return index, err
}

func (s *Spool) appendLocked(payload []byte) (uint64, error) {
	for s.unsynced > maxUnsynced && !s.closed {
		s.room.Wait()
	}
	if s.closed {
		return 0, ErrClosed
	}
	if s.ended {
		return 0, ErrEnd
	}
	size := recordSize(len(payload))
	if s.batched > 0 && s.batched+size > min(batchBytes, s.opts.ChapterBytes) {
		if err := s.flushLocked(); err != nil {
			return 0, err
		}
	}
	if s.next > s.water.reserved {
		if err := s.reserveLocked(); err != nil {
			return 0, err
		}
	}
	index := s.next
	s.frame = appendFrame(s.frame[:0], index, payload)
	s.batch.Write(index, s.frame)
	s.batched += size
	s.next++
	s.counters.appended++
	s.counters.payloadBytes += uint64(len(payload))
	s.wakeLocked()
	s.markDirty()
	return index, nil
}

// flushLocked writes the batch to the current chapter, or to a new one.
//
// After an error the log that gave it is abandoned, as tidwall/wal then has in
// memory what is not on disk: the chapter is cut back to what was written
// before, and the batch, which is still whole, goes to a fresh chapter next
// time.
func (s *Spool) flushLocked() error {
	if s.batched == 0 {
		return nil
	}
	if s.current == nil {
		s.evictLocked(s.opts.ChapterBytes)
		ch, err := createChapter(s.fs, s.chaptersDir(), s.flushed+1, s.after)
		if err != nil {
			s.counters.writeErrors++
			return fmt.Errorf("spool: beginning a chapter: %w", err)
		}
		s.current = ch
		s.chapters = append(s.chapters, ch)
	}
	ch := s.current
	if err := ch.log.WriteBatch(&s.batch); err != nil {
		s.counters.writeErrors++
		s.abandonLocked(ch)
		return fmt.Errorf("spool: writing to %s: %w", ch.segment(), err)
	}
	ch.size += s.batched
	ch.last = s.next - 1
	s.bytes += s.batched
	s.counters.segmentBytes += uint64(s.batched)
	if s.batched > maxIdleBuffer {
		s.batch, s.frame = wal.Batch{}, nil
	}
	s.batched = 0
	s.flushed = ch.last
	s.after = ch.last
	if ch.size >= s.opts.ChapterBytes {
		s.finishLocked(ch)
	}
	return nil
}

// finishLocked ends the current chapter; the syncing goroutine does the rest.
func (s *Spool) finishLocked(ch *chapter) {
	ch.done = true
	s.current = nil
	s.unsynced++
	notify(s.urgent)
}

// abandonLocked ends the current chapter after a write error.
func (s *Spool) abandonLocked(ch *chapter) {
	ch.closeLog()
	ch.done = true
	s.current = nil
	if ch.size > 0 {
		// Should this fail, the chapter still ends where the next one begins.
		ch.file.Truncate(ch.size)
		return
	}
	ch.removed = true
	s.chapters = s.chapters[:len(s.chapters)-1]
	ch.file.Close()
	s.fs.Remove(ch.segment())
	s.fs.Remove(ch.path)
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
