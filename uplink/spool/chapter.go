package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/tidwall/wal"
)

// chapter is a stretch of the spool: a directory with one log of one segment,
// written once from front to back and removed whole. What tidwall/wal does
// badly (truncation, many segments, reading) is never asked of it.
//
// The fields above the line are guarded by Spool.mu.
type chapter struct {
	path string
	name string // of the segment in it
	base uint64 // the first index
	// after is the last index given out before base. Where it is not base-1, the
	// program was killed in between: the indexes from after+1 to base-1 were set
	// aside and never appended, or lost with the unsynced tail.
	after uint64
	// last is the last index in here. Until a finished chapter is read, that is
	// what the next one's after says.
	last  uint64
	size  int64 // written bytes
	times timeRange
	lost  []Span // unreadable indexes, ascending, found so far
	// step is how often it was thinned, until its last index by then, and table
	// which of its indexes have no entry for that; rigid says that it is not worth
	// while to thin it any more.
	step  int
	until uint64
	table thinned
	rigid bool
	// unreadable is why the segment could not be opened so far, and its size is
	// not known; attempts counts how often that was tried for a cursor.
	unreadable error
	attempts   int
	damaged    bool // something in it could not be read: it is kept in quarantine
	removed    bool // released or evicted
	superseded bool // removed because a thinned one has taken its place
	busy       bool // a thinned one is just taking its place
	done       bool // nothing will be appended
	// most is how large it may become with large groups.
	most int64
	log  *wal.Log // for small groups; nil while there are none
	// waits is set while it is finished and counts in Spool.unsynced.
	waits bool
	// nextEntry is the next index of tidwall/wal, which counts groups; 0 where
	// the chapter cannot be continued. It belongs to who holds Spool.writing.
	nextEntry uint64

	// ---- The syncing goroutine's, and before that the maker's:
	file    file  // for syncing; may be nil
	synced  int64 // how much of size is durable
	named   bool  // the segment's name is durable
	placed  bool  // the directory's name is durable
	suspect bool  // a sync failed: the kernel may have dropped what was written
}

// entries is the number of readable entries, as far as is known.
func (ch *chapter) entries() uint64 {
	return ch.last + 1 - ch.base - ch.lostIn(ch.base, ch.last) - ch.table.in(ch.base, ch.last)
}

// lostIn is how many indexes between from and to are known to be unreadable.
func (ch *chapter) lostIn(from, to uint64) (n uint64) {
	for _, l := range ch.lost {
		if lo, hi := max(from, l.From), min(to, l.To); lo <= hi {
			n += hi - lo + 1
		}
	}
	return n
}

// lostAt returns the span without entries, unreadable ones as far as is known or
// thinned, that an index is in.
func (ch *chapter) lostAt(index uint64) (Span, bool) {
	for _, l := range ch.lost {
		if l.From <= index && index <= l.To {
			return l, true
		}
	}
	return ch.table.at(index)
}

func (ch *chapter) segment() string { return filepath.Join(ch.path, ch.name) }

// firstEntry is the number of the first group in tidwall/wal, which is the
// segment's name.
func (ch *chapter) firstEntry() uint64 {
	first, _ := parseIndex(ch.name)
	return first
}

// readTimes reads the times of a chapter, which stand in the headers of its
// groups; as far as they can be read.
func (ch *chapter) readTimes(fsys fileSystem) (times timeRange) {
	f, err := fsys.OpenFile(ch.segment(), os.O_RDONLY, 0)
	if err != nil {
		return times
	}
	defer f.Close()
	var header [maxLength + groupHeader]byte
	for at := int64(0); at < ch.size; {
		n, _ := f.ReadAt(header[:], at)
		rec, size, v := parseRecord(header[:n])
		switch {
		case v == whole && rec.group >= 0:
			times.add(rec.times)
			at += int64(size) + int64(rec.group)
		case v != bad && size > 0:
			at += int64(size) // a record outside any group
		default:
			return times
		}
	}
	return times
}

// segmentName is the name that tidwall/wal gives to a segment.
func segmentName(base uint64) string { return fmt.Sprintf("%020d", base) }

const nameDigits = 20

// maxIndex is larger than any index.
const maxIndex = math.MaxInt64

// maxSteps is how often a chapter can be thinned.
const maxSteps = 9

// chapterName is the first index; where indexes were set aside before it, the
// last one before those; and of a thinned chapter its last index and how often it
// was thinned.
func chapterName(base, after uint64) string {
	if after == base-1 {
		return segmentName(base)
	}
	return segmentName(base) + ".after." + segmentName(after)
}

func thinnedName(base, after, until uint64, step int) string {
	return chapterName(base, after) + ".thinned." + segmentName(until) + "." + strconv.Itoa(step)
}

