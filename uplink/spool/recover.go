package spool

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// Report says what Open found.
type Report struct {
	Created bool // the directory held no spool
	Unclean bool // the spool was not closed in order the last time

	// Entries is the number of readable entries. Only the newest chapter is read
	// for it; what is wrong with older ones shows when they are read.
	Entries uint64
	// Missing are indexes of entries that are newly found to be gone.
	Missing []Span
	// Skipped are indexes that were set aside before a crash. They are not used,
	// lest two entries ever have the same one.
	Skipped []Span
	// BytesQuarantined were damaged and are now in the folder quarantine.
	BytesQuarantined int64
	Findings         []Finding
}

// Finding is something on disk that is not as it was written.
type Finding struct {
	File   string // below the spool's directory
	Offset int64  // -1 where the file as a whole is meant
	Cause  string
	// Tail says that it is the end of the newest chapter. A crash can leave such
	// a tail behind; while the spool is in use, it may be just being written.
	Tail bool
}

func (f Finding) String() string {
	if f.Offset < 0 {
		return f.File + ": " + f.Cause
	}
	return fmt.Sprintf("%s: offset %d: %s", f.File, f.Offset, f.Cause)
}

// LogValue writes a Finding as one string.
func (f Finding) LogValue() slog.Value { return slog.StringValue(f.String()) }

// recover brings the directory into a state to go on from, and the Spool with
// it. It is the only place that judges what is on disk, and it changes nothing
// before it has the lock and knows that the format is its own.
func (s *Spool) recover() error {
	if err := os.MkdirAll(s.dir, dirMode); err != nil {
		return err
	}
	if err := s.fs.SyncDir(filepath.Dir(s.dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	var err error
	if s.lock, err = takeLock(filepath.Join(s.dir, "LOCK")); err != nil {
		return err
	}
	known, err := s.recoverMeta()
	if err != nil {
		return err
	}
	for _, dir := range []string{s.chaptersDir(), s.cursorsDir(), s.quarantineDir(), s.trashDir()} {
		if err := ensureDir(s.fs, dir); err != nil {
			return err
		}
	}
	// What a crash left in the trash was to be removed anyway.
	if left, err := s.fs.ReadDir(s.trashDir()); err == nil {
		for _, e := range left {
			s.fs.RemoveAll(filepath.Join(s.trashDir(), e.Name()))
		}
	}
	water, intact, err := s.recoverWater()
	if err != nil {
		return err
	}
	s.water = water
	acked, err := s.recoverCursors()
	if err != nil {
		return err
	}
	used, err := s.recoverChapters()
	if err != nil {
		return err
	}

	used = max(used, acked, water.after)
	fresh := !intact && !known && used == 0
	switch {
	case fresh:
		s.next = 1
	case !intact:
		// Nobody knows which indexes were given out behind those in sight.
		s.next = used + reserveBlock + 1
		known = false
	case water.clean && used < water.next:
		s.next = water.next
	default:
		s.next = max(used, water.reserved) + 1
	}
	s.report.Created = fresh
	s.report.Unclean = !fresh && !water.clean
	s.after, s.flushed = used, s.next-1
	stored := s.lastStoredLocked()
	s.newlyMissing(stored, used, water)
	if s.next > used+1 && !(water.clean && intact) {
		s.report.Skipped = append(s.report.Skipped, Span{used + 1, s.next - 1})
	}
	for _, p := range s.cursors {
		if p.start == 0 {
			p.begin(s.oldestLocked())
			p.dirty = true
		}
	}
	s.resumeChapter()
	for _, ch := range s.chapters {
		s.report.Entries += ch.entries()
	}
	if w := s.water; !intact || !w.clean || w.last != stored || w.after != used || w.next != s.next || s.report.BytesQuarantined > 0 {
		w.clean, w.reserved = true, s.next-1
		w.quarantined += uint64(s.report.BytesQuarantined)
		if err := s.putWaterLocked(w); err != nil {
			return err
		}
	}
	// The file meta comes after the high-water mark: one without the other tells
	// that the mark was lost.
	if !known {
		s.meta = newMeta()
		if err := writeFile(s.fs, filepath.Join(s.dir, "meta"), s.meta.encode()); err != nil {
			return err
		}
	}
	for _, f := range s.report.Findings {
		s.log.Warn("the spool was damaged and is repaired", "dir", s.dir, "finding", f)
	}
	for _, m := range s.report.Missing {
		s.log.Warn("entries are lost", "dir", s.dir, "from", m.From, "to", m.To, "entries", m.Len())
	}
	// After a crash of the program alone, entries may stand in files that were
	// never synced.
	if err := s.sync(true); err != nil {
		s.log.Error("the spool cannot make entries durable and keeps trying", "dir", s.dir, "error", err)
		s.markDirty()
	}
	return nil
}

// newlyMissing reports the used indexes behind the last stored one that the
// high-water mark did not know to be missing.
func (s *Spool) newlyMissing(stored, used uint64, water highWater) {
	miss := func(from, to uint64) {
		if from <= to {
			s.report.Missing = append(s.report.Missing, Span{from, to})
		}
	}
	if knownFrom, knownTo := water.last+1, water.after; knownFrom <= knownTo && knownFrom > stored && knownTo <= used {
		miss(stored+1, knownFrom-1)
		miss(knownTo+1, used)
	} else {
		miss(stored+1, used)
	}
	for _, m := range s.report.Missing {
		s.counters.missing += m.Len()
	}
}

// recoverMeta reads the file meta and reports whether there was a good one.
func (s *Spool) recoverMeta() (known bool, err error) {
	name := filepath.Join(s.dir, "meta")
	s.meta, err = readMeta(s.fs, name)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, errDamaged):
		if err := ensureDir(s.fs, s.quarantineDir()); err != nil {
			return false, err
		}
		s.setAsideFile("meta")
		return false, nil
	}
	return false, err
}

