package spool

import (
	"cmp"
	"slices"
)

// counters are what Stats counts since Open. They are guarded by Spool.mu.
type counters struct {
	appended, released, missing    uint64
	payloadBytes, segmentBytes     uint64
	dropped, droppedBytes          uint64
	syncs, syncErrors, writeErrors uint64
}

// Stats is a snapshot of a spool. Counts are since Open where nothing else is
// said.
type Stats struct {
	First   uint64 // index of the oldest entry; Next if there is none
	Next    uint64 // index of the entry to be appended next
	Durable uint64 // highest index that survives a power cut

	Entries  uint64 // readable entries in the spool
	Bytes    int64  // in chapters; with what waits to be written
	Chapters int

	Appended     uint64 // entries
	PayloadBytes uint64 // appended
	SegmentBytes uint64 // written to chapters; the rest is overhead of the format
	Released     uint64 // entries removed because all cursors had passed them
	Missing      uint64 // entries found lost or unreadable, at Open and since

	// Since the spool was made: the entries that were evicted before all cursors
	// had acknowledged them, the bytes of their chapters, and the last such
	// index; and the damaged bytes that were set aside.
	EvictedEntries, EvictedBytes, EvictedTo uint64
	QuarantinedBytes                        uint64

	Syncs       uint64 // fsync calls, those for names of files left out
	SyncErrors  uint64
	WriteErrors uint64

	Cursors []CursorStats // sorted by name
}

// CursorStats is the place of one cursor. The five counts account for each
// index from Start on:
//
//	Next - Start = Acknowledged + Pending + Evicted + Missing + Skipped
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
		Syncs: c.syncs, SyncErrors: c.syncErrors, WriteErrors: c.writeErrors,
		Entries: s.next - 1 - s.flushed,
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
		})
	}
	slices.SortFunc(st.Cursors, func(a, b CursorStats) int { return cmp.Compare(a.Name, b.Name) })
	return st
}
