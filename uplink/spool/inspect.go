package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Info is what Inspect finds in a spool's directory.
type Info struct {
	ID       [16]byte // zero if the file meta is missing or damaged
	Created  time.Time
	Next     uint64 // the next index, as of the last time that the mark was written
	Chapters []ChapterInfo
	Cursors  []CursorInfo
	// QuarantineBytes stand in the folder quarantine.
	QuarantineBytes int64
}

// ChapterInfo describes one chapter.
type ChapterInfo struct {
	Name        string
	First, Last uint64 // indexes of readable entries, 0 if there are none
	Entries     uint64 // readable ones
	Bytes       int64
	From, Until time.Time // of its entries, as AppendAt was given them; zero if nothing is known
	Missing     []Span    // indexes that should be in it and are not readable
	// Thinned is how many of its indexes have no entry any more, as that was
	// merged into another one, and Step how often the chapter was thinned.
	Thinned  uint64
	Step     int
	Skipped  Span // indexes set aside before it; zero if there are none
	Findings []Finding
}

// CursorInfo describes one cursor as it stands on disk.
type CursorInfo struct {
	Name                                    string
	Start, Acked                            uint64
	Done                                    []Span // acknowledged beyond Acked
	Acknowledged, Evicted, Missing, Skipped uint64
	Thinned                                 uint64
	Note                                    []byte
}

// The functions below need no lock and change nothing: they work on a spool
// that is in use, and on a damaged one as it is. While it is in use, chapters
// may vanish and its end may be just being written.

// Inspect describes the spool in a directory. It reads all of it.
func Inspect(dir string) (Info, error) {
	info, _, err := inspect(dir)
	return info, err
}

// Verify reads a whole spool and returns what is wrong with it.
func Verify(dir string) ([]Finding, error) {
	info, findings, err := inspect(dir)
	for _, ch := range info.Chapters {
		findings = append(findings, ch.Findings...)
	}
	return findings, err
}

