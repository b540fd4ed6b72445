package spool

import (
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/tidwall/wal"
)

// Pauses between attempts to store while the disk fails.
const (
	minPause = 100 * time.Millisecond
	maxPause = 30 * time.Second
)

// write stores full groups until Close.
func (s *Spool) write() {
	defer s.running.Done()
	var again <-chan time.Time
	pause := minPause
	for {
		select {
		case <-s.stop:
			return
		case <-s.full:
			if again != nil {
				continue // Nothing has changed since the disk failed.
			}
		case <-again:
		}
		s.waitForSync()
		again = nil
		if s.store(false) == nil {
			pause = minPause
			continue
		}
		again = time.After(pause)
		pause = min(2*pause, maxPause)
	}
}

// closeIdle closes the logs of finished chapters that need no sync of ours.
func (s *Spool) closeIdle() {
	for log := range s.idle {
		log.Close()
	}
}

// waitForSync returns when few enough finished chapters wait for their sync.
func (s *Spool) waitForSync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.unsynced > maxUnsynced && !s.closed {
		s.room.Wait()
	}
}

// store writes groups to the current chapter, or to new ones; if all is set,
// also the one that is being filled.
//
// After an error the log that gave it is abandoned, as tidwall/wal then has in
// memory what is not on disk: the chapter is cut back to what was written
// before, and the group, which is still whole, goes to a fresh chapter next
// time.
func (s *Spool) store(all bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.groups) > 0 {
		g := s.groups[0]
		if !all && s.unsynced > maxUnsynced {
			notify(s.full) // The writer comes back when there is room for a chapter.
			break
		}
		if g == s.filling {
			if !all {
				break
			}
			s.filling = nil
		}
		s.storing = true
		err := s.storeGroup(g)
		s.storing = false
		if err != nil {
			if s.failure == nil {
				s.failingSince = time.Now()
			}
			s.failure = err
			s.counters.writeErrors++
			s.room.Broadcast() // Append need not wait any more.
			notify(s.full)     // The writer tries again.
			if s.failing.due(err.Error()) {
				s.log.Error("entries stay in memory, as they cannot be stored", "dir", s.dir, "error", err)
			}
			return err
		}
		if s.failure != nil {
			s.log.Info("entries are stored again", "dir", s.dir, "after", time.Since(s.failingSince))
			s.failure = nil
			s.failing.over()
		}
		s.takenLocked()
	}
	return nil
}

// storeGroup writes one group. It is called with Spool.mu held and lets go of it
// meanwhile.
func (s *Spool) storeGroup(g *group) error {
	if s.current == nil {
		s.evictLocked(s.opts.ChapterBytes)
		if q := s.opts.Quota; q != nil {
			s.mu.Unlock()
			err := q.makeRoom(s)
			s.mu.Lock()
			if err != nil {
				return err
			}
		}
		ch, after := s.prepared, s.after
		s.prepared = nil
		s.mu.Unlock()
		ch, err := s.placeChapter(ch, g.base, after)
		s.mu.Lock()
		s.claimed = false
		if err != nil {
			return fmt.Errorf("spool: beginning a chapter: %w", err)
		}
		s.current = ch
		s.chapters = append(s.chapters, ch)
		notify(s.urgent) // The next one is prepared.
		if q := s.opts.Quota; q != nil {
			s.mu.Unlock()
			q.tight()
			s.mu.Lock()
		} else if s.handed != nil {
			notify(s.tight)
		}
	}
	ch := s.current
	size := g.bytes()
	s.mu.Unlock()
	s.batch.Write(ch.nextEntry, g.entry())
	err := s.fs.WriteBatch(ch.log, &s.batch, ch.segment())
	if err != nil || size > maxIdleBuffer {
		s.batch = wal.Batch{}
	}
	s.mu.Lock()
	if err != nil {
		s.abandonLocked(ch)
		return fmt.Errorf("spool: writing to %s: %w", ch.segment(), err)
	}
	ch.nextEntry++
	ch.size += size
	ch.last = g.last
	ch.times.add(g.times)
	s.bytes += size
	s.counters.segmentBytes += uint64(size)
	s.written.Add(uint64(size))
	if ch.size >= s.opts.ChapterBytes-s.opts.ChapterBytes/4 {
		s.finishLocked(ch)
	}
	return nil
}

// placeChapter puts a chapter in its place, which was prepared or is made now.
func (s *Spool) placeChapter(ch *chapter, base, after uint64) (_ *chapter, err error) {
	path := filepath.Join(s.chaptersDir(), chapterName(base, after))
	if ch != nil {
		if err := s.fs.Rename(ch.path, path); err == nil {
			ch.path = path
			ch.begin(base, after)
			return ch, nil
		}
		s.discard(ch)
	}
	if ch, err = createChapter(s.fs, path); err == nil {
		ch.begin(base, after)
	}
	return ch, err
}

// prepare makes the next chapter ahead of need, so that nobody waits for it. It
// is called by the syncing goroutine only.
func (s *Spool) prepare() {
	s.mu.Lock()
	wanted := s.prepared == nil && s.current != nil && s.failure == nil && canMove
	s.mu.Unlock()
	if !wanted {
		return
	}
	ch, err := createChapter(s.fs, s.nextDir())
	if err != nil {
		return // It will be tried when it is needed, and then complained about.
	}
	ch.named = ch.file.Sync() == nil && s.fs.SyncDir(ch.path) == nil
	s.mu.Lock()
	s.prepared = ch
	s.mu.Unlock()
}

// discard removes a chapter that was prepared and is not used.
func (s *Spool) discard(ch *chapter) {
	ch.closeLog()
	ch.closeFile()
	s.fs.Remove(ch.segment())
	s.fs.Remove(ch.path)
}

// finishLocked ends the current chapter; the syncing goroutine does the rest.
func (s *Spool) finishLocked(ch *chapter) {
	ch.done = true
	s.current = nil
	if s.interval == SyncNever && canMove {
		// Nobody waits for this chapter's sync, and closing its log does one. Where
		// that takes longer than the next chapters, the log is left to the garbage
		// collector, which closes its file without.
		if ch.log != nil {
			select {
			case s.idle <- ch.log:
			default:
			}
			ch.log = nil
		}
	} else {
		s.unsynced++
	}
	notify(s.urgent)
}

// canMove says that a directory can be moved and removed while a file in it is
// open.
const canMove = runtime.GOOS != "windows"

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
