package spool

import (
	"cmp"
	"fmt"
	"time"
)

// run makes things durable until Close. The timer starts with the first change
// after a sync, so an idle spool lets the disk sleep.
func (s *Spool) run() {
	defer s.running.Done()
	pause := minPause
	var due <-chan time.Time
	for {
		var err error
		select {
		case <-s.stop:
			return
		case <-s.dirty:
			if due == nil && s.interval > SyncAlways {
				due = time.After(s.interval)
			}
			continue
		case <-due:
			due = nil
			s.marked.Store(false)
			err = s.sync(true)
		case <-s.urgent:
			err = s.sync(false)
			s.prepare()
		}
		if err == nil {
			s.complaint.over()
			pause = minPause
			continue
		}
		if s.complaint.due(err.Error()) {
			s.log.Error("the spool cannot make entries durable and keeps trying", "dir", s.dir, "error", err)
		}
		if due == nil {
			due = time.After(max(s.interval, pause))
			pause = min(2*pause, maxPause)
		}
	}
}

// Sync makes everything that was appended and acknowledged durable.
func (s *Spool) Sync() error { return s.sync(true) }

// sync makes finished chapters, cursors and removals durable and, if all is
// set, the batch and the current chapter. It goes as far as it can and returns
// the first error.
//
// Entries come before the cursors that passed them, and both before a removal,
// so what is on disk at any instant is a state that was true once.
func (s *Spool) sync(all bool) (err error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if s.gone {
		return ErrClosed
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.syncFailure == nil {
			s.syncFailedSince = time.Now()
		}
		if err != nil || all {
			s.syncFailure = err
		}
	}()
	if e := s.syncChapters(all); e != nil {
		err = e
	}
	e := s.syncMarks()
	if s.dropBallast(e) {
		e = s.syncMarks()
	}
	if err == nil {
		err = e
	}
	if err == nil && all {
		s.makeBallast(time.Now())
	}
	return err
}

// syncMarks makes cursors and removals durable.
func (s *Spool) syncMarks() error {
	return cmp.Or(s.syncCursors(), s.writeMeta(plainVersion), s.removeChapters())
}

func (s *Spool) syncChapters(all bool) (err error) {
	type job struct {
		ch   *chapter
		size int64
		last uint64
		done bool
	}
	var jobs []job
	if all || s.interval == SyncNever && s.ackedAhead() {
		err = s.store(true)
	}
	s.mu.Lock()
	if all {
		if !s.water.clean && s.water.reserved < s.next+reserveBlock/2 {
			// Ahead of need, so that Append seldom has to wait for it.
			if e := s.reserveLocked(); err == nil {
				err = e
			}
		}
	}
	for _, ch := range s.chapters {
		if s.interval == SyncNever && !all && ch.done {
			ch.closeFile()
		}
		if !ch.durable() && (all || ch.done && s.interval != SyncNever) {
			jobs = append(jobs, job{ch, ch.size, ch.last, ch.done})
		}
	}
	flushed := s.flushed
	if err != nil {
		flushed = s.durable // What waits in memory is not durable.
	}
	s.mu.Unlock()

	good := true
	for _, j := range jobs {
		if e := s.syncChapter(j.ch, j.size, j.done); e != nil {
			good = false
			if err == nil {
				err = fmt.Errorf("spool: syncing %s: %w", j.ch.segment(), e)
			}
		}
		if good {
			s.mu.Lock()
			s.durable = max(s.durable, j.last)
			s.mu.Unlock()
		}
	}
	if good && all {
		s.mu.Lock()
		s.durable = max(s.durable, flushed)
		s.mu.Unlock()
	}
	return err
}

// ackedAhead reports whether a cursor has acknowledged what is in memory only.
func (s *Spool) ackedAhead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.cursors {
		if p.dirty && p.accounted.last() > s.flushed {
			return true
		}
	}
	return false
}

// syncChapter makes one chapter durable, and closes it if it is done.
func (s *Spool) syncChapter(ch *chapter, size int64, done bool) error {
	lost, err := ch.sync(s.fs, size)
	s.mu.Lock()
	s.counters.syncs++
	if ch.removed {
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	if err != nil {
		s.writing.Lock()
		s.mu.Lock()
		s.counters.syncErrors++
		if ch == s.current {
			s.finishLocked(ch)
		}
		done, size = true, ch.size
		s.mu.Unlock()
		s.writing.Unlock()
	}
	if err != nil && ch.suspect {
		lost, err = ch.sync(s.fs, size)
	}
	s.mu.Lock()
	for _, l := range lost {
		s.loseLocked(ch, l, "gone after a failed sync")
	}
	if done {
		s.leaveLogLocked(ch)
		s.settledLocked(ch)
	}
	s.mu.Unlock()
	if done && err == nil {
		ch.closeFile()
	}
	return err
}

// syncCursors writes the cursors that have changed, but for those that are ahead
// of what would be found after a crash.
func (s *Spool) syncCursors() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		s.forgetLocked()
	}
	written := s.durable
	if s.interval == SyncNever {
		written = s.flushed
	}
	for _, p := range s.cursors {
		if !p.dirty || p.accounted.last() > max(written, p.persisted.last()) {
			continue
		}
		value, accounted := p.encode(), p.accounted.clone()
		p.dirty = false
		s.mu.Unlock()
		e := p.slots.put(value)
		s.mu.Lock()
		s.counters.syncs++
		if e == nil {
			p.persisted = accounted
			continue
		}
		p.dirty = true
		s.counters.syncErrors++
		if err == nil {
			err = fmt.Errorf("spool: writing cursor %s: %w", p.name, e)
		}
	}
	return err
}
