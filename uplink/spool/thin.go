package spool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
)

// Thinning makes room in a quota that is nearly used up: old entries are merged
// into fewer and smaller ones, before the oldest are evicted. It costs detail
// rather than time.
//
// A chapter can be thinned several times: the first step is 0. Half of the quota,
// the newer one, is left as it is as long as there is anything else to thin, a
// quarter always.
//
// Only entries that no cursor has ever returned are thinned, in this run or an
// earlier one: whoever reads entries sees each of them in one form only.
type Thinning struct {
	// Steps is how many steps there are, up to 9.
	Steps int
	// Merge merges entries that follow one another, as far as it makes sense, and
	// puts each new one in the place of one or several old ones: it takes the
	// index of the first of them. The first one takes the first index. A payload is
	// valid until the next step of the sequence. An error leaves all as it is, and
	// so do entries that hardly become smaller.
	//
	// It is called by a goroutine of its own, and not twice at a time.
	Merge func(step int, entries iter.Seq[Entry], put func(index uint64, payload []byte) error) error
}

const (
	// thinAhead is how many chapters of room are left when thinning begins.
	thinAhead = 3
	// maxThinned is how many chapters become one at most.
	maxThinned = 32
)

var (
	// errConflict says that a cursor has read what was being thinned, or that it
	// was removed: it is done again with what there is by then.
	errConflict = errors.New("spool: read or removed while it was thinned")
	// errRigid says that a chapter cannot be thinned.
	errRigid = errors.New("spool: it cannot be thinned")
)

// thin thins chapters while the quota is nearly used up, until Close.
func (s *Spool) thin() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.tight:
		}
		err := s.thinOut()
		switch {
		case err == nil:
			s.thinLog.over()
		case !errors.Is(err, ErrClosed) && s.thinLog.due(err.Error()):
			s.log.Warn("old entries cannot be thinned to make room", "dir", s.dir, "error", err)
		}
	}
}

// thinOut thins as long as the quota is nearly used up and there is anything to
// thin.
func (s *Spool) thinOut() error {
	s.thinNow.Lock()
	defer s.thinNow.Unlock()
	if q := s.opts.Quota; q != nil {
		defer q.thinned(s)
	}
	conflicts := 0
	for s.isTight() {
		inputs, step := s.pick()
		if len(inputs) == 0 {
			break
		}
		err := s.thinChapters(inputs, step)
		if errors.Is(err, errConflict) {
			if conflicts++; conflicts < 3 {
				continue
			}
			return nil // Whoever reads there is fast; later.
		}
		if err != nil && !errors.Is(err, errRigid) {
			return err
		}
	}
	return nil
}

