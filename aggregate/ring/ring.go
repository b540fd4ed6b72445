// Package ring is a lock-free ring of window slots between one writer, the
// source that collects samples, and one closer, which summarises and releases
// the windows that the writer has completed.
//
// # Why it needs no lock
//
// Windows are numbered; window w lives in slot w mod size. Two counters say who
// owns a slot:
//
//	       released            complete              released+size
//	  ────────┼───────────────────┼──────────────────────┼────────
//	the past  │  the closer's     │  the writer's        │ not yet
//
// Only the writer stores complete, only the closer stores released, and neither
// ever decreases. The writer touches slot w only while complete <= w <
// released+size, the closer only while released <= w < complete, so that no
// slot ever has two owners.
//
// A slot changes hands twice, and each time over one atomic store that the
// other side has loaded (Go memory model: the store happens before a load that
// observes it):
//
//   - writer to closer: all writes to slot w are sequenced before the store
//     complete > w; the closer reads the slot after loading complete > w.
//   - closer to writer: all that the closer does with slot w is sequenced
//     before the store released > w; the writer touches the slot again, as
//     window w+size, after loading released > w.
//
// Samples are never handed over one by one: the two stores are all the
// synchronisation there is, one pair a window, however many samples it holds.
package ring

import "sync/atomic"

// Ring holds size windows of type T.
type Ring[T any] struct {
	slots []slot[T]
	mask  int64
	_     [64]byte // the writer's and the closer's counters on cache lines of their own
	// complete: all windows below it are complete. Stored by the writer.
	complete atomic.Int64
	_        [64]byte
	// released: all windows below it are free for reuse. Stored by the closer.
	released atomic.Int64
	_        [64]byte
}

type slot[T any] struct {
	// window is the window that the value belongs to; used is false for a slot
	// that nothing was written to since it was released. Both belong to the
	// slot's owner.
	window int64
	used   bool
	value  T
}

// New makes a ring of at least size slots (rounded up to a power of two) whose
// windows begin at number first.
func New[T any](size int, first int64) *Ring[T] {
	n := 1
	for n < size {
		n *= 2
	}
	r := &Ring[T]{slots: make([]slot[T], n), mask: int64(n - 1)}
	r.complete.Store(first)
	r.released.Store(first)
	return r
}

// State says whether the writer may write to a window.
type State uint8

const (
	// Open: the window may be written to.
	Open State = iota
	// Late: the window is complete already.
	Late
	// Full: the window is too far ahead of what the closer has released.
	Full
)

// Slot gives the writer the value of window w, if w is open; fresh says that it
// is the first time since the slot was released. The writer only.
func (r *Ring[T]) Slot(w int64) (value *T, fresh bool, state State) {
	switch {
	case w < r.complete.Load():
		return nil, false, Late
	case w >= r.released.Load()+int64(len(r.slots)):
		return nil, false, Full
	}
	s := &r.slots[w&r.mask]
	fresh = !s.used
	s.window, s.used = w, true
	return &s.value, fresh, Open
}

// Complete declares all windows below w complete. It never goes back. The
// writer only.
func (r *Ring[T]) Complete(w int64) {
	if w > r.complete.Load() {
		r.complete.Store(w)
	}
}

// Completed is the number below which all windows are complete.
func (r *Ring[T]) Completed() int64 { return r.complete.Load() }

// Close calls f for every complete window that was written to, in ascending
// order, and releases them. What f leaves in the value is what the writer finds
// in it when the slot is used again. The closer only.
func (r *Ring[T]) Close(f func(w int64, value *T)) {
	complete := r.complete.Load()
	released := r.released.Load()
	// However far complete has jumped, only size windows can have been written to.
	for w := released; w < min(complete, released+int64(len(r.slots))); w++ {
		s := &r.slots[w&r.mask]
		if s.used {
			f(s.window, &s.value)
			s.used = false
		}
	}
	if complete > released {
		r.released.Store(complete)
	}
}

// Each calls f for every open window that was written to, in ascending order. Only
// where the writer is the closer, too.
func (r *Ring[T]) Each(f func(w int64, value *T)) {
	first := r.complete.Load()
	for w := first; w < first+int64(len(r.slots)); w++ {
		if s := &r.slots[w&r.mask]; s.used && s.window == w {
			f(w, &s.value)
		}
	}
}

// Pending says whether Close would find anything complete. Either side may ask.
func (r *Ring[T]) Pending() bool { return r.complete.Load() > r.released.Load() }
