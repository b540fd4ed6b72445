package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// An entry on disk. The outer length belongs to tidwall/wal, which writes
// nothing else; the frame in it is ours. Numbers are little-endian.
//
//	┌─────────┬──────┬───────┬────┬────────┬─────────┬─────────────┐
//	│ length  │ 'm'  │  's'  │ v  │  kind  │ CRC-32C │    index    │ payload
//	│ uvarint │ 0x6d │ 0x73  │ 1  │   1    │   u32   │     u64     │ length-16
//	└─────────┴──────┴───────┴────┴────────┴─────────┴─────────────┘
//	 1 to 4     +0     +1     +2    +3      +4..+7     +8..+15       +16
//
// The checksum covers +0..+3, the index and the payload. Because the index is
// under it, a record that was moved fails as well; because a frame is never
// empty, a tail of zeros is no record. docs/spool-format.md says more.
const (
	frameHeader  = 16
	frameVersion = 1
	kindEntry    = 1
	magic0       = 'm'
	magic1       = 's'

	// maxLength is the longest uvarint that a record may begin with.
	maxLength = 4
)

// MaxEntry is the largest payload that Append takes, in bytes.
const MaxEntry = 64 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends the frame of one entry, without the outer length, to dst.
func appendFrame(dst []byte, version, kind byte, index uint64, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, magic0, magic1, version, kind, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, index)
	dst = append(dst, payload...)
	frame := dst[start:]
	binary.LittleEndian.PutUint32(frame[4:], frameSum(frame))
	return dst
}

func frameSum(frame []byte) uint32 {
	sum := crc32.Update(0, castagnoli, frame[:4])
	return crc32.Update(sum, castagnoli, frame[8:])
}

// recordSize is what an entry with a payload of n bytes takes in a segment.
func recordSize(n int) int64 {
	size := int64(n) + frameHeader
	lengthBytes := int64(1)
	for length := uint64(size); length >= 0x80; length >>= 7 {
		lengthBytes++
	}
	return lengthBytes + size
}

// record is what parseRecord found.
type record struct {
	index   uint64
	payload []byte // a part of the bytes that were parsed
	// group is how many bytes follow a group's header in its group; -1 where the
	// record is an entry.
	group int
	times timeRange // of a group
	// compressed says that the payload is that of a compressed entry; table, that
	// it is the list of a thinned chapter and no entry.
	compressed, table bool
	// cause says what is wrong with a record that is not whole, or why a whole
	// one cannot be read.
	cause string
}

// verdict says how a record looks.
type verdict int

const (
	whole   verdict = iota // present, checksum right
	partial                // more bytes than there are would be needed
	bad                    // not a record, or a damaged one
)

// parseRecord reads the record at the beginning of b. The size is that of the
// record where it is whole; where it is partial, how many bytes it needs at
// least; where it is bad, where the next one may begin, or 0 if nobody knows.
//
// The index of a partial or bad record is a hint: 0, or what its header says.
func parseRecord(b []byte) (rec record, size int, v verdict) {
	rec.group = -1
	length, n := binary.Uvarint(b[:min(len(b), maxLength)])
	switch {
	case n == 0 && len(b) < maxLength:
		return record{cause: "the record breaks off in its length", group: -1}, len(b) + 1, partial
	case n <= 0:
		return record{cause: "no record: the length is not one", group: -1}, 0, bad
	case length < frameHeader:
		return record{cause: "no record: its length is too small", group: -1}, 0, bad
	case length > groupHeader+maxLength+frameHeader+MaxEntry: // a group of the largest entry
		return record{cause: "no record: its length is too large", group: -1}, 0, bad
	}
	size = n + int(length)
	frame := b[n:]
	if len(frame) >= 2 && (frame[0] != magic0 || frame[1] != magic1) {
		return record{cause: "no record: the magic bytes are missing", group: -1}, 0, bad
	}
	if len(frame) >= frameHeader {
		rec.index = binary.LittleEndian.Uint64(frame[8:])
	}
	if len(frame) >= 4 && frame[2] == groupVersion && frame[3] == kindGroup {
		size = n + groupHeader
		if len(frame) < groupHeader {
			rec.cause = "the header of a group breaks off"
			return rec, size, partial
		}
		if length < groupHeader || binary.LittleEndian.Uint32(frame[4:]) != frameSum(frame[:groupHeader]) {
			rec.cause = "the checksum of the header of a group is wrong"
			return rec, size, bad
		}
		rec.group = int(length) - groupHeader
		rec.times = timeRange{int64(binary.LittleEndian.Uint64(frame[16:])), int64(binary.LittleEndian.Uint64(frame[24:]))}
		return rec, size, whole
	}
	if uint64(len(frame)) < length {
		rec.cause = "the record breaks off"
		return rec, size, partial
	}
	frame = frame[:length]
	if binary.LittleEndian.Uint32(frame[4:]) != frameSum(frame) {
		rec.cause = "the checksum of the record is wrong"
		return rec, size, bad
	}
	rec.compressed = frame[2] == compressedVersion && frame[3] == kindCompressed
	rec.table = frame[2] == tableVersion && frame[3] == kindTable
	if !rec.compressed && !rec.table && (frame[2] != frameVersion || frame[3] != kindEntry) {
		rec.cause = fmt.Sprintf("a record of version %d, kind %d needs a newer milepost", frame[2], frame[3])
	}
	rec.payload = frame[frameHeader:]
	return rec, size, whole
}