// isTight reports whether room is to be made.
func (s *Spool) isTight() bool {
	most, used := s.opts.MaxBytes, int64(0)
	if q := s.opts.Quota; q != nil {
		if most, used = q.maxBytes, q.Bytes(); q.isThinning(s) {
			return false // It will be told when that is done.
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Quota == nil {
		used = s.bytes
	}
	return !s.closed && most > 0 && used+thinAhead*s.opts.ChapterBytes > most
}

// pick chooses the chapters to be thinned next, which follow one another.
func (s *Spool) pick() (inputs []*chapter, step int) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.stuck || s.handed.failed != nil {
		return nil, 0
	}
	most := s.opts.MaxBytes
	if s.opts.Quota != nil {
		most = s.bytes // It has no share of its own.
	}
	steps := min(s.opts.Thin.Steps, maxSteps)
	var bytes [maxSteps + 1]int64
	for _, ch := range s.chapters {
		bytes[ch.step] += ch.size
	}
	// The first step that has more than its share of the quota: a half, a quarter
	// and so on; else the last one that has anything to thin.
	for step := range steps {
		if bytes[step] > most>>(step+1) {
			if inputs = s.oldestOfLocked(step, bytes[step]-most>>(step+2)); inputs != nil {
				return inputs, step
			}
		}
	}
	for step := steps - 1; step >= 0; step-- {
		left := bytes[step]
		if step == 0 {
			left -= most / 4
		}
		if inputs = s.oldestOfLocked(step, left); inputs != nil {
			return inputs, step
		}
	}
	return nil, 0
}

// oldestOfLocked returns the oldest chapters that were thinned so often and can
// be thinned again, with about so many bytes at most. It is called with
// Spool.syncing held, too.
func (s *Spool) oldestOfLocked(step int, bytes int64) (inputs []*chapter) {
	for _, ch := range s.chapters {
		fit := ch.step == step && ch.done && !ch.rigid && !ch.damaged && ch.unreadable == nil && len(ch.lost) == 0 &&
			ch.size > 0 && (ch.durable() || s.interval == SyncNever)
		if n := len(inputs); n > 0 && (!fit || ch.after != inputs[n-1].last || ch.base != ch.after+1 || n == maxThinned) {
			break
		}
		if bytes <= 0 {
			break
		}
		if fit {
			inputs = append(inputs, ch)
			bytes -= ch.size
		}
	}
	return inputs
}

// thinner makes one chapter of several.
type thinner struct {
	s      *Spool
	step   int
	inputs []*chapter
	used   int // of the inputs
	target int64

	// Reading.
	at      int // the input
	reader  segmentReader
	due     uint64 // the next index that is not thinned
	entry   Entry  // the next one, if has is set
	has     bool
	fixed   bool // it was returned by a cursor before
	err     error
	payload []byte

	// Writing.
	compressed func([]byte) []byte
	kept       uint64 // the last index that has an entry
	until      uint64
	entries    uint64
	table      thinned
	runs       []Span // what Merge was given
	group      group
	out        []byte
}

// thinChapters replaces chapters by a thinned one.
func (s *Spool) thinChapters(inputs []*chapter, step int) error {
	t := &thinner{s: s, step: step, inputs: inputs, target: min(s.opts.ChapterBytes-s.opts.ChapterBytes/4, 16<<20)}
	defer t.reader.close()
	if s.opts.Compression == Zstd {
		t.compressed = new(compressor).compress
	}
	err := t.run()
	if err == nil {
		err = t.commit()
	}
	s.fs.RemoveAll(s.thinDir())
	if errors.Is(err, errRigid) {
		s.mu.Lock()
		for _, ch := range inputs[:max(1, t.used)] {
			ch.rigid = true
		}
		s.mu.Unlock()
	}
	return err
}

// run reads the inputs, as many as make a chapter, and thins them.
func (t *thinner) run() error {
	t.due = t.inputs[0].base
	t.kept = t.due - 1
	t.group.begin(t.due)
	if err := t.read(); err != nil {
		return err
	}
	for t.has {
		if t.fixed {
			t.put(t.entry.Index, t.entry.Payload)
			if err := t.read(); err != nil {
				return err
			}
			continue
		}
		if err := t.merge(); err != nil {
			return err
		}
	}
	if t.until > t.kept {
		t.thinTo(t.until + 1)
	}
	if len(t.table.spans) > maxTableSpans {
		return fmt.Errorf("%w: too many entries", errRigid)
	}
	t.endGroup()
	return nil
}

// merge passes the entries up to the next fixed one to Merge.
func (t *thinner) merge() error {
	var given []uint64
	next := 0 // of given, may be put
	run := Span{t.entry.Index, t.entry.Index}
	err := t.s.opts.Thin.Merge(t.step, func(yield func(Entry) bool) {
		for t.has && !t.fixed && t.err == nil {
			run.To = t.entry.Index
			given = append(given, t.entry.Index)
			if !yield(t.entry) {
				return
			}
			t.err = t.read()
		}
	}, func(index uint64, payload []byte) error {
		for next < len(given) && given[next] != index {
			if next == 0 {
				break
			}
			next++
		}
		if next >= len(given) || given[next] != index || len(payload) > MaxEntry {
			return fmt.Errorf("spool: a thinned entry of %d bytes cannot have index %d", len(payload), index)
		}
		next++
		t.put(index, payload)
		return nil
	})
	switch {
	case t.err != nil:
		return t.err
	case err != nil:
		return fmt.Errorf("%w: %w", errRigid, err)
	case next == 0 || t.has && !t.fixed:
		return fmt.Errorf("%w: not all entries were thinned", errRigid)
	}
	t.runs = append(t.runs, run)
	return nil
}

// read reads the next entry, which stays valid until the next read.
func (t *thinner) read() error {
	s := t.s
	select {
	case <-s.stop:
		return ErrClosed
	default:
	}
	t.has = false
	for t.at < len(t.inputs) {
		ch := t.inputs[t.at]
		if t.reader.file == nil {
			if t.at > 0 && (int64(len(t.out)+len(t.group.buf)) >= t.target || len(t.table.spans) > maxTableSpans/2) {
				return nil // It is a whole chapter.
			}
			f, err := s.fs.OpenFile(ch.segment(), os.O_RDONLY, 0)
			if err != nil {
				return t.failed(ch, err)
			}
			t.reader.open(f)
			t.due = ch.base
			t.used = t.at + 1
		}
		if l, ok := ch.table.at(t.due); ok {
			t.due = l.To + 1
		}
		rec, err := t.reader.next(ch.size)
		if err == io.EOF && t.due == ch.last+1 {
			t.reader.close()
			t.until = ch.last
			t.at++
			continue
		}
		if err == nil && rec.index > ch.last && t.due == ch.last+1 {
			t.reader.close() // It belongs to the next one.
			t.until = ch.last
			t.at++
			continue
		}
		if err != nil && err != io.EOF && err != errDamaged {
			return t.failed(ch, err)
		}
		if err != nil || rec.index != t.due || rec.cause != "" {
			return fmt.Errorf("%w: %s is damaged", errRigid, ch.segment())
		}
		if t.payload, err = rec.appendPayload(t.payload[:0]); err != nil {
			return fmt.Errorf("%w: %s: %w", errRigid, ch.segment(), err)
		}
		t.entry, t.has = Entry{Index: rec.index, Payload: t.payload}, true
		t.due++
		s.mu.Lock()
		t.fixed = overlaps(s.handed.spans, Span{rec.index, rec.index})
		s.mu.Unlock()
		return nil
	}
	return nil
}

// failed tells the disk's error from that of a chapter that was removed.
func (t *thinner) failed(ch *chapter, err error) error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if ch.removed {
		return errConflict
	}
	return fmt.Errorf("spool: thinning: %w", err)
}

