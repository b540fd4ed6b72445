package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

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
	for _, dir := range []string{s.quarantineDir(), s.trashDir(), s.chaptersDir(), s.cursorsDir()} {
		if err := s.recoverDir(dir); err != nil {
			return err
		}
	}
	s.fs.RemoveAll(s.thinDir()) // It was not finished, so nothing depends on it.
	s.recoverNext()
	// What a crash left in the trash was to be removed anyway.
	if left, err := s.fs.ReadDir(s.trashDir()); err == nil {
		for _, e := range left {
			s.fs.RemoveAll(filepath.Join(s.trashDir(), e.Name()))
		}
	}
	water, intact := s.recoverWater()
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
	s.recoverHanded()
	s.resumeChapter()
	for _, ch := range s.chapters {
		s.report.Entries += ch.entries()
	}
	if w := s.water; !intact || !w.clean || w.last != stored || w.after != used || w.next != s.next || s.report.BytesQuarantined > 0 {
		w.clean, w.reserved = true, s.next-1
		w.quarantined += uint64(s.report.BytesQuarantined)
		if err := s.putWaterLocked(w); err != nil {
			s.findFault("high-water", err)
		}
	}
	// The file meta comes after the high-water mark: one without the other tells
	// that the mark was lost.
	if !known {
		s.meta = newMeta()
	}
	if err := s.writeMeta(plainVersion); err != nil {
		s.findFault("meta", err)
	}
	s.boundQuarantine()
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

// writeMeta writes the file meta where it is missing or of an older version than
// the one wanted. If that fails, the next sync tries again.
func (s *Spool) writeMeta(version uint32) error {
	if s.meta.version >= version {
		return nil
	}
	if err := writeFile(s.fs, filepath.Join(s.dir, "meta"), s.meta.encode(version)); err != nil {
		return fmt.Errorf("spool: writing meta: %w", err)
	}
	s.meta.version = version
	return nil
}

func (s *Spool) findFault(name string, err error) {
	s.report.Findings = append(s.report.Findings, Finding{File: name, Offset: -1, Cause: "it could not be written, which is tried again: " + err.Error()})
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

// recoverDir makes a directory below the spool's, or anew where something else
// stands there.
func (s *Spool) recoverDir(dir string) error {
	if err := ensureDir(s.fs, dir); err != nil {
		return err
	}
	f, err := s.fs.OpenFile(dir, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	f.Close()
	if err != nil || info.IsDir() {
		return err
	}
	name := filepath.Base(dir)
	aside := dir + ".set-aside." + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := s.fs.Rename(dir, aside); err != nil {
		return err
	}
	s.report.Findings = append(s.report.Findings, Finding{File: name, Offset: -1, Cause: "it is no directory: it is now " + filepath.Base(aside)})
	return ensureDir(s.fs, dir)
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
	case errors.Is(err, ErrNewer):
		return false, err
	}
	if err := ensureDir(s.fs, s.quarantineDir()); err != nil {
		return false, err
	}
	s.setAsideFile("meta", err)
	return false, nil
}

// recoverWater reads the high-water mark and opens it for writing.
func (s *Spool) recoverWater() (w highWater, intact bool) {
	name := filepath.Join(s.dir, "high-water")
	value, write, err := readSlots(s.fs, name)
	if err == nil {
		w, err = parseHighWater(value)
		s.olderRun = valueVersion(value) < highWaterVersion
	}
	if err != nil {
		w, write = highWater{next: 1}, 0
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.setAsideFile("high-water", err)
	}
	s.waterSlots = &slotFile{fs: s.fs, name: name, write: write}
	return w, err == nil
}

// recoverHanded finds out which entries may have been returned. A run that did
// not note it leaves no file behind that says otherwise.
func (s *Spool) recoverHanded() {
	name := filepath.Join(s.dir, "handed")
	if s.opts.Thin == nil {
		if s.fs.Remove(name) == nil {
			s.fs.SyncDir(s.dir)
		}
		return
	}
	s.handed = &handed{fs: s.fs, name: name}
	if s.olderRun {
		s.fs.Remove(name)
	}
	if err := s.handed.load(s.next - 1); err != nil {
		s.setAsideFile("handed", err)
	}
}

// recoverCursors reads all cursors and returns the highest index that one has
// acknowledged. A damaged one has no start yet.
func (s *Spool) recoverCursors() (acked uint64, err error) {
	files, err := s.fs.ReadDir(s.cursorsDir())
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".TEMP") {
			s.fs.Remove(filepath.Join(s.cursorsDir(), f.Name())) // of a crash
		}
		if !validName(f.Name()) {
			continue
		}
		name := filepath.Join(s.cursorsDir(), f.Name())
		p := newPlace(f.Name())
		value, write, err := readSlots(s.fs, name)
		if err == nil {
			err = p.decode(value)
			s.olderRun = s.olderRun || valueVersion(value) < placeVersion
		}
		if err != nil {
			s.setAsideFile(filepath.Join("cursors", f.Name()), err)
			p, write = newPlace(f.Name()), 0
		}
		p.slots = &slotFile{fs: s.fs, name: name, write: write}
		s.cursors[p.name] = p
		acked = max(acked, p.accounted.last())
	}
	return acked, nil
}

// setAsideFile keeps a small file that cannot be used in quarantine, and a new
// one will be made: what stands on a page that the disk cannot read is not
// written over.
func (s *Spool) setAsideFile(name string, why error) {
	cause := cause(why) + ": it is made anew"
	path := filepath.Join(s.dir, name)
	size := treeBytes(path)
	if _, err := s.moveAway(path, "quarantine"); err != nil {
		cause += ", and could not be kept: " + err.Error()
	} else {
		s.report.BytesQuarantined += size
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
