package canlog

import (
	"encoding/binary"
	"math/bits"

	"milepost/can"
)

// rememberedFrames is how many delivered frames an overlapFilter remembers. It
// is a power of two.
const rememberedFrames = 8192

// overlapFilter recognises frames that another source has delivered before,
// with the memory of a fixed number of frames.
type overlapFilter struct {
	sources int
	dropped uint64
	// ring holds the delivered frames, each different one once; cursor is where
	// the oldest one is.
	ring   []remembered
	cursor int32
	// had[slot*sources+source] is how many of the frames in the ring's slot the
	// source had so far.
	had []uint32
	// heads and remembered.next chain the slots of equal hashes, plus one; 0 ends
	// a chain.
	heads []int32
}

type remembered struct {
	frame can.Frame
	hash  uint32
	next  int32
	// delivered is how many equal frames were delivered; 0 in an unused slot.
	delivered uint32
}

func newOverlapFilter(sources int) *overlapFilter {
	return &overlapFilter{
		sources: sources,
		ring:    make([]remembered, rememberedFrames),
		had:     make([]uint32, rememberedFrames*sources),
		heads:   make([]int32, rememberedFrames),
	}
}

// drop reports whether a frame of a source is to be dropped, and remembers it.
func (o *overlapFilter) drop(source int, f *can.Frame) bool {
	hash := hashFrame(f)
	head := &o.heads[hash%rememberedFrames]
	for next := *head; next != 0; next = o.ring[next-1].next {
		r := &o.ring[next-1]
		if r.hash != hash || !sameFrame(&r.frame, f) {
			continue
		}
		had := &o.had[int(next-1)*o.sources+source]
		if *had++; *had <= r.delivered {
			o.dropped++
			return true
		}
		r.delivered++
		return false
	}
	slot := o.cursor
	o.cursor = (o.cursor + 1) % rememberedFrames
	r := &o.ring[slot]
	if r.delivered > 0 {
		o.unlink(slot)
	}
	counts := o.had[int(slot)*o.sources:][:o.sources]
	clear(counts)
	counts[source] = 1
	*r = remembered{frame: *f, hash: hash, next: *head, delivered: 1}
	*head = slot + 1
	return false
}

// unlink takes a slot out of its chain.
func (o *overlapFilter) unlink(slot int32) {
	link := &o.heads[o.ring[slot].hash%rememberedFrames]
	for *link != slot+1 {
		link = &o.ring[*link-1].next
	}
	*link = o.ring[slot].next
}

func hashFrame(f *can.Frame) uint32 {
	const k = 0x9E3779B97F4A7C15
	h := uint64(f.Time)*k ^ uint64(f.ID)<<16 ^ uint64(f.Bus)
	payload := f.Payload()
	for i := 0; i < len(payload); i += 8 {
		h = bits.RotateLeft64(h*k, 29) ^ binary.LittleEndian.Uint64(f.Data[i:])
	}
	return uint32(h * k >> 32)
}

// sameFrame compares all but Stream, which follows from the rest.
func sameFrame(a, b *can.Frame) bool {
	return a.Time == b.Time && a.ID == b.ID && a.Bus == b.Bus && a.Len == b.Len &&
		a.RawDLC == b.RawDLC && a.Flags == b.Flags &&
		string(a.Payload()) == string(b.Payload())
}