// put writes an entry to the new chapter.
func (t *thinner) put(index uint64, payload []byte) {
	compressed := false
	if t.compressed != nil {
		if c := t.compressed(payload); c != nil {
			payload, compressed = c, true
		}
	}
	if len(t.group.buf) > groupStart && int64(len(t.group.buf))+recordSize(len(payload)) > groupBytes {
		t.endGroup()
	}
	if t.group.last < t.group.base {
		t.group.begin(index)
	}
	t.group.add(index, payload, compressed)
	t.thinTo(index)
	t.kept = index
	t.entries++
}

// thinTo notes that the indexes between the last entry and this one were thinned.
func (t *thinner) thinTo(index uint64) {
	if t.kept+1 < index {
		t.table.spans = append(t.table.spans, Span{t.kept + 1, index - 1})
	}
}

// endGroup writes a group to the new chapter.
func (t *thinner) endGroup() {
	if len(t.group.buf) <= groupStart {
		return
	}
	t.out = appendGroup(t.out, &t.group, t.times())
	t.group.begin(t.group.last + 1)
}

func appendGroup(dst []byte, g *group, times timeRange) []byte {
	g.times = times
	return append(dst, g.stored()...)
}

// times are those of the chapters that were read.
func (t *thinner) times() (times timeRange) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for _, ch := range t.inputs[:t.used] {
		if ch.times == (timeRange{}) {
			ch.times = ch.readTimes(t.s.fs)
		}
		times.add(ch.times)
	}
	return times
}

