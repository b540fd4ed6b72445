package gateway

import (
	"bytes"
	"slices"

	"milepost/can"
)

// mirrorFilter recognises frames that buses declared as mirrors of one another
// deliver more than once: the first copy counts, whichever bus it comes from.
// Each frame of a bus pairs off with at most one frame of another bus, so that
// two equal frames on one bus stay two.
type mirrorFilter struct {
	mirrors []Mirror
	// group of a bus by its index, -1 where it has no mirror, and what is
	// waiting for its copies.
	groups  []int16
	waiting map[mirrorKey][]waitingFrame
}

type mirrorKey struct {
	group    int16
	id       uint32
	extended bool
}

// waitingFrame is a frame that was let through and may have copies on other buses.
type waitingFrame struct {
	time   int64
	seen   uint32 // buses, by their position in the mirror, that have delivered it
	length uint8
	data   [can.MaxDataLen]byte
}

// maxMirrorBuses is how many buses a Mirror can have.
const maxMirrorBuses = 32

// maxWaiting is how many frames of an arbitration ID may wait for their copies:
// beyond it the oldest one is overdue, whatever the times say.
const maxWaiting = 256

func newMirrorFilter(mirrors []Mirror) *mirrorFilter {
	if len(mirrors) == 0 {
		return nil
	}
	return &mirrorFilter{mirrors: mirrors, waiting: make(map[mirrorKey][]waitingFrame)}
}

// duplicate reports whether another bus has delivered the frame already.
func (m *mirrorFilter) duplicate(source can.Source, f *can.Frame) bool {
	for int(f.Bus) >= len(m.groups) {
		name := source.Buses()[len(m.groups)]
		m.groups = append(m.groups, int16(slices.IndexFunc(m.mirrors, func(mirror Mirror) bool {
			return slices.Contains(mirror.Buses, name)
		})))
	}
	group := m.groups[f.Bus]
	if group < 0 {
		return false
	}
	mirror := &m.mirrors[group]
	bit := uint32(1) << (slices.Index(mirror.Buses, source.Buses()[f.Bus]) % maxMirrorBuses)
	all := uint32(1)<<len(mirror.Buses) - 1
	key := mirrorKey{group, f.ID, f.Is(can.Extended)}
	waiting := m.waiting[key]
	kept := waiting[:0]
	found := false
	for i := range waiting {
		w := &waiting[i]
		if distance := f.Time - w.time; distance > int64(mirror.Within) || -distance > int64(mirror.Within) {
			continue // its copies are overdue
		}
		if !found && w.seen&bit == 0 && w.length == f.Len && bytes.Equal(w.data[:f.Len], f.Payload()) {
			found = true
			if w.seen |= bit; w.seen == all {
				continue
			}
		}
		kept = append(kept, *w)
	}
	if !found {
		if len(kept) == maxWaiting {
			kept = kept[:copy(kept, kept[1:])]
		}
		w := waitingFrame{time: f.Time, seen: bit, length: f.Len}
		copy(w.data[:], f.Payload())
		kept = append(kept, w)
	}
	m.waiting[key] = kept
	return found
}
