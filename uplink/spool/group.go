package spool

import (
	"encoding/binary"
	"time"
)

// Entries are collected in groups, and a group is written as one entry of
// tidwall/wal: the library keeps all of the segment that it writes in a buffer
// that grows by a quarter at a time, so many small entries would cost several
// times their bytes in garbage. A group of several entries begins with a header;
// behind it stand records as they are, and the header is nothing but a mark
// between two records for who reads them.
//
//	┌─────────┬──────┬──────┬────┬────────┬─────────┬─────────────┬────────┬────────┬─────────┐
//	│ length  │ 'm'  │ 's'  │ v  │  kind  │ CRC-32C │ first index │  from  │ until  │ records │
//	│ uvarint │ 0x6d │ 0x73 │ 2  │   2    │   u32   │     u64     │  i64   │  i64   │         │
//	└─────────┴──────┴──────┴────┴────────┴─────────┴─────────────┴────────┴────────┴─────────┘
//	 1 to 4     +0     +1     +2    +3      +4..+7     +8..+15     +16      +24      +32
//
// The checksum covers +0..+3 and +8..+31, not the records: those have their own.
// From and until are the times of the oldest and the newest entry, in ns since
// 1970.
const (
	groupVersion = 2
	kindGroup    = 2
	groupHeader  = 32

	// groupStart is where a group's header ends in its buffer: in front of it is
	// room for the length that belongs to tidwall/wal.
	groupStart = maxLength + groupHeader

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
	times      timeRange
	buf        []byte // room for the length and the header, and records
}

// timeRange is a range of times in ns since 1970; both are 0 where nothing is
// known.
type timeRange struct{ from, until int64 }

func (r *timeRange) add(other timeRange) {
	switch {
	case other == timeRange{}:
	case *r == timeRange{}:
		*r = other
	default:
		r.from, r.until = min(r.from, other.from), max(r.until, other.until)
	}
}

func timesOf(from, until time.Time) timeRange { return timeRange{from.UnixNano(), until.UnixNano()} }

// times returns the range, or zero times where it is not known.
func (r timeRange) times() (from, until time.Time) {
	if r == (timeRange{}) {
		return from, until
	}
	return time.Unix(0, r.from), time.Unix(0, r.until)
}

func (g *group) begin(base uint64) {
	g.base, g.last, g.times = base, base-1, timeRange{}
	g.buf = append(g.buf[:0], make([]byte, groupStart)...)
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
func (g *group) bytes() int64 { return recordSize(len(g.buf) - maxLength - frameHeader) }

// entry is what tidwall/wal is given.
func (g *group) entry() []byte {
	entry := g.buf[maxLength:]
	header := append(entry[:0], magic0, magic1, groupVersion, kindGroup, 0, 0, 0, 0)
	header = appendNumbers(header, g.base, uint64(g.times.from), uint64(g.times.until))
	binary.LittleEndian.PutUint32(header[4:], frameSum(header))
	return entry
}

// stored is the group as it stands in a segment: what tidwall/wal would make of
// entry.
func (g *group) stored() []byte {
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(g.entry())))
	stored := g.buf[maxLength-n:]
	copy(stored, length[:n])
	return stored
}

// record returns the record with an index, and where the next one begins. The
// place of the first is groupStart.
func (g *group) record(at int) (rec record, next int) {
	length, n := binary.Uvarint(g.buf[at:])
	frame := g.buf[at+n : at+n+int(length)]
	return record{index: binary.LittleEndian.Uint64(frame[8:]), payload: frame[frameHeader:], compressed: frame[3] == kindCompressed}, at + n + int(length)
}
