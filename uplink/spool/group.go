package spool

import (
	"encoding/binary"
)

// Entries are collected in groups, and a group is written as one entry of
// tidwall/wal: the library keeps all of the segment that it writes in a buffer
// that grows by a quarter at a time, so many small entries would cost several
// times their bytes in garbage. A group of several entries begins with a header;
// behind it stand records as they are, and the header is nothing but a mark
// between two records for who reads them.
//
//	┌─────────┬──────┬──────┬────┬────────┬─────────┬─────────────┬─────────┐
//	│ length  │ 'm'  │ 's'  │ v  │  kind  │ CRC-32C │ first index │ records │
//	│ uvarint │ 0x6d │ 0x73 │ 2  │   2    │   u32   │     u64     │         │
//	└─────────┴──────┴──────┴────┴────────┴─────────┴─────────────┴─────────┘
//	 1 to 4     +0     +1     +2    +3      +4..+7     +8..+15       +16
//
// The checksum covers +0..+3 and the index, not the records: those have their
// own. A group of one entry is written as its record alone.
const (
	groupVersion = 2
	kindGroup    = 2

	// groupBytes is how much is collected before it is written. It is written
	// earlier when a sync is due.
	groupBytes = 256 << 10

	// maxGroups is how many full groups may wait to be written before Append
	// waits for the disk.
	maxGroups = 2
)

// group is a run of entries in memory. It is guarded by Spool.mu while it is
// being filled, and then does not change.
type group struct {
	base, last uint64
	buf        []byte // room for the header, and records
}

func (g *group) begin(base uint64) {
	g.base, g.last = base, base-1
	g.buf = append(g.buf[:0], make([]byte, frameHeader)...)
}

func (g *group) add(index uint64, payload []byte, compressed bool) {
	version, kind := byte(frameVersion), byte(kindEntry)
	if compressed {
		version, kind = compressedVersion, kindCompressed
	}
	g.buf = binary.AppendUvarint(g.buf, uint64(frameHeader+len(payload)))
	g.buf = appendFrame(g.buf, version, kind, index, payload)
	g.last = index
}

// bytes is what the group takes in a segment.
func (g *group) bytes() int64 { return recordSize(len(g.entry()) - frameHeader) }

// entry is what tidwall/wal is given.
func (g *group) entry() []byte {
	if g.base == g.last {
		_, n := binary.Uvarint(g.buf[frameHeader:])
		return g.buf[frameHeader+n:]
	}
	header := append(g.buf[:0], magic0, magic1, groupVersion, kindGroup, 0, 0, 0, 0)
	header = binary.LittleEndian.AppendUint64(header, g.base)
	binary.LittleEndian.PutUint32(header[4:], frameSum(header))
	return g.buf
}

// record returns the record with an index, and where the next one begins. The
// place of the first is frameHeader.
func (g *group) record(at int) (rec record, next int) {
	length, n := binary.Uvarint(g.buf[at:])
	frame := g.buf[at+n : at+n+int(length)]
	return record{index: binary.LittleEndian.Uint64(frame[8:]), payload: frame[frameHeader:], compressed: frame[3] == kindCompressed}, at + n + int(length)
}
