package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"milepost/aggregate"
	"milepost/cmd/internal/config"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// batchBytes is the size at which a batch goes into the spool: large enough
// that the description of its series weighs little, small enough to be sent and
// sent again.
const batchBytes = 256 << 10

// Store numbers and encodes the summaries of windows and appends them to the
// spools of their classes. It belongs to one goroutine, but for Acked.
//
// The records of all classes are numbered by one counter. With one class, windows
// are put together to large batches; with several, each has a batch of its own in
// every window, so that the sequences in a batch have no gaps.
type Store struct {
	classes    []*class // the most important first
	normal     *class
	classifier *classifier // nil where all is normal
	encoder    *uplink.BatchEncoder
	exception  *exceptionFilter
	// maxPending is how many entries of a class may wait to be acknowledged by
	// every cursor before Put waits; 0 is any number.
	maxPending uint64
	span       int64 // see StoreOptions.Span
	begun      int64 // start of the open batch's first window
	from, to   int64 // of all its windows

	counts storeCounts

	mu    sync.Mutex
	acked map[*classSpool]map[string]uint64 // by cursor
	moved chan struct{}                     // something was acknowledged
}

// storeCounts is what became of windows.
type storeCounts struct {
	Windows, Corrections, Summaries, Suppressed, Records, Resumed uint64
}

// StoreOptions say what a Store does beyond the plain thing.
type StoreOptions struct {
	Device string
	Boot   uplink.BootID
	// Priorities are the rules by which series get their class.
	Priorities []config.PriorityRule
	// Resume is what an earlier run has stored: up to there records are made again,
	// and not stored again.
	Resume Stored
	// Refresh turns reporting by exception on and says how often everything is
	// sent all the same, in nanoseconds.
	Refresh int64
	// MaxPending is how many entries of a class may be waiting to be delivered
	// before Put waits for the slowest sink; 0 for no limit.
	MaxPending uint64
	// Span is how much event time, in nanoseconds, a batch may wait to be filled;
	// 0 is any. A small one stores every window at once.
	Span int64
}

// NewStore makes a Store over open spools, which have all classes that the
// priorities name.
func NewStore(spools *Spools, o StoreOptions) *Store {
	s := &Store{
		encoder:    uplink.NewBatchEncoder(o.Device, o.Boot, 1),
		exception:  newExceptionFilter(o.Refresh),
		maxPending: o.MaxPending,
		span:       o.Span,
		acked:      make(map[*classSpool]map[string]uint64),
		moved:      make(chan struct{}, 1),
	}
	s.reclassify(spools, o.Priorities)
	for _, c := range s.classes {
		c.resume = o.Resume[c.spool.priority]
		if c.spool.priority == config.PriorityNormal {
			s.normal = c
		}
	}
	return s
}

// Put stores a window and releases it. Regular windows come in order, one for each
// start.
func (s *Store) Put(ctx context.Context, w *aggregate.Window) error {
	defer w.Release()
	s.counts.Windows++
	if w.Revision != 0 {
		s.counts.Corrections++
	}
	if s.exception != nil {
		if ended := s.exception.gap(w); ended != nil {
			if err := s.put(ctx, ended); err != nil {
				return err
			}
		}
		suppressed := s.exception.apply(w)
		s.counts.Suppressed += suppressed
		s.counts.Summaries += suppressed
	}
	return s.encode(ctx, w)
}

// End tells the readers of what is reported by exception that every series ends
// with the last window: at the end of a replay, or where a gateway stops.
func (s *Store) End(ctx context.Context) error {
	if s.exception == nil {
		return nil
	}
	if ended := s.exception.end(); ended != nil {
		return s.put(ctx, ended)
	}
	return nil
}

// put stores a window that is none of the source's, and releases it.
func (s *Store) put(ctx context.Context, w *aggregate.Window) error {
	defer w.Release()
	return s.encode(ctx, w)
}