// parseChapterName makes a chapter of a name, without its files.
func parseChapterName(name string) (ch chapter, ok bool) {
	name, thin, isThin := strings.Cut(name, ".thinned.")
	first, rest, marked := strings.Cut(name, ".after.")
	ch.base, ok = parseIndex(first)
	if !ok || ch.base == 0 {
		return ch, false
	}
	ch.after = ch.base - 1
	if marked {
		if ch.after, ok = parseIndex(rest); !ok || ch.after >= ch.base-1 {
			return ch, false
		}
	}
	if isThin {
		until, step, _ := strings.Cut(thin, ".")
		ch.until, ok = parseIndex(until)
		if !ok || ch.until < ch.base || len(step) != 1 || step[0] < '1' || step[0] > '0'+maxSteps {
			return ch, false
		}
		ch.step = int(step[0] - '0')
	}
	return ch, true
}

func parseIndex(s string) (uint64, bool) {
	if len(s) != nameDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= maxIndex && s == segmentName(n)
}

// createChapter makes an empty chapter in a directory of its own, ready for
// writing once it has been given its first index.
func createChapter(fsys fileSystem, path string) (*chapter, error) {
	ch := &chapter{path: path, name: segmentName(1), nextEntry: 1}
	// A directory that stands there already is the remainder of an attempt that
	// failed: nothing was ever promised that is in it.
	if err := fsys.Mkdir(ch.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err := fsys.OpenFile(ch.segment(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if err == nil {
		ch.file = f
		return ch, nil
	}
	fsys.Remove(ch.segment())
	fsys.Remove(ch.path)
	return nil, err
}

// begin gives an empty chapter its first index.
func (ch *chapter) begin(base, after uint64) { ch.base, ch.after, ch.last = base, after, base-1 }

// openLog hands the chapter to tidwall/wal for appending. All of the segment
// must be whole groups, as many as nextEntry says; there is exactly one segment,
// because its size has no limit.
func (ch *chapter) openLog(fsys fileSystem) (*wal.Log, error) {
	log, err := fsys.OpenLog(ch.path, &wal.Options{
		NoSync: true, SegmentSize: math.MaxInt, SegmentCacheSize: 1, NoCopy: true,
		AllowEmpty: true, DirPerms: dirMode, FilePerms: fileMode,
	})
	if err != nil {
		return nil, err
	}
	last, err := log.LastIndex()
	if err == nil && last+1 != ch.nextEntry {
		err = fmt.Errorf("%s goes up to group %d, not %d", ch.segment(), last, ch.nextEntry-1)
	}
	if err != nil {
		log.Close()
		return nil, err
	}
	return log, nil
}

func (ch *chapter) closeFile() {
	if ch.file != nil {
		ch.file.Close()
		ch.file = nil
	}
}

// durable reports whether all that is written, and its name, survive a power
// cut.
func (ch *chapter) durable() bool {
	return ch.named && ch.placed && ch.synced == ch.size && !ch.suspect
}

// closeLog drops the log and the memory that it holds. Whatever Close says
// about its own sync is of no use: ours decides.
func (ch *chapter) closeLog() {
	if ch.log != nil {
		ch.log.Close()
		ch.log = nil
	}
}

// sync makes the first size bytes, and the names that lead to them, durable, all
// at once, as a file system puts what comes together into one commit.
//
// After a failed fsync the kernel forgets what it could not write and lets the
// next fsync succeed, so a chapter that failed once is finished and written
// anew; what is found lost by then is returned.
func (ch *chapter) sync(fsys fileSystem, size int64) (lost []Span, err error) {
	var names sync.WaitGroup
	var inner, outer error
	if !ch.named {
		names.Go(func() { inner = fsys.SyncDir(ch.path) })
	}
	if !ch.placed {
		names.Go(func() { outer = fsys.SyncDir(filepath.Dir(ch.path)) })
	}
	lost, err = ch.syncSegment(fsys, size)
	names.Wait()
	ch.named = ch.named || inner == nil
	ch.placed = ch.placed || outer == nil
	return lost, cmp.Or(err, inner, outer)
}

func (ch *chapter) syncSegment(fsys fileSystem, size int64) (lost []Span, err error) {
	if ch.suspect {
		if lost, err = ch.rewrite(fsys, size); err != nil {
			return nil, err
		}
		ch.suspect = false
	} else if ch.synced < size || !ch.named {
		if ch.file == nil {
			if ch.file, err = fsys.OpenFile(ch.segment(), os.O_RDWR, 0); err != nil {
				ch.file = nil
				return nil, err
			}
		}
		if err := ch.file.Sync(); err != nil {
			ch.suspect = true
			return nil, err
		}
	}
	ch.synced = size
	return lost, nil
}

// rewrite replaces the segment of a finished chapter by a fresh copy.
func (ch *chapter) rewrite(fsys fileSystem, size int64) (lost []Span, err error) {
	data, err := readFile(fsys, ch.segment(), size)
	if err != nil {
		return nil, err
	}
	found := scanSegment(data, ch.base, ch.last, nil)
	return found.lostTo(ch.last), writeFile(fsys, ch.segment(), data)
}