// recoverWater reads the high-water mark and opens it for writing.
func (s *Spool) recoverWater() (w highWater, intact bool, err error) {
	name := filepath.Join(s.dir, "high-water")
	value, write, err := readSlots(s.fs, name)
	if err == nil {
		w, err = parseHighWater(value)
	}
	switch {
	case err == nil:
		intact = true
	case errors.Is(err, errDamaged):
		s.setAsideFile("high-water")
		w, write = highWater{next: 1}, 0
	case errors.Is(err, fs.ErrNotExist):
		w = highWater{next: 1}
	default:
		return w, false, err
	}
	s.waterSlots, err = openSlots(s.fs, name, write)
	return w, intact, err
}

// recoverCursors reads all cursors and returns the highest index that one has
// acknowledged. A damaged one has no start yet.
func (s *Spool) recoverCursors() (acked uint64, err error) {
	files, err := s.fs.ReadDir(s.cursorsDir())
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		if !validName(f.Name()) || !f.Type().IsRegular() {
			continue
		}
		name := filepath.Join(s.cursorsDir(), f.Name())
		p := &position{name: f.Name(), wake: make(chan struct{}, 1)}
		value, write, err := readSlots(s.fs, name)
		if err == nil {
			err = p.decode(value)
		}
		if errors.Is(err, errDamaged) {
			s.setAsideFile(filepath.Join("cursors", f.Name()))
			*p, write, err = position{name: f.Name(), wake: p.wake}, 0, nil
		}
		if err == nil {
			p.slots, err = openSlots(s.fs, name, write)
		}
		if err != nil {
			return 0, err
		}
		s.cursors[p.name] = p
		acked = max(acked, p.accounted)
	}
	return acked, nil
}

// recoverChapters finds the chapters and repairs the newest one. It returns the
// highest index that was certainly given out, as far as chapters tell.
func (s *Spool) recoverChapters() (used uint64, err error) {
	found, _, err := listChapters(s.fs, s.chaptersDir())
	if err != nil {
		return 0, err
	}
	// From the newest to the oldest, until one has entries.
	for len(found) > 0 {
		ch := found[len(found)-1]
		used = max(used, ch.after, s.water.removedTo)
		seen, err := s.repairNewest(ch)
		if err != nil {
			return 0, err
		}
		used = max(used, seen)
		if ch.last >= ch.base {
			break
		}
		found = found[:len(found)-1]
	}
	for i, ch := range found {
		newest := i == len(found)-1
		switch {
		case ch.last <= s.water.removedTo:
			// A crash came between the high-water mark and the removal.
			s.trash = append(s.trash, &removal{ch: ch, to: "trash"})
			continue
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

// listChapters finds the chapters below dir, ascending, and the names of what
// is no chapter. The last index of the newest is not known yet, and base-1.
func listChapters(fsys fileSystem, dir string) (chapters []*chapter, strange []string, err error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		base, after, ok := parseChapterName(e.Name())
		if !ok || !e.IsDir() {
			strange = append(strange, e.Name())
			continue
		}
		ch := &chapter{path: filepath.Join(dir, e.Name()), base: base, after: after, last: base - 1, size: -1, done: true, named: true}
		if f, err := fsys.OpenFile(ch.segment(), os.O_RDONLY, 0); err == nil {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
				ch.size = info.Size()
				ch.synced = ch.size
			}
			f.Close()
		} else if errors.Is(err, fs.ErrPermission) {
			return nil, nil, err
		}
		chapters = append(chapters, ch)
	}
	slices.SortFunc(chapters, func(a, b *chapter) int {
		return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.after, b.after))
	})
	for i := 1; i < len(chapters); i++ {
		chapters[i-1].last = chapters[i].after
	}
	return chapters, strange, nil
}

