package spool

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// place is a cursor as it stands on disk, in a slot file of its name. It is
// guarded by Spool.mu, but for slots, which belong to who holds Spool.syncing.
//
// Each index from start on that is accounted for is counted in one of the five
// sums; the others are pending. So at any time
// next - start = acknowledged + evicted + missing + skipped + thinned + pending.
type place struct {
	name  string
	start uint64 // the first index that concerns it
	// acked is the last index up to which all is acknowledged or gone; at most
	// accounted.floor, which also counts what was evicted behind it.
	acked                                   uint64
	accounted                               reach // the indexes in the sums
	acknowledged, evicted, missing, skipped uint64
	thinned                                 uint64
	note                                    []byte

	open      bool
	waiting   bool // for a token in wake
	dirty     bool
	unseen    []Span // evicted since the reader last looked; the newest few
	persisted reach  // accounted as it is on disk
	slots     *slotFile
	wake      chan struct{}
}

const placeVersion = 3

func newPlace(name string) *place { return &place{name: name, wake: make(chan struct{}, 1)} }

func (p *place) begin(at uint64) {
	p.start, p.acked, p.accounted, p.persisted = at, at-1, reach{floor: at - 1}, reach{floor: at - 1}
}

// The value: version u64, then start, acked, the floor of accounted,
// acknowledged, evicted, missing, skipped and the length of the note, u64 each,
// and the note. From version 2 on, the number of islands u64 and the islands,
// first and last index u64 each. From version 3 on, the number of thinned indexes
// u64.
func (p *place) encode() []byte {
	b := appendNumbers(nil, placeVersion, p.start, p.acked, p.accounted.floor,
		p.acknowledged, p.evicted, p.missing, p.skipped, uint64(len(p.note)))
	return appendNumbers(appendSpans(append(b, p.note...), p.accounted.islands), p.thinned)
}

func (p *place) decode(b []byte) error {
	f := fields{b: b, ok: true}
	version := f.uint64() // meta refuses what is too new
	for _, n := range []*uint64{&p.start, &p.acked, &p.accounted.floor, &p.acknowledged, &p.evicted, &p.missing, &p.skipped} {
		*n = f.uint64()
	}
	n := f.uint64()
	if f.ok = f.ok && n <= MaxNote && n <= uint64(len(f.b)); f.ok {
		p.note = slices.Clone(f.b[:n])
		f.b = f.b[n:]
	}
	p.accounted.islands = nil
	if version > 1 {
		p.accounted.islands = f.spans(p.accounted.floor, MaxSpans)
	}
	if p.thinned = 0; version > 2 {
		p.thinned = f.uint64()
	}
	if !f.ok || p.start == 0 || p.acked > p.accounted.floor || p.accounted.floor+1 < p.start || p.accounted.floor >= maxIndex {
		return fmt.Errorf("cursor: its numbers contradict one another: %w", errDamaged)
	}
	p.persisted = p.accounted.clone()
	return nil
}

// create makes the slot file and writes the position to it.
func (p *place) create(fsys fileSystem, dir string) (err error) {
	p.slots = &slotFile{fs: fsys, name: filepath.Join(dir, p.name)}
	if err = p.slots.put(p.encode()); err != nil {
		p.slots.close()
		fsys.Remove(filepath.Join(dir, p.name))
	}
	return err
}

func validName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '.' || strings.HasSuffix(name, ".TEMP") {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}
