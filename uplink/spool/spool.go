// Package spool is a durable log of opaque entries over tidwall/wal: what is
// appended is kept through power cuts until every cursor has acknowledged it,
// or is counted with the range of its indexes.
//
// A spool is a directory; docs/spool-format.md describes the bytes in it.
// Entries stand in chapters, small logs of one segment each that are removed
// whole. Indexes begin at 1, ascend, and are never used twice; they may skip a
// few thousand after a crash (see highWater).
package spool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/wal"
)

// Errors that callers tell apart, beside ErrLocked and ErrNewer.
var (
	// ErrEnd says that End was called and the cursor has read everything.
	ErrEnd = errors.New("spool: no more entries")
	// ErrNone says that there is no entry to read yet.
	ErrNone = errors.New("spool: no entry yet")
	// ErrClosed says that the spool or the cursor is closed.
	ErrClosed = errors.New("spool: closed")
)

// Special values of Options.Sync.
const (
	// SyncAlways makes Append return only when the entry is durable.
	SyncAlways time.Duration = 1
	// SyncNever leaves it to Sync, End and Close.
	SyncNever time.Duration = -1
)

const (
	defaultSync         = time.Second
	defaultChapterBytes = 512 << 10
	defaultMemoryBytes  = 4 << 20

	defaultQuarantineBytes = 16 << 20
	maxChapterBytes        = 1 << 30

	// A chapter of large groups may be so many times larger, up to so many bytes.
	// After a crash all of the newest is read at once.
	largeChapters     = 4
	largeChapterBytes = 2 << 20

	// maxUnsynced is how many finished chapters may wait for their sync, each
	// with its bytes in memory, before the next one waits for the disk.
	maxUnsynced = 1
)

// Options of Open. The zero value is usable.
type Options struct {
	// Sync is how long an entry or an acknowledgement may wait until it is
	// durable, 1 s if zero; see also SyncAlways and SyncNever.
	Sync time.Duration
	// ChapterBytes is the size of a chapter, 512 KiB if zero; it is finished at
	// three quarters of that or more. Up to five times as much memory is in use,
	// most where entries are made durable a few at a time. Where many come at once
	// it may have four times as much, up to 2 MiB.
	ChapterBytes int64
	// MemoryBytes is how much may wait in memory while the disk fails, 4 MiB if
	// zero.
	MemoryBytes int64
	// QuarantineBytes is the most that is kept of what was damaged, 16 MiB if
	// zero. The oldest is deleted first, and counted.
	QuarantineBytes int64
	// MaxBytes is the most that chapters may take; 0 sets no limit. The oldest
	// chapters are evicted for it, read or not, and counted. It should be a
	// multiple of ChapterBytes.
	MaxBytes int64
	// Quota, if set, is shared with other spools, and Priority says how important
	// the entries of this one are among them: higher is more.
	Quota    *Quota
	Priority int
	// Compression is how entries are stored, None by default. It costs about
	// 1 MiB of memory.
	Compression Compression
	// BallastBytes is the size of a file that is deleted when a full disk refuses
	// to write cursors and the like, and made again later; none if zero.
	BallastBytes int64
	// Thin, if set, makes room before anything is evicted, see Thinning.
	Thin *Thinning
	// Logger is told of repairs, losses and disk errors; nil for none.
	Logger *slog.Logger
}

