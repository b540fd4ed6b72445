//go:build linux

package powercut

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"

	"milepost/uplink/spool"
)

// An entry's payload follows from its index and from the run of the writer that
// appended it, so that each can be checked without having been kept.
const (
	payloadHeader = 8 + 4 // index, run
	maxPayload    = payloadHeader + 12<<10
)

// payload makes the payload of an entry. Most are small, some are larger than a
// page or a chapter.
func payload(index uint64, run uint32) []byte {
	random := rand.New(rand.NewPCG(index, uint64(run)))
	size := random.IntN(300)
	switch random.IntN(100) {
	case 0:
		size = random.IntN(maxPayload - payloadHeader)
	case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
		size = random.IntN(3 << 10)
	}
	p := binary.LittleEndian.AppendUint64(nil, index)
	p = binary.LittleEndian.AppendUint32(p, run)
	for len(p) < payloadHeader+size {
		p = binary.LittleEndian.AppendUint64(p, random.Uint64())
	}
	return p[:payloadHeader+size]
}

// checkPayload says which run has appended an entry, and whether it is whole.
func checkPayload(index uint64, p []byte) (run uint32, err error) {
	if len(p) < payloadHeader {
		return 0, fmt.Errorf("entry %d has %d bytes", index, len(p))
	}
	if is := binary.LittleEndian.Uint64(p); is != index {
		return 0, fmt.Errorf("entry %d is entry %d", index, is)
	}
	run = binary.LittleEndian.Uint32(p[8:])
	if !bytes.Equal(p, payload(index, run)) {
		return run, fmt.Errorf("entry %d of run %d has other bytes than were appended", index, run)
	}
	return run, nil
}

// part is what an entry was made of: one that was appended, or several.
type part struct {
	index uint64
	run   uint32
}

// mergedMark begins an entry that was merged from others. No index is like it.
var mergedMark = bytes.Repeat([]byte{0xff}, 8)

// partsOf takes an entry apart, and checks what is left of each part.
func partsOf(index uint64, p []byte) (parts []part, err error) {
	rest, merged := bytes.CutPrefix(p, mergedMark)
	if !merged {
		run, err := checkPayload(index, p)
		return []part{{index, run}}, err
	}
	for len(rest) >= 12 {
		parts = append(parts, part{binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint32(rest[8:])})
		rest = rest[12:]
	}
	if len(rest) > 0 || len(parts) < 2 || parts[0].index != index {
		return nil, fmt.Errorf("entry %d is merged from %v and %d bytes", index, parts, len(rest))
	}
	return parts, nil
}

// thinning merges up to four entries, and four of those.
var thinning = &spool.Thinning{Steps: 2, Merge: func(_ int, entries iter.Seq[spool.Entry], put func(uint64, []byte) error) (err error) {
	var merged []byte
	var first uint64
	n := 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		n = 0
		return put(first, merged)
	}
	for e := range entries {
		parts, err := partsOf(e.Index, e.Payload)
		if err != nil {
			return err
		}
		switch {
		case n == 0:
			merged, first = append(merged[:0], e.Payload...), e.Index
		case n == 1 && !bytes.HasPrefix(merged, mergedMark):
			run := binary.LittleEndian.Uint32(merged[8:])
			merged = append(merged[:0], mergedMark...)
			merged = binary.LittleEndian.AppendUint64(merged, first)
			merged = binary.LittleEndian.AppendUint32(merged, run)
		}
		for _, p := range parts {
			if n == 0 {
				break
			}
			merged = binary.LittleEndian.AppendUint64(merged, p.index)
			merged = binary.LittleEndian.AppendUint32(merged, p.run)
		}
		if n++; n == 4 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}}

// note goes with an acknowledgement.
func note(index uint64) []byte { return binary.LittleEndian.AppendUint64([]byte("note"), index) }