// commit writes the new chapter and puts it in the place of the old ones.
//
// It is made, durably, in the folder thin, and then moved to the chapters by one
// rename. Its name says how far it reaches and that it counts more than the
// others there (see supersede), so at any instant either they are in force or it
// is. The indexes that it gives new contents to are not read while it is not
// known which: a reader must not see one of them in both forms.
func (t *thinner) commit() error {
	s, inputs := t.s, t.inputs[:t.used]
	var before int64
	for _, ch := range inputs {
		before += ch.size
	}
	first := inputs[0]
	var table group
	table.begin(first.base)
	payload := t.table.encode(first.base)
	table.buf = binary.AppendUvarint(table.buf, uint64(frameHeader+len(payload)))
	table.buf = appendFrame(table.buf, tableVersion, kindTable, first.base, payload)
	head := appendGroup(nil, &table, t.times())
	size := int64(len(head) + len(t.out))
	if len(t.table.spans) == 0 || size > before-before/8 {
		return fmt.Errorf("%w: it would not become much smaller", errRigid)
	}
	ch := &chapter{
		path: s.thinDir(), name: segmentName(1), base: first.base, after: first.after, last: t.until, until: t.until,
		size: size, synced: size, times: t.times(), step: t.step + 1, table: t.table, done: true, named: true, placed: true,
	}
	if err := t.write(ch, head); err != nil {
		return fmt.Errorf("spool: thinning: %w", err)
	}

	s.syncing.Lock()
	defer s.syncing.Unlock()
	// An older program must not touch what it would not understand.
	if err := s.writeMeta(formatVersion); err != nil {
		return err
	}
	s.mu.Lock()
	at := slices.Index(s.chapters, first)
	conflict := s.closed || at < 0 || len(s.chapters) < at+len(inputs) || !slices.Equal(s.chapters[at:at+len(inputs)], inputs)
	for _, run := range t.runs {
		conflict = conflict || overlaps(s.handed.spans, run)
	}
	for _, in := range inputs {
		conflict = conflict || in.damaged || len(in.lost) > 0
	}
	if conflict {
		s.mu.Unlock()
		return errConflict
	}
	s.thinning = t.runs
	for _, in := range inputs {
		in.busy = true
	}
	s.mu.Unlock()

	place := filepath.Join(s.chaptersDir(), thinnedName(ch.base, ch.after, ch.until, ch.step))
	stuck := false
	err := s.fs.Rename(ch.path, place)
	if err == nil {
		if err = s.fs.SyncDir(s.chaptersDir()); err != nil {
			// Nobody knows which of the two a power cut would leave.
			undone := cmp.Or(s.fs.Rename(place, ch.path), s.fs.SyncDir(s.chaptersDir()))
			stuck = undone != nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thinning = nil
	s.room.Broadcast()
	for _, in := range inputs {
		in.busy = false
	}
	s.stuck = s.stuck || stuck
	if err != nil {
		return fmt.Errorf("spool: thinning: %w", err)
	}
	ch.path = place
	for _, in := range inputs {
		in.removed, in.superseded = true, true
		s.trash = append(s.trash, &removal{ch: in, to: "trash"})
	}
	at = slices.Index(s.chapters, first)
	s.chapters = slices.Replace(s.chapters, at, at+len(inputs), ch)
	s.bytes += size - before
	gone := uint64(0)
	for _, in := range inputs {
		gone += in.entries()
	}
	s.water.thinnedEntries += gone - ch.entries()
	s.water.thinnedBytes += uint64(before - size)
	times := timeRange{s.water.thinnedFrom, s.water.thinnedUntil}
	times.add(ch.times)
	s.water.thinnedFrom, s.water.thinnedUntil = times.from, times.until
	s.room.Broadcast()
	notify(s.urgent) // The old ones are removed.
	return nil
}

// write writes the new chapter and makes it durable, but for its name.
func (t *thinner) write(ch *chapter, head []byte) error {
	fsys := t.s.fs
	if err := fsys.RemoveAll(ch.path); err != nil {
		return err
	}
	if err := fsys.Mkdir(ch.path); err != nil {
		return err
	}
	f, err := fsys.OpenFile(ch.segment(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(head, 0); err == nil {
		_, err = f.WriteAt(t.out, int64(len(head)))
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return fsys.SyncDir(ch.path)
}