// encode adds a window to the batches of its classes.
func (s *Store) encode(ctx context.Context, w *aggregate.Window) error {
	if s.classifier != nil {
		s.classifier.divide(w)
		for _, c := range s.classes {
			if len(c.part.Groups) == 0 {
				continue
			}
			s.add(c, &c.part)
			if err := s.flush(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
	if s.encoder.Records() == 0 {
		s.begun = w.Start
	}
	full := s.span > 0 && w.Start+w.Duration-s.begun >= s.span
	s.add(s.normal, w)
	// What was stored before ends a batch here too, whatever the batches of that
	// run were like: those of another speed or version have other sizes.
	resumed := s.normal.resume != 0 && s.encoder.Sequence()-1 == s.normal.resume
	if full || resumed || s.encoder.Size() >= batchBytes {
		return s.Flush(ctx)
	}
	return nil
}

// add encodes a window, or a part of one, of a class.
func (s *Store) add(c *class, w *aggregate.Window) {
	if s.encoder.Records() == 0 {
		s.from, s.to = w.Start, w.Start+w.Duration
	}
	s.from, s.to = min(s.from, w.Start), max(s.to, w.Start+w.Duration)
	n := uint64(s.encoder.Add(w))
	c.records += n
	s.counts.Records += n
	s.counts.Summaries += n
}

// Flush appends what has not gone into the spool yet.
func (s *Store) Flush(ctx context.Context) error { return s.flush(ctx, s.normal) }

// flush appends the open batch, which is of one class.
func (s *Store) flush(ctx context.Context, c *class) error {
	records := uint64(s.encoder.Records())
	end := s.encoder.Sequence() - 1
	payload := s.encoder.Take()
	if payload == nil {
		return nil
	}
	if end <= c.resume {
		s.counts.Resumed += records
		return nil
	}
	if end-records < c.resume {
		return fmt.Errorf("the spool ends at record %d, in the middle of a window (records %d to %d): it is not of this replay; use another --spool", c.resume, end-records+1, end)
	}
	if err := s.wait(ctx, c); err != nil {
		return err
	}
	from, until := time.Unix(0, s.from).UTC(), time.Unix(0, s.to).UTC()
	index, err := c.spool.AppendAt(payload, from, until)
	if c.spool.tolerate(err) == nil && index == 0 {
		// It gives way to what is more important. What comes later may find room.
		c.dropped.add(records, from, until, filledUp)
		return nil
	}
	if c.spool.tolerate(err) != nil {
		return fmt.Errorf("store records %d to %d: %w", end-records+1, end, err)
	}
	c.taken(waitingEntry{index, records, from, until})
	return nil
}

// Acked notes that a cursor has acknowledged the entries of a spool up to index.
// Safe for concurrent use.
func (s *Store) Acked(of *classSpool, cursor string, index uint64) {
	s.mu.Lock()
	if s.acked[of] == nil {
		s.acked[of] = make(map[string]uint64)
	}
	s.acked[of][cursor] = index
	s.mu.Unlock()
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// wait waits until there is room for another entry of a class.
func (s *Store) wait(ctx context.Context, c *class) error {
	if s.maxPending == 0 {
		return nil
	}
	for {
		s.mu.Lock()
		slowest := c.last
		for _, index := range s.acked[c.spool] {
			slowest = min(slowest, index)
		}
		s.mu.Unlock()
		if c.last-slowest < s.maxPending {
			return nil
		}
		select {
		case <-s.moved:
		case <-ctx.Done():
			return fmt.Errorf("interrupted while waiting for a sink: %w", context.Cause(ctx))
		}
	}
}

// closed notes that the spools are closed: what they have not written is lost.
func (s *Store) closed() {
	for _, c := range s.classes {
		c.close()
	}
}

// addTo adds what became of the windows and of their records to a ledger.
func (s *Store) addTo(l *Ledger) {
	l.Windows += s.counts.Windows
	l.Corrections += s.counts.Corrections
	l.Summaries += s.counts.Summaries
	l.Suppressed += s.counts.Suppressed
	l.Records += s.counts.Records
	for _, c := range s.classes {
		stats := c.spool.Stats()
		l.Classes[slices.Index(priorities[:], c.spool.priority)] = ClassLedger{
			Priority: c.spool.priority, Records: c.records, Entries: c.appended,
			Evicted: stats.EvictedEntries, EvictedFrom: stats.EvictedFrom, EvictedUntil: stats.EvictedUntil,
			Thinned: stats.ThinnedEntries, ThinnedFrom: stats.ThinnedFrom, ThinnedUntil: stats.ThinnedUntil,
			Dropped: c.dropped.entries, DroppedRecords: c.dropped.records, DroppedFrom: c.dropped.from, DroppedUntil: c.dropped.until, DropCause: c.dropped.cause,
		}
	}
}

// lastStored finds the sequence of the last record in the folder of one spool: of
// its last entry, or of what its cursors have acknowledged where that is gone
// already.
func lastStored(dir string) (sequence uint64, err error) {
	info, err := spool.Inspect(dir)
	if err != nil {
		return 0, err
	}
	for _, c := range info.Cursors {
		sequence = max(sequence, parseNote(c.Note).sequence)
	}
	var decoder uplink.BatchDecoder
	var records []uplink.Record
	var last []byte
	for entry, err := range spool.Scan(dir) {
		if err != nil {
			return 0, err
		}
		last = append(last[:0], entry.Payload...)
	}
	if last != nil {
		records, err = decoder.Decode(last, nil)
		if err != nil {
			return 0, fmt.Errorf("the last entry: %w", err)
		}
		if len(records) == 0 {
			return 0, errors.New("the last entry holds no record")
		}
		sequence = max(sequence, records[len(records)-1].Sequence)
	}
	return sequence, nil
}
