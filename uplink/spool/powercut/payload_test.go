//go:build linux

package powercut

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
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

// note goes with an acknowledgement.
func note(index uint64) []byte { return binary.LittleEndian.AppendUint64([]byte("note"), index) }