// repairNewest reads a chapter, sets aside what is damaged in it, and leaves
// only whole records; it returns the highest index in sight. A chapter without
// any entry is moved away, and its last index is base-1.
func (s *Spool) repairNewest(ch *chapter) (seen uint64, err error) {
	var data []byte
	if ch.size > 0 {
		if data, err = readFile(s.fs, ch.segment(), ch.size); err != nil {
			return 0, err
		}
	}
	found := scanSegment(data, ch.base, maxIndex, nil)
	for _, d := range found.damage {
		s.finding(ch, d.offset, d.cause)
		s.report.Findings[len(s.report.Findings)-1].Tail = d.offset >= found.end
	}
	if found.entries == 0 {
		ch.last = ch.base - 1
		to := "quarantine"
		if len(data) == 0 {
			to = "trash" // It was made and then not written to.
		}
		if _, err := s.moveAway(ch.path, to); err != nil {
			s.finding(ch, -1, "it could not be moved away: "+err.Error())
			return found.seen, nil
		}
		s.report.BytesQuarantined += int64(len(data))
		return found.seen, s.fs.SyncDir(s.chaptersDir())
	}
	ch.last, ch.size, ch.lost = found.last, int64(len(data)), found.lost
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
		for _, ch := range s.chapters[max(0, n-maxUnsynced-3):] {
			if f, err := s.fs.OpenFile(ch.segment(), os.O_RDWR, 0); err == nil {
				ch.file, ch.named, ch.synced = f, false, 0
			}
		}
	}
	ch := s.chapters[n-1]
	files, err := s.fs.ReadDir(ch.path)
	if err != nil || len(files) != 1 || ch.damaged || len(ch.lost) > 0 || ch.last+1 != s.next || ch.size >= s.opts.ChapterBytes {
		return
	}
	if ch.file == nil {
		if ch.file, err = s.fs.OpenFile(ch.segment(), os.O_RDWR, 0); err != nil {
			ch.file = nil
			return
		}
	}
	if err := ch.openLog(); err != nil {
		s.finding(ch, -1, "it is not continued: "+err.Error())
		return
	}
	ch.done = false
	s.current = ch
}

func (s *Spool) finding(ch *chapter, offset int64, cause string) {
	s.report.Findings = append(s.report.Findings, Finding{File: chapterFile(ch), Offset: offset, Cause: cause})
}

// chapterFile is the segment's name below the spool's directory.
func chapterFile(ch *chapter) string {
	return filepath.Join("chapters", filepath.Base(ch.path), segmentName(ch.base))
}

// setAsideFile keeps a copy of a damaged small file, which is about to be
// written anew.
func (s *Spool) setAsideFile(name string) {
	cause := "the checksum is wrong: it is made anew"
	data, err := readFile(s.fs, filepath.Join(s.dir, name), 1<<20)
	if err == nil {
		err = s.setAside(filepath.Base(name), data)
	}
	if err != nil {
		cause += ", and could not be kept: " + err.Error()
	}
	s.report.Findings = append(s.report.Findings, Finding{File: name, Offset: -1, Cause: cause})
}

// setAside keeps damaged bytes in quarantine. The checksum in the name makes it
// the same file when a repair is cut short and done again.
func (s *Spool) setAside(name string, data []byte) error {
	name = fmt.Sprintf("%s-%08x", name, crc32.Checksum(data, castagnoli))
	if err := writeFile(s.fs, filepath.Join(s.quarantineDir(), name), data); err != nil {
		return err
	}
	s.report.BytesQuarantined += int64(len(data))
	return nil
}
