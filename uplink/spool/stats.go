package spool

import (
	"slices"
	"sort"
	"time"
)

// counters are what Stats counts since Open. They are guarded by Spool.mu.
type counters struct {
	appended, released, missing    uint64
	payloadBytes, segmentBytes     uint64
	dropped, droppedBytes          uint64
	droppedFrom, droppedUntil      time.Time
	syncs, syncErrors, writeErrors uint64
}

// Stats is a snapshot of a spool. Counts are since Open where nothing else is
// said.
type Stats struct {
	First   uint64 // index of the oldest entry; Next if there is none
	Next    uint64 // index of the entry to be appended next
	Durable uint64 // highest index that survives a power cut

	Entries  uint64 // readable entries in the spool
	Waiting  uint64 // those of Entries that are in memory only; after Close, they were never written
	Bytes    int64  // in chapters; with what waits to be written
	Chapters int

	Appended     uint64 // entries
	PayloadBytes uint64 // appended
	SegmentBytes uint64 // written to chapters; the rest is overhead of the format
	Released     uint64 // entries removed because all cursors had passed them
	Missing      uint64 // entries found lost or unreadable, at Open and since

	// State says where entries go at present, Cause why they do not go to disk,
	// and Since when that began.
	State State
	Cause string
	Since time.Time
	// Dropped entries were not taken by Append, because the disk took nothing and
	// memory was full, or no index could be reserved; and when the first and last
	// were.
	Dropped, DroppedBytes     uint64
	DroppedFrom, DroppedUntil time.Time

	// Since the spool was made: the entries that were evicted before all cursors
	// had acknowledged them, the bytes of their chapters, and the last such
	// index; and the damaged bytes that were set aside.
	EvictedEntries, EvictedBytes, EvictedTo uint64
	QuarantinedBytes                        uint64
	// EvictedFrom and EvictedUntil are the times of the oldest and the newest of
	// the evicted chapters' entries, as AppendAt was given them; zero if nothing
	// is known.
	EvictedFrom, EvictedUntil time.Time
	// Thinned entries were merged into others for the quota (Options.Thin), also
	// since the spool was made; that saved ThinnedBytes. From and Until are the
	// times of the chapters that they were in.
	ThinnedEntries, ThinnedBytes uint64
	ThinnedFrom, ThinnedUntil    time.Time
	// DiscardedBytes of those were deleted for Options.QuarantineBytes.
	DiscardedBytes uint64

	// WrittenBytes is how much was written to files: chapters, cursors and marks,
	// but not what the file system adds. Slots count with what is written of them.
	WrittenBytes uint64
	// Amplification is WrittenBytes by PayloadBytes, 0 before the first entry.
	Amplification float64
	Opened        time.Time

	Syncs       uint64 // fsync calls, those for names of files left out
	SyncErrors  uint64
	WriteErrors uint64

	Cursors []CursorStats // sorted by name
}

// CursorStats is the place of one cursor. The six counts account for each
// index from Start on:
//
//	Next - Start = Acknowledged + Pending + Evicted + Missing + Skipped + Thinned
type CursorStats struct {
	Name  string
	Open  bool
	Start uint64 // the first index that concerns the cursor
	Acked uint64 // all up to here is acknowledged or gone; Start-1 at first
	Done  []Span // acknowledged beyond Acked

	Acknowledged uint64 // entries
	Pending      uint64 // readable entries that are not acknowledged
	Evicted      uint64 // entries removed for the quota before they were acknowledged
	Missing      uint64 // entries that were lost or are unreadable
	Skipped      uint64 // indexes set aside before a crash, or released before the cursor was made
	Thinned      uint64 // entries that became a part of others before they were acknowledged
}

// State says where entries go.
type State int

const (
	Storing  State = iota // to disk
	InMemory              // they wait in memory, or in the kernel's, as the disk fails
	Dropping              // memory is full, too: the last one was not taken
)

func (s State) String() string {
	switch s {
	case Storing:
		return "storing"
	case InMemory:
		return "in memory"
	case Dropping:
		return "dropping"
	}
	return "unknown"
}

func (s *Spool) stateLocked() State {
	switch {
	case s.dropping:
		return Dropping
	case s.failure != nil || s.syncFailure != nil:
		return InMemory
	}
	return Storing
}

// Stats returns a snapshot.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counters
	st := Stats{
		First: s.oldestLocked(), Next: s.next, Durable: s.durable,
		Bytes: s.bytes + s.queued, Chapters: len(s.chapters),
		Appended: c.appended, PayloadBytes: c.payloadBytes, SegmentBytes: c.segmentBytes, Released: c.released, Missing: c.missing,
		EvictedEntries: s.water.evictedEntries, EvictedBytes: s.water.evictedBytes, EvictedTo: s.water.evictedTo, QuarantinedBytes: s.water.quarantined,
		DiscardedBytes: s.water.discarded,
		Dropped:        c.dropped, DroppedBytes: c.droppedBytes, DroppedFrom: c.droppedFrom, DroppedUntil: c.droppedUntil,
		WrittenBytes: s.written.Load(), Opened: s.opened,
		Syncs: c.syncs, SyncErrors: c.syncErrors, WriteErrors: c.writeErrors,
		Entries: s.next - 1 - s.flushed, Waiting: s.next - 1 - s.flushed,
	}
	st.EvictedFrom, st.EvictedUntil = timeRange{s.water.evictedFrom, s.water.evictedUntil}.times()
	st.ThinnedEntries, st.ThinnedBytes = s.water.thinnedEntries, s.water.thinnedBytes
	st.ThinnedFrom, st.ThinnedUntil = timeRange{s.water.thinnedFrom, s.water.thinnedUntil}.times()
	if st.PayloadBytes > 0 {
		st.Amplification = float64(st.WrittenBytes) / float64(st.PayloadBytes)
	}
	if st.State = s.stateLocked(); st.State != Storing {
		cause := s.syncFailure
		st.Since = s.syncFailedSince
		if s.failure != nil {
			cause, st.Since = s.failure, s.failingSince
		}
		if cause != nil {
			st.Cause = cause.Error()
		}
	}
	for _, ch := range s.chapters {
		st.Entries += ch.entries()
	}
	for _, p := range s.cursors {
		var t tally
		for _, gap := range p.accounted.gaps(nil, p.start, s.next-1) {
			t.add(s.tallyLocked(gap.From, gap.To))
		}
		st.Cursors = append(st.Cursors, CursorStats{
			Name: p.name, Open: p.open, Start: p.start, Acked: p.acked, Done: slices.Clone(p.accounted.islands),
			Acknowledged: p.acknowledged, Pending: t.entries,
			Evicted: p.evicted + t.evicted, Missing: p.missing + t.missing, Skipped: p.skipped + t.skipped,
			Thinned: p.thinned + t.thinned,
		})
	}
	sort.Slice(st.Cursors, func(i, j int) bool { return st.Cursors[i].Name < st.Cursors[j].Name })
	return st
}
