package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// batchBytes is the size at which a batch goes into the spool: large enough
// that the description of its series weighs little, small enough to be sent and
// sent again.
const batchBytes = 256 << 10

// Store numbers and encodes the summaries of windows and appends them to the
// spool. It belongs to one goroutine, but for Acked.
type Store struct {
	spool     *spool.Spool
	encoder   *uplink.BatchEncoder
	exception *exceptionFilter
	// resume is the sequence of the last record that an earlier run stored: up to
	// there records are made again, and not stored again.
	resume uint64
	// maxPending is how many entries may wait to be acknowledged by every cursor
	// before Put waits; 0 is any number.
	maxPending uint64
	span       int64 // see StoreOptions.Span
	begun      int64 // start of the open batch's first window

	counts storeCounts
	last   uint64 // index of the last appended entry

	mu    sync.Mutex
	acked map[string]uint64 // by cursor
	moved chan struct{}     // something was acknowledged
}

// storeCounts is what became of windows.
type storeCounts struct {
	Windows, Corrections, Summaries, Suppressed, Records, Resumed uint64
}

// StoreOptions say what a Store does beyond the plain thing.
type StoreOptions struct {
	Device string
	Boot   uplink.BootID
	// Resume is the sequence of the last record that is stored already, 0 if
	// none is.
	Resume uint64
	// Refresh turns reporting by exception on and says how often everything is
	// sent all the same, in nanoseconds.
	Refresh int64
	// MaxPending is how many entries may be waiting to be delivered before Put
	// waits for the slowest sink; 0 for no limit.
	MaxPending uint64
	// Span is how much event time, in nanoseconds, a batch may wait to be filled;
	// 0 is any. A small one stores every window at once.
	Span int64
}

// NewStore makes a Store over an open spool.
func NewStore(s *spool.Spool, o StoreOptions) *Store {
	return &Store{
		spool:      s,
		encoder:    uplink.NewBatchEncoder(o.Device, o.Boot, 1),
		exception:  newExceptionFilter(o.Refresh),
		resume:     o.Resume,
		maxPending: o.MaxPending,
		span:       o.Span,
		acked:      make(map[string]uint64),
		moved:      make(chan struct{}, 1),
	}
}

// Put stores a window and releases it.
func (s *Store) Put(ctx context.Context, w *aggregate.Window) error {
	s.counts.Windows++
	if w.Revision != 0 {
		s.counts.Corrections++
	}
	if s.exception != nil {
		suppressed := s.exception.apply(w)
		s.counts.Suppressed += suppressed
		s.counts.Summaries += suppressed
	}
	if s.encoder.Records() == 0 {
		s.begun = w.Start
	}
	full := s.span > 0 && w.Start+w.Duration-s.begun >= s.span
	n := uint64(s.encoder.Add(w))
	w.Release()
	s.counts.Records += n
	s.counts.Summaries += n
	// What was stored before ends a batch here too, whatever the batches of that
	// run were like: those of another speed or version have other sizes.
	resumed := s.resume != 0 && s.encoder.Sequence()-1 == s.resume
	if full || resumed || s.encoder.Size() >= batchBytes {
		return s.Flush(ctx)
	}
	return nil
}

// Flush appends what has not gone into the spool yet.
func (s *Store) Flush(ctx context.Context) error {
	records := uint64(s.encoder.Records())
	end := s.encoder.Sequence() - 1
	payload := s.encoder.Take()
	if payload == nil {
		return nil
	}
	if end <= s.resume {
		s.counts.Resumed += records
		return nil
	}
	if end-records < s.resume {
		return fmt.Errorf("the spool ends at record %d, in the middle of a window (records %d to %d): it is not of this replay; use another --spool", s.resume, end-records+1, end)
	}
	if err := s.wait(ctx); err != nil {
		return err
	}
	index, err := s.spool.Append(payload)
	if err != nil {
		return fmt.Errorf("store records %d to %d: %w", end-records+1, end, err)
	}
	s.last = index
	return nil
}

// Acked notes that a cursor has acknowledged the entries up to index. Safe for
// concurrent use.
func (s *Store) Acked(cursor string, index uint64) {
	s.mu.Lock()
	s.acked[cursor] = index
	s.mu.Unlock()
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// wait waits until there is room for another entry.
func (s *Store) wait(ctx context.Context) error {
	if s.maxPending == 0 {
		return nil
	}
	for {
		s.mu.Lock()
		slowest := s.last
		for _, index := range s.acked {
			slowest = min(slowest, index)
		}
		s.mu.Unlock()
		if s.last-slowest < s.maxPending {
			return nil
		}
		select {
		case <-s.moved:
		case <-ctx.Done():
			return fmt.Errorf("interrupted while waiting for a sink: %w", context.Cause(ctx))
		}
	}
}

// addTo adds what became of the windows to a ledger.
func (s *Store) addTo(l *Ledger) {
	l.Windows += s.counts.Windows
	l.Corrections += s.counts.Corrections
	l.Summaries += s.counts.Summaries
	l.Suppressed += s.counts.Suppressed
	l.Records += s.counts.Records
}

// note is what a cursor keeps with an acknowledgement: the sequence of the last
// record that the sink has, and the sink's own note.
func note(sequence uint64, sink []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, sequence), sink...)
}

// splitNote takes a note apart; an empty or foreign one says nothing.
func splitNote(n []byte) (sequence uint64, sink []byte) {
	if len(n) < 8 {
		return 0, nil
	}
	return binary.LittleEndian.Uint64(n), n[8:]
}

// LastStored finds the sequence of the last record in a spool directory: of its
// last entry, or of what its cursors have acknowledged where that is gone
// already.
func LastStored(dir string) (sequence uint64, err error) {
	info, err := spool.Inspect(dir)
	if err != nil {
		return 0, err
	}
	for _, c := range info.Cursors {
		acked, _ := splitNote(c.Note)
		sequence = max(sequence, acked)
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
