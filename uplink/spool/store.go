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
	beside := s.besideLocked(g)
	if ch := s.current; ch != nil && ch.log == nil && !beside && isFull(ch.size, s.opts.ChapterBytes) {
		s.finishLocked(ch) // tidwall/wal would have to read all of it.
	}
	if s.current == nil {
		s.evictLocked(s.opts.ChapterBytes)
		most := s.largestChapter(s.bytes, s.opts.MaxBytes)
		if q := s.opts.Quota; q != nil {
			var err error
			s.mu.Unlock()
			most, err = q.makeRoom(s)
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
		s.claimed = 0
		if err != nil {
			return fmt.Errorf("spool: beginning a chapter: %w", err)
		}
		ch.most = most
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
	if beside {
		s.leaveLogLocked(ch)
	}
	log := ch.log
	s.mu.Unlock()
	var err error
	if beside {
		err = writeLarge(ch.file, g.stored(), ch.size)
	} else {
		log, err = s.writeSmall(ch, log, g)
	}
	s.mu.Lock()
	ch.log = log
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
	most := s.opts.ChapterBytes
	if beside {
		most = ch.most
	}
	if isFull(ch.size, most) {
		s.finishLocked(ch)
	}
	return nil
}

// besideLocked reports whether the next group is written beside tidwall/wal, in its
// format: what the library writes it copies twice and keeps in memory until the
// chapter is finished, which for a little now and then is as nothing. A small group
// behind a large one is often the rest of it.
func (s *Spool) besideLocked(g *group) bool {
	small, before := g.bytes() < s.groupBytes/4, s.small
	s.small = small
	return !small || !before && (s.current == nil || s.current.log == nil)
}

// largestChapter is how large a chapter may become that begins now, with large
// groups: they are none of tidwall/wal's memory, and to make a directory and a
// file costs as much as to write some hundred KiB. Where there are quotas, and so
// many bytes are used of one, they keep their grain; so does thinning, which has
// whole chapters in memory.
func (s *Spool) largestChapter(used, quota int64) int64 {
	large := max(s.opts.ChapterBytes, min(largeChapters*s.opts.ChapterBytes, largeChapterBytes))
	if s.handed != nil || quota > 0 && (large > quota/16 || used+large > quota-quota/4) {
		return s.opts.ChapterBytes
	}
	return large
}

// isFull reports whether a chapter is finished that has so many bytes.
func isFull(size, most int64) bool { return size >= most-most/4 }

// pieceBytes is how much is written at a time: larger pieces go into larger folios
// of the page cache, which took Linux 6.18 two to four times as long on ext4.
const pieceBytes = 64 << 10

// writeLarge writes in pieces that end where pages of the file do.
func writeLarge(f file, b []byte, at int64) error {
	for len(b) > 0 {
		n := int(min(int64(len(b)), pieceBytes-at%pieceBytes))
		if _, err := f.WriteAt(b[:n], at); err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// writeSmall has tidwall/wal write a group to a chapter, whose log is opened if
// it is nil. It returns the log, even where it fails.
func (s *Spool) writeSmall(ch *chapter, log *wal.Log, g *group) (_ *wal.Log, err error) {
	if log == nil {
		if log, err = ch.openLog(s.fs); err != nil {
			return nil, err
		}
	}
	s.batch.Write(ch.nextEntry, g.entry())
	if err := s.fs.WriteBatch(log, &s.batch, ch.segment()); err != nil {
		s.batch = wal.Batch{}
		return log, err
	}
	s.written.Add(uint64(g.bytes()))
	return log, nil
}

// leaveLogLocked closes the log of a chapter without waiting for the sync that the
// library adds to that.
func (s *Spool) leaveLogLocked(ch *chapter) {
	if log := ch.log; log != nil {
		ch.log = nil
		s.closing.Go(func() { log.Close() })
	}
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
	small := wanted && s.current.log != nil // as the next one's groups probably are
	s.mu.Unlock()
	if !wanted {
		return
	}
	ch, err := createChapter(s.fs, s.nextDir())
	if err == nil && small {
		if ch.log, err = ch.openLog(s.fs); err != nil {
			s.discard(ch)
		}
	}
	if err != nil {
		return // It will be tried when it is needed, and then complained about.
	}
	if s.interval != SyncNever { // else that is for whoever asks for it
		ch.named = ch.file.Sync() == nil && s.fs.SyncDir(ch.path) == nil
	}
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
		s.leaveLogLocked(ch) // Nobody waits for this chapter's sync.
	} else {
		ch.waits = true
		s.unsynced++
	}
	notify(s.urgent)
}

// settledLocked notes that a finished chapter waits no more for its sync.
func (s *Spool) settledLocked(ch *chapter) {
	if ch.waits {
		ch.waits = false
		s.unsynced--
		s.room.Broadcast()
	}
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