// Spool is an open spool.
//
// Append is for one goroutine at a time, a Cursor for one each; the other
// methods are safe for concurrent use.
type Spool struct {
	dir      string
	interval time.Duration
	opts     Options
	fs       fileSystem
	log      *slog.Logger
	lock     io.Closer
	meta     meta

	// Append's own.
	compressor compressor

	report  Report
	opened  time.Time
	written atomic.Uint64 // bytes

	// syncing is held by who makes things durable or removes them, writing by who
	// writes entries. They are taken in the order syncing, writing, mu.
	syncing sync.Mutex
	gone    bool    // the files are closed
	ballast ballast // guarded by syncing
	// olderRun says that a milepost that knows nothing of thinning was here last.
	olderRun bool
	writing  sync.Mutex
	batch    wal.Batch // guarded by writing

	mu       sync.Mutex
	room     *sync.Cond // on mu: a group was written, or a chapter's log closed
	chapters []*chapter // ascending; the last one may be current
	current  *chapter   // being appended to, or nil
	claimed  int64      // room in a shared quota for the next chapter
	prepared *chapter   // empty, for when the current one is finished; or nil
	unsynced int        // finished chapters that wait for their sync
	trash    []*removal
	bytes    int64 // in chapters

	// after is chapter.after for the next chapter to be made.
	after uint64
	// The indexes up to flushed are in chapters, those from there to next-1 in
	// groups.
	flushed, next, durable uint64
	groups                 []*group
	filling                *group // the last of them, or nil
	storing                bool   // the first one is being written
	small                  bool   // the last one was, or there was none
	spare                  []*group
	groupBytes             int64
	queued                 int64 // bytes in groups

	failure      error // why entries cannot be stored at present
	failingSince time.Time
	dropping     bool // the last entry was not taken
	// The same of what could not be made durable.
	syncFailure     error
	syncFailedSince time.Time

	water      highWater
	waterSlots *slotFile

	handed   *handed // nil unless Options.Thin is set
	thinNow  sync.Mutex
	thinning []Span // what a thinned chapter is just taking the place of
	stuck    bool   // it could not, and nobody knows what is on disk

	cursors  map[string]*place
	waiting  int // cursors that wait for an entry
	counters counters
	ended    bool
	closed   bool

	marked                         atomic.Bool // there is something to be made durable
	full, dirty, urgent, stop      chan struct{}
	tight                          chan struct{} // the quota is nearly used up
	running                        sync.WaitGroup
	closing                        sync.WaitGroup // logs that are not needed any more
	complaint                      throttle       // of run
	evicting, failing, droppingLog throttle
	thinLog                        throttle
}

// Open opens the spool in a directory, making or repairing it as need be, and
// locks it. What is damaged is set aside in its folder quarantine, and Report
// says so; Open itself fails only where another process has the spool open
// (ErrLocked), a newer milepost made it (ErrNewer), or the directory cannot be
// read and written.
func Open(dir string, opts Options) (*Spool, error) {
	return open(dir, opts, disk{})
}

func open(dir string, opts Options, fsys fileSystem) (*Spool, error) {
	s := &Spool{
		opts: opts, opened: time.Now(), log: opts.Logger, interval: opts.Sync, cursors: map[string]*place{},
		full: make(chan struct{}, 1), dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1), stop: make(chan struct{}),
		tight: make(chan struct{}, 1), small: true,
	}
	s.fs = counting{fsys, &s.written}
	s.room = sync.NewCond(&s.mu)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.interval == 0 {
		s.interval = defaultSync
	}
	if s.opts.ChapterBytes <= 0 {
		s.opts.ChapterBytes = defaultChapterBytes
	}
	s.opts.ChapterBytes = min(s.opts.ChapterBytes, maxChapterBytes)
	s.groupBytes = max(1, min(groupBytes, s.opts.ChapterBytes/2))
	if s.opts.MemoryBytes <= 0 {
		s.opts.MemoryBytes = defaultMemoryBytes
	}
	if s.opts.QuarantineBytes <= 0 {
		s.opts.QuarantineBytes = defaultQuarantineBytes
	}
	s.ballast.size = s.opts.BallastBytes
	var err error
	if s.dir, err = filepath.Abs(dir); err == nil {
		err = s.recover()
	}
	if err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	if s.opts.Quota != nil {
		s.opts.Quota.join(s)
	}
	s.running.Add(2)
	go s.run()
	go s.write()
	if s.handed != nil {
		s.running.Go(s.thin)
		notify(s.tight)
	}
	return s, nil
}

