package spool

import (
	"fmt"
	"path/filepath"
)

// removal is a chapter to be taken away.
type removal struct {
	ch    *chapter
	to    string // "trash" or "quarantine"
	moved string // where it is by now, if it has left its place
}

// removeLocked takes chapter i out of the spool. Its files go with the next
// sync.
func (s *Spool) removeLocked(i int, to string) {
	ch := s.chapters[i]
	if ch.damaged {
		to = "quarantine"
	}
	ch.removed = true
	s.bytes -= ch.size
	s.chapters = append(s.chapters[:i:i], s.chapters[i+1:]...)
	s.trash = append(s.trash, &removal{ch: ch, to: to})

	s.goneLocked(Span{ch.after + 1, ch.last}, i == 0)
}

// goneLocked notes a span of indexes as removed on purpose; first says that
// nothing stands before it.
func (s *Spool) goneLocked(span Span, first bool) {
	if first {
		span.From = 1
	}
	gone := reach{s.water.removedTo, s.water.holes}
	gone = gone.with(span)
	// A hole with no chapter before it is none.
	for oldest := s.oldestLocked(); len(gone.islands) > 0 && gone.islands[0].To < oldest; {
		gone.floor, gone.islands = gone.islands[0].To, gone.islands[1:]
	}
	if gone.floor > span.To {
		for _, p := range s.cursors {
			s.accountLocked(p, Span{1, gone.floor}, true) // before it forgets the hole
		}
	}
	s.water.removedTo, s.water.holes = gone.floor, gone.islands
}

// evictLocked drops the oldest chapters until so many bytes more fit into the
// quota. What a cursor has not acknowledged counts as evicted.
func (s *Spool) evictLocked(more int64) {
	if s.opts.MaxBytes <= 0 {
		return
	}
	for len(s.chapters) > 0 && s.chapters[0] != s.current && !s.chapters[0].busy && s.bytes+more > s.opts.MaxBytes {
		s.evictOldestLocked()
	}
}

func (s *Spool) evictOldestLocked() {
	ch := s.chapters[0]
	// What any cursor has not acknowledged.
	unread := reach{floor: ch.base - 1}
	if len(s.cursors) == 0 {
		unread = unread.with(Span{ch.base, ch.last})
	}
	for _, p := range s.cursors {
		for _, gap := range p.accounted.gaps(nil, ch.base, ch.last) {
			unread = unread.with(gap)
		}
	}
	var entries uint64
	if unread.floor >= ch.base {
		entries = s.tallyLocked(ch.base, unread.floor).entries
	}
	for _, u := range unread.islands {
		entries += s.tallyLocked(u.From, u.To).entries
	}
	for _, p := range s.cursors {
		s.accountLocked(p, Span{1, ch.last}, true)
	}
	if entries > 0 {
		if ch.times == (timeRange{}) {
			ch.times = ch.readTimes(s.fs)
		}
		times := timeRange{s.water.evictedFrom, s.water.evictedUntil}
		times.add(ch.times)
		s.water.evictedFrom, s.water.evictedUntil = times.from, times.until
		s.water.evictedTo = ch.last
		s.water.evictedEntries += entries
		s.water.evictedBytes += uint64(ch.size)
		if s.evicting.due("") {
			s.log.Warn("the spool is full: evicting the oldest entries", "dir", s.dir, "from", ch.base, "to", ch.last, "entries", entries, "bytes", ch.size)
		}
	}
	s.removeLocked(0, "trash")
}

// releaseLocked drops the chapters that all cursors have passed durably.
func (s *Spool) releaseLocked() {
	if len(s.cursors) == 0 {
		return
	}
	for i := 0; i < len(s.chapters) && s.chapters[i].done; {
		ch := s.chapters[i]
		if i > 0 && len(s.water.holes) >= maxHoles || !s.passedLocked(ch) {
			if !s.islandsLocked() {
				return // Nothing behind it can have been passed.
			}
			i++
			continue
		}
		s.counters.released += ch.entries()
		s.removeLocked(i, "trash")
	}
}

// passedLocked reports whether all cursors have durably acknowledged a chapter,
// and the indexes set aside before it, for which nothing else stands.
func (s *Spool) passedLocked(ch *chapter) bool {
	for _, p := range s.cursors {
		if !p.persisted.covers(ch.after+1, ch.last) {
			return false
		}
	}
	return true
}

func (s *Spool) islandsLocked() bool {
	for _, p := range s.cursors {
		if len(p.persisted.islands) > 0 {
			return true
		}
	}
	return false
}

// removeChapters takes removed chapters off the disk. The high-water mark says
// so first: whatever a crash leaves of them is known to be of no use then, and
// no directory needs a sync.
func (s *Spool) removeChapters() (err error) {
	s.mu.Lock()
	s.releaseLocked()
	trash := s.trash
	if len(trash) == 0 {
		s.mu.Unlock()
		return nil
	}
	s.trash = nil
	err = s.putWaterLocked(s.water)
	s.mu.Unlock()

	var left []*removal
	for _, r := range trash {
		if err == nil {
			err = s.remove(r)
		}
		if err != nil {
			left = append(left, r)
		}
	}
	s.mu.Lock()
	s.trash = append(left, s.trash...)
	s.mu.Unlock()
	return err
}

func (s *Spool) remove(r *removal) (err error) {
	ch := r.ch
	s.mu.Lock()
	s.settledLocked(ch)
	ch.closeLog()
	s.mu.Unlock()
	ch.closeFile()
	if r.moved == "" {
		if r.moved, err = s.moveAway(ch.path, r.to); err != nil {
			return fmt.Errorf("spool: removing a chapter: %w", err)
		}
		if r.to == "quarantine" {
			s.mu.Lock()
			s.water.quarantined += uint64(ch.size)
			s.mu.Unlock()
			s.boundQuarantine()
		}
	}
	if r.to == "trash" {
		return s.fs.RemoveAll(r.moved)
	}
	return nil
}

// moveAway renames a file or directory into the trash or the quarantine, under
// a name that is free there.
func (s *Spool) moveAway(path, to string) (string, error) {
	taken := map[string]bool{}
	names, err := s.fs.ReadDir(filepath.Join(s.dir, to))
	if err != nil {
		return "", err
	}
	for _, n := range names {
		taken[n.Name()] = true
	}
	name := filepath.Base(path)
	for i := 1; taken[name]; i++ {
		name = fmt.Sprintf("%s.%d", filepath.Base(path), i)
	}
	moved := filepath.Join(s.dir, to, name)
	if err := s.fs.Rename(path, moved); err != nil {
		return "", err
	}
	return moved, nil
}