func inspect(dir string) (info Info, findings []Finding, err error) {
	find := func(name, cause string) {
		findings = append(findings, Finding{File: name, Offset: -1, Cause: cause})
	}
	m, err := readMeta(disk{}, filepath.Join(dir, "meta"))
	switch {
	case errors.Is(err, ErrNewer):
		return info, nil, fmt.Errorf("spool %s: %w", dir, err)
	case err == nil:
		info.ID, info.Created = m.id, m.created
	default:
		find("meta", cause(err))
	}
	value, _, err := readSlots(disk{}, filepath.Join(dir, "high-water"))
	var water highWater
	if err == nil {
		water, err = parseHighWater(value)
	}
	if info.Next = water.next; err != nil {
		find("high-water", cause(err))
	}
	names, err := os.ReadDir(filepath.Join(dir, "cursors"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return info, findings, fmt.Errorf("spool: %w", err)
	}
	for _, n := range names {
		name := filepath.Join("cursors", n.Name())
		p := newPlace(n.Name())
		value, _, err := readSlots(disk{}, filepath.Join(dir, name))
		if err == nil {
			err = p.decode(value)
		}
		if err != nil {
			find(name, cause(err))
			continue
		}
		info.Cursors = append(info.Cursors, CursorInfo{p.name, p.start, p.acked, p.accounted.islands, p.acknowledged, p.evicted, p.missing, p.skipped, p.thinned, p.note})
	}
	chapters, strange, later, err := readChapters(dir)
	if err != nil {
		return info, findings, fmt.Errorf("spool: %w", err)
	}
	for _, name := range strange {
		find(filepath.Join("chapters", name), "it is no chapter")
	}
	for i, ch := range chapters {
		if ci, ok := inspectChapter(ch, i == len(chapters)-1, nil); ok {
			info.Chapters = append(info.Chapters, ci)
		}
	}
	// What stood in chapters when the mark was written first is there, or was
	// removed by the time it was written last.
	stored := later.removedTo
	for _, h := range later.holes {
		stored = max(stored, h.To)
	}
	for _, ch := range info.Chapters {
		stored = max(stored, ch.Last)
	}
	if water.last > stored {
		find("chapters", fmt.Sprintf("entries %d to %d are missing at the end", stored+1, water.last))
	}
	info.QuarantineBytes = treeBytes(filepath.Join(dir, "quarantine"))
	return info, findings, nil
}

// readChapters lists the chapters in a spool's directory.
func readChapters(dir string) (chapters []*chapter, strange []string, water highWater, err error) {
	if chapters, strange, err = listChapters(disk{}, filepath.Join(dir, "chapters")); err != nil {
		return nil, nil, water, err
	}
	// The mark is read after the names: what is no longer among them because it
	// was released is noted in it by then.
	if value, _, err := readSlots(disk{}, filepath.Join(dir, "high-water")); err == nil {
		water, _ = parseHighWater(value)
	}
	chapters, _ = supersede(chapters)
	chapters = slices.DeleteFunc(chapters, func(ch *chapter) bool {
		_, hole := water.hole(ch.base)
		return hole
	})
	joinChapters(chapters, water.holes)
	for _, ch := range chapters {
		if ch.base <= water.removedTo {
			ch.last = ch.base - 1 // It is being removed: nobody misses what is not in it.
		}
	}
	return chapters, strange, water, nil
}

// inspectChapter reads a chapter. It reports false if the chapter is gone,
// which is what happens to chapters.
func inspectChapter(ch *chapter, newest bool, visit func(int64, record) bool) (ChapterInfo, bool) {
	ci := ChapterInfo{Name: filepath.Base(ch.path), Step: ch.step}
	if ch.after+1 < ch.base {
		ci.Skipped = Span{ch.after + 1, ch.base - 1}
	}
	limit := ch.last
	if newest {
		limit = maxIndex
	}
	data, err := readFile(disk{}, ch.segment(), math.MaxInt64)
	if errors.Is(err, fs.ErrNotExist) {
		if _, e := os.Stat(ch.path); e != nil {
			return ci, false
		}
	}
	if err != nil {
		ci.Findings = append(ci.Findings, Finding{chapterFile(ch), -1, cause(err), newest})
	}
	var payload []byte
	var unreadable []Finding
	found := scanSegment(data, ch.base, limit, func(offset int64, rec record) bool {
		if rec.compressed {
			var err error
			if payload, err = rec.appendPayload(payload[:0]); err != nil {
				unreadable = append(unreadable, Finding{chapterFile(ch), offset, err.Error(), false})
				return true
			}
			rec.payload = payload
		}
		return visit == nil || visit(offset, rec)
	})
	ci.Findings = append(ci.Findings, unreadable...)
	found.entries -= uint64(len(unreadable))
	ci.Thinned = found.table.in(ch.base, maxIndex)
	ci.From, ci.Until = found.times.times()
	ci.Bytes, ci.Entries, ci.Missing = int64(len(data)), found.entries, slices.Clone(found.lost)
	for _, d := range found.damage {
		ci.Findings = append(ci.Findings, Finding{chapterFile(ch), d.offset, d.cause, newest && d.offset >= found.end})
	}
	if found.entries > 0 {
		ci.First, ci.Last = ch.base, found.last
		if len(found.lost) > 0 && found.lost[0].From == ch.base {
			ci.First = found.lost[0].To + 1
		}
	}
	if !newest && found.last < ch.last {
		ci.Missing = slices.Clone(found.lostTo(ch.last))
	}
	for _, l := range ci.Missing {
		ci.Findings = append(ci.Findings, Finding{chapterFile(ch), -1, fmt.Sprintf("entries %d to %d are missing", l.From, l.To), false})
	}
	return ci, true
}

// Scan reads all entries of the spool in a directory that can be read, from the
// oldest. A payload is valid until the next step. The error, which ends the
// sequence, is the file system's; damage shows in Entry.Missing.
func Scan(dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if _, err := readMeta(disk{}, filepath.Join(dir, "meta")); errors.Is(err, ErrNewer) {
			yield(Entry{}, fmt.Errorf("spool %s: %w", dir, err))
			return
		}
		chapters, _, _, err := readChapters(dir)
		if err != nil {
			yield(Entry{}, fmt.Errorf("spool: %w", err))
			return
		}
		var missing uint64
		for i, ch := range chapters {
			expected, stop := ch.base, false
			_, ok := inspectChapter(ch, i == len(chapters)-1, func(_ int64, rec record) bool {
				missing += rec.index - expected - ch.table.in(expected, rec.index)
				expected = rec.index + 1
				stop = !yield(Entry{rec.index, rec.payload, missing}, nil)
				missing = 0
				return !stop
			})
			if stop {
				return
			}
			if ok && ch.last >= expected {
				missing += ch.last + 1 - expected - ch.table.in(expected, ch.last)
			}
		}
	}
}

// cause is an error without the path that a Finding names anyway.
func cause(err error) string {
	var p *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "it is missing"
	case errors.Is(err, errDamaged):
		return "the checksum is wrong"
	case errors.As(err, &p):
		return p.Err.Error()
	}
	return err.Error()
}