// ID is the spool's own number, drawn at random when it was made. Indexes of
// spools with different IDs have nothing to do with one another. A spool gets a
// new ID when the file that keeps its indexes apart is lost.
func (s *Spool) ID() [16]byte { return s.meta.id }

// Report says what Open found and repaired.
func (s *Spool) Report() Report { return s.report }

// wakeLocked tells the waiting cursors that something has changed.
func (s *Spool) wakeLocked() {
	if s.waiting == 0 {
		return
	}
	for _, p := range s.cursors {
		p.wakeLocked()
	}
	s.waiting = 0
}

// wakeLocked leaves a token for a cursor that was told that there is nothing to
// read.
//
// No wake-up is lost: the reader finds nothing and sets waiting in one hold of
// Spool.mu, and whoever changes what there is to read does so in another. If
// that comes first, the reader finds it; if it comes second, it finds waiting
// set. A token that is still in the channel from before serves as well, as the
// reader takes it only after it has set waiting, and then looks again.
func (p *place) wakeLocked() {
	if p.waiting {
		p.waiting = false
		notify(p.wake)
	}
}

// markDirty starts the timer of the next sync, unless it runs. To wake the
// goroutine that has it with every entry would slow down who appends.
//
// No change is forgotten: the mark is taken away before a sync, so a change that
// finds it there comes before that sync.
func (s *Spool) markDirty() {
	if s.marked.CompareAndSwap(false, true) {
		notify(s.dirty)
	}
}

// notify leaves a token in a channel that holds one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Durable returns the highest index that is known to survive a power cut,
// together with all below it.
func (s *Spool) Durable() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// End says that nothing more will be appended: cursors get ErrEnd when they
// have read everything. It makes everything durable.
func (s *Spool) End() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.ended = true
	s.wakeLocked()
	s.mu.Unlock()
	return s.Sync()
}

// Close makes everything durable and closes the spool and its cursors. Cursors
// that wait get ErrClosed. An error says what may be lost, or what was not
// tidied up; the spool is closed all the same.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.wakeLocked()
	s.room.Broadcast()
	s.mu.Unlock()
	if s.opts.Quota != nil {
		defer s.opts.Quota.leave(s)
	}
	close(s.stop)
	s.running.Wait()

	err := s.sync(true)
	if s.handed != nil {
		s.settleHanded() // Without it less can be thinned the next time.
	}
	s.mu.Lock()
	if s.current != nil {
		if s.interval == SyncNever {
			s.current.closeLog()
		}
		s.finishLocked(s.current)
	}
	s.mu.Unlock()
	if e := s.sync(true); err == nil {
		err = e
	}
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	if s.prepared != nil {
		s.discard(s.prepared)
		s.prepared = nil
	}
	if err == nil && len(s.groups) == 0 {
		w := s.water
		w.clean = true
		w.reserved = s.next - 1
		err = s.putWaterLocked(w)
	}
	if lost := s.next - 1 - s.flushed; lost > 0 {
		err = fmt.Errorf("%w (%d entries were never written)", err, lost)
	}
	s.closeFiles()
	return err
}

func (s *Spool) closeFiles() {
	s.closing.Wait()
	for _, ch := range s.chapters {
		ch.closeLog()
		ch.closeFile()
	}
	for _, p := range s.cursors {
		p.slots.close()
	}
	if s.handed != nil {
		s.handed.close()
	}
	if s.waterSlots != nil {
		s.waterSlots.close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

func (s *Spool) chaptersDir() string   { return filepath.Join(s.dir, "chapters") }
func (s *Spool) cursorsDir() string    { return filepath.Join(s.dir, "cursors") }
func (s *Spool) quarantineDir() string { return filepath.Join(s.dir, "quarantine") }
func (s *Spool) nextDir() string       { return filepath.Join(s.dir, "next") }
func (s *Spool) thinDir() string       { return filepath.Join(s.dir, "thin") }
func (s *Spool) trashDir() string      { return filepath.Join(s.dir, "trash") }
