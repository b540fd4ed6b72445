package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// recoverChapters finds the chapters and repairs the newest one. It returns the
// highest index that was certainly given out, as far as chapters tell.
func (s *Spool) recoverChapters() (used uint64, err error) {
	found, _, err := listChapters(s.fs, s.chaptersDir())
	if err != nil {
		return 0, err
	}
	found, old := supersede(found)
	for _, ch := range old {
		s.trash = append(s.trash, &removal{ch: ch, to: "trash"})
	}
	found = slices.DeleteFunc(found, func(ch *chapter) bool {
		_, hole := s.water.hole(ch.base)
		if hole {
			// A crash came between the high-water mark and the removal.
			s.trash = append(s.trash, &removal{ch: ch, to: "trash"})
		}
		return hole
	})
	joinChapters(found, s.water.holes)
	// From the newest to the oldest, until one has entries.
	for len(found) > 0 {
		ch := found[len(found)-1]
		used = max(used, ch.after, s.water.removedTo)
		seen, err := s.repairNewest(ch)
		if err != nil {
			return 0, err
		}
		if ch.last >= ch.base {
			used = max(used, seen)
			break
		}
		if ch.after == ch.base-1 {
			used = max(used, seen)
		}
		// Otherwise nothing would tell the indexes set aside before the chapter
		// from those torn in it any more; all of them count as set aside.
		found = found[:len(found)-1]
	}
	for i, ch := range found {
		newest := i == len(found)-1
		switch {
		case ch.last <= s.water.removedTo:
			// A crash came between the high-water mark and the removal.
			s.trash = append(s.trash, &removal{ch: ch, to: "trash"})
			continue
		case ch.unreadable != nil && ch.last >= ch.base:
			// Reading it is tried again when a cursor comes to it.
			s.finding(ch, -1, cause(ch.unreadable))
			ch.size = 0
		case !newest && ch.last < ch.base, !newest && ch.size <= 0:
			// Nothing is in it, or what is in it stands in the next one as well.
			if ch.last >= ch.base {
				s.finding(ch, -1, "the segment is missing or empty")
				s.report.Missing = append(s.report.Missing, Span{ch.base, ch.last})
				s.counters.missing += ch.last - ch.base + 1
			}
			ch.size = max(ch.size, 0)
			s.trash = append(s.trash, &removal{ch: ch, to: "quarantine"})
			continue
		}
		s.chapters = append(s.chapters, ch)
		s.bytes += ch.size
	}
	return used, nil
}

// recoverNext sees to a chapter that was prepared. It is empty, unless the power
// went before it was known under its place's name: then it goes there now.
func (s *Spool) recoverNext() {
	ch := &chapter{path: s.nextDir(), name: segmentName(1)}
	data, err := readFile(s.fs, ch.segment(), maxChapterBytes)
	var first uint64
	if err == nil {
		scanSegment(data, 1, maxIndex, func(_ int64, rec record) bool {
			first = rec.index
			return false
		})
	}
	if first > 0 {
		place := filepath.Join(s.chaptersDir(), chapterName(first, first-1))
		if s.fs.Rename(ch.path, place) == nil {
			return // The sync at the end of Open covers the new name.
		}
	}
	if _, e := s.fs.ReadDir(ch.path); errors.Is(e, fs.ErrNotExist) {
		return
	}
	to := "trash"
	if err == nil && len(data) > 0 {
		to = "quarantine"
	}
	if _, err := s.moveAway(ch.path, to); err != nil {
		s.report.Findings = append(s.report.Findings, Finding{File: "next", Offset: -1, Cause: "it could not be moved away: " + err.Error()})
	}
}

var errNoFile = errors.New("the segment is no file")

// listChapters finds the chapters below dir, ascending, and the names of what
// is no chapter. Their last indexes are not known yet, and base-1.
func listChapters(fsys fileSystem, dir string) (chapters []*chapter, strange []string, err error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		named, ok := parseChapterName(e.Name())
		if !ok || !e.IsDir() {
			strange = append(strange, e.Name())
			continue
		}
		ch := &named
		ch.path, ch.last, ch.size, ch.done, ch.named, ch.placed = filepath.Join(dir, e.Name()), ch.base-1, -1, true, true, true
		// Up to version 1 a segment was named after its first index.
		ch.name = segmentName(1)
		f, err := fsys.OpenFile(ch.segment(), os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			ch.name = segmentName(ch.base)
			f, err = fsys.OpenFile(ch.segment(), os.O_RDONLY, 0)
		}
		if err == nil {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
				ch.size = info.Size()
				ch.synced = ch.size
			} else {
				ch.unreadable = cmp.Or(err, errNoFile)
			}
			if ch.step > 0 && ch.unreadable == nil {
				ch.readTable(f)
			}
			f.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			ch.unreadable = err
		}
		chapters = append(chapters, ch)
	}
	slices.SortFunc(chapters, func(a, b *chapter) int {
		return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.after, b.after), cmp.Compare(a.step, b.step))
	})
	return chapters, strange, nil
}

