package spool

import "fmt"

// highWater is what the spool must know beyond its chapters: which indexes may
// have been given out, so that none is used twice, and how far chapters were
// removed on purpose. It is kept in the slot file high-water.
//
// Indexes are reserved in blocks before they are given out. Only an orderly
// Close gives the rest of the block back; after a crash the next index is the
// one behind the block, because a reader may have handed any of them on before
// the power went.
type highWater struct {
	clean     bool   // closed in order: next is exact
	unsynced  bool   // any chapter may not be durable, as nobody asked for it
	last      uint64 // the last index that stood in the chapters
	after     uint64 // the last index known to have been given out
	next      uint64 // the next index to give out
	reserved  uint64 // the last index that may have been given out
	removedTo uint64 // chapters up to this index were released or evicted
	// holes are where chapters beyond removedTo were released, between others
	// that are still wanted.
	holes []Span

	evictedTo      uint64 // the last evicted index
	evictedEntries uint64
	evictedBytes   uint64
	quarantined    uint64 // bytes ever put in quarantine
	discarded      uint64 // of them, deleted to keep it within its bound

	// The times of the oldest and the newest evicted entry, in ns since 1970; 0
	// for none.
	evictedFrom, evictedUntil int64

	// Entries that were merged into others, the bytes saved by that, and the times
	// of the oldest and the newest entry of their chapters.
	thinnedEntries, thinnedBytes uint64
	thinnedFrom, thinnedUntil    int64
}

const highWaterVersion = 3

// maxHoles is as many as fit into a slot, with room for later fields.
const maxHoles = 200

// reserveBlock is how many indexes are reserved at once. A block costs one
// write of a page.
const reserveBlock = 4096

// The value: version u64, flags u64 (bit 0: clean, bit 1:
// unsynced), then the numbers in the
// order of the fields, u64 each; from version 2 on also those behind quarantined,
// the number of holes u64 and
// the holes, first and last index u64 each; from version 3 on the four numbers
// about what was thinned. What a later version appends is
// ignored.
func (h highWater) encode() []byte {
	var flags uint64
	if h.clean {
		flags = 1
	}
	if h.unsynced {
		flags |= 2
	}
	b := appendNumbers(nil, highWaterVersion, flags, h.last, h.after, h.next, h.reserved, h.removedTo,
		h.evictedTo, h.evictedEntries, h.evictedBytes, h.quarantined)
	b = appendNumbers(b, h.discarded, uint64(h.evictedFrom), uint64(h.evictedUntil))
	b = appendSpans(b, h.holes)
	return appendNumbers(b, h.thinnedEntries, h.thinnedBytes, uint64(h.thinnedFrom), uint64(h.thinnedUntil))
}

func parseHighWater(b []byte) (highWater, error) {
	f := fields{b: b, ok: true}
	version := f.uint64() // meta refuses what is too new
	flags := f.uint64()
	h := highWater{clean: flags&1 != 0, unsynced: flags&2 != 0}
	for _, n := range []*uint64{&h.last, &h.after, &h.next, &h.reserved, &h.removedTo,
		&h.evictedTo, &h.evictedEntries, &h.evictedBytes, &h.quarantined} {
		*n = f.uint64()
	}
	if version > 1 {
		h.discarded = f.uint64()
		h.evictedFrom, h.evictedUntil = int64(f.uint64()), int64(f.uint64())
		h.holes = f.spans(0, maxHoles)
	}
	if version > 2 {
		h.thinnedEntries, h.thinnedBytes = f.uint64(), f.uint64()
		h.thinnedFrom, h.thinnedUntil = int64(f.uint64()), int64(f.uint64())
	}
	if !f.ok || h.after >= h.next || h.next > h.reserved+1 || h.evictedTo > h.removedTo || h.removedTo >= h.next {
		return highWater{}, fmt.Errorf("high-water: its numbers contradict one another: %w", errDamaged)
	}
	return h, nil
}

// hole returns the hole that an index is in.
func (h *highWater) hole(index uint64) (Span, bool) {
	for _, s := range h.holes {
		if s.From <= index && index <= s.To {
			return s, true
		}
	}
	return Span{}, false
}