// joinChapters sets the last index of all chapters but the newest: up to the
// next one, or up to where others were removed.
func joinChapters(chapters []*chapter, holes []Span) {
	for i := 1; i < len(chapters); i++ {
		ch := chapters[i-1]
		ch.last = chapters[i].after
		for _, h := range holes {
			if h.From > ch.base {
				ch.last = min(ch.last, h.From-1)
				break
			}
		}
	}
}

// repairNewest reads a chapter, sets aside what is damaged in it, and leaves
// only whole records; it returns the highest index in sight. A chapter without
// any entry is moved away, and its last index is base-1.
func (s *Spool) repairNewest(ch *chapter) (seen uint64, err error) {
	var data []byte
	if ch.size > 0 || ch.unreadable != nil {
		data, ch.unreadable = readFile(s.fs, ch.segment(), maxChapterBytes+MaxEntry)
	}
	if ch.unreadable != nil && s.water.last >= ch.base {
		ch.last = s.water.last // It stays, and is tried again when a cursor comes to it.
		return ch.last, nil
	}
	if ch.unreadable != nil {
		s.finding(ch, -1, cause(ch.unreadable))
	}
	found := scanSegment(data, ch.base, maxIndex, nil)
	for _, d := range found.damage {
		s.finding(ch, d.offset, d.cause)
		s.report.Findings[len(s.report.Findings)-1].Tail = d.offset >= found.end
	}
	if found.entries == 0 {
		ch.last = ch.base - 1
		to := "quarantine"
		if len(data) == 0 && ch.unreadable == nil {
			to = "trash" // It was made and then not written to.
		}
		if _, err := s.moveAway(ch.path, to); err != nil {
			s.finding(ch, -1, "it could not be moved away: "+err.Error())
			return found.seen, nil
		}
		s.report.BytesQuarantined += int64(len(data))
		return found.seen, nil
	}
	ch.last, ch.size, ch.lost = found.last, int64(len(data)), found.lost
	ch.times, ch.table = found.times, found.table
	if found.groups >= 0 {
		ch.nextEntry = ch.firstEntry() + uint64(found.groups)
	}
	if len(found.damage) > 0 {
		s.repairSegment(ch, data, found)
	}
	return found.seen, nil
}

// repairSegment sets the damaged parts of a segment aside and takes them out:
// from the end by cutting, from the middle by writing a new segment. Should
// that fail, the chapter is as readable as before.
func (s *Spool) repairSegment(ch *chapter, data []byte, found segment) {
	for _, l := range found.lost {
		s.report.Missing = append(s.report.Missing, l)
		s.counters.missing += l.Len()
	}
	var err error
	var kept []byte
	at := int64(0)
	for _, d := range found.damage {
		name := fmt.Sprintf("%s-at-%d", filepath.Base(ch.path), d.offset)
		if e := s.setAside(name, data[d.offset:d.end]); err == nil {
			err = e
		}
		kept = append(kept, data[at:d.offset]...)
		at = d.end
	}
	kept = append(kept, data[at:]...)
	if err == nil {
		if tail := found.damage[0].offset == found.end; tail {
			err = s.cut(ch, found.end)
		} else {
			err = writeFile(s.fs, ch.segment(), kept)
		}
	}
	if err != nil {
		ch.damaged = true
		s.finding(ch, -1, "it could not be repaired: "+err.Error())
		return
	}
	ch.size = int64(len(kept))
}

func (s *Spool) cut(ch *chapter, size int64) error {
	f, err := s.fs.OpenFile(ch.segment(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}

// resumeChapter prepares what an unclean stop may have left unsynced, and goes
// on with the newest chapter if it is in order and the indexes continue.
func (s *Spool) resumeChapter() {
	n := len(s.chapters)
	if n == 0 {
		return
	}
	if !s.water.clean {
		first := 0
		if !s.water.unsynced {
			first = max(0, n-maxUnsynced-4)
		}
		for _, ch := range s.chapters[first:] {
			ch.named, ch.placed, ch.synced = false, false, 0
		}
	}
	ch := s.chapters[n-1]
	files, err := s.fs.ReadDir(ch.path)
	if err != nil || len(files) != 1 || ch.step > 0 || ch.nextEntry == 0 || ch.damaged || len(ch.lost) > 0 || ch.last+1 != s.next || ch.size >= s.opts.ChapterBytes {
		return
	}
	if ch.file == nil {
		if ch.file, err = s.fs.OpenFile(ch.segment(), os.O_RDWR, 0); err != nil {
			ch.file = nil
			return
		}
	}
	if ch.log, err = ch.openLog(s.fs); err != nil {
		s.finding(ch, -1, "it is not continued: "+err.Error())
		return
	}
	ch.done, ch.most = false, s.opts.ChapterBytes
	s.current = ch
}

func (s *Spool) finding(ch *chapter, offset int64, cause string) {
	s.report.Findings = append(s.report.Findings, Finding{File: chapterFile(ch), Offset: offset, Cause: cause})
}

// chapterFile is the segment's name below the spool's directory.
func chapterFile(ch *chapter) string {
	return filepath.Join("chapters", filepath.Base(ch.path), ch.name)
}
