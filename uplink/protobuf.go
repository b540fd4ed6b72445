package uplink

import (
	"encoding/binary"
	"math"
)

// Protobuf wire types.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

// lengthWidth is the width of the lengths that are filled in afterwards: up to
// 2^28-1 bytes.
const lengthWidth = 4

func appendTag(dst []byte, field, wire int) []byte {
	return append(dst, byte(field<<3|wire)) // all field numbers are below 16
}

func appendZigzag(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, zigzag(v))
}

func appendString(dst []byte, field int, s string) []byte {
	if s == "" {
		return dst
	}
	dst = appendTag(dst, field, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendDouble(dst []byte, field int, v float64) []byte {
	if v == 0 && !math.Signbit(v) {
		return dst
	}
	dst = appendTag(dst, field, wireFixed64)
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// openMessage leaves room for a length, closeMessage fills it in.
func openMessage(dst []byte) ([]byte, int) {
	return append(dst, 0x80, 0x80, 0x80, 0), len(dst)
}

func closeMessage(dst []byte, at int) {
	n := len(dst) - at - lengthWidth
	dst[at] = byte(n) | 0x80
	dst[at+1] = byte(n>>7) | 0x80
	dst[at+2] = byte(n>>14) | 0x80
	dst[at+3] = byte(n >> 21)
}

// openShort leaves one byte for a length: enough for most. closeShort fills it
// in and makes room for more where it is not.
func openShort(dst []byte) ([]byte, int) { return append(dst, 0), len(dst) }

func closeShort(dst []byte, at int) []byte {
	end := len(dst)
	dst = append(dst, make([]byte, binary.MaxVarintLen64)...)
	return dst[:putLength(dst, at, end)]
}

// appendCounts writes a sign's buckets as the field first, their offset, and
// first+1, their counts, packed.
func appendCounts(dst []byte, first int, offset int32, counts []uint64) []byte {
	if len(counts) == 0 {
		return dst
	}
	dst = appendZigzag(appendTag(dst, first, wireVarint), int64(offset))
	dst, at := openShort(appendTag(dst, first+1, wireBytes))
	for _, c := range counts {
		dst = binary.AppendUvarint(dst, c)
	}
	return closeShort(dst, at)
}

// putLength stores the length of b[at+1:end] at b[at], moving it if the length
// takes more than one byte, and returns its new end.
func putLength(b []byte, at, end int) int {
	n := end - at - 1
	if n < 0x80 {
		b[at] = byte(n)
		return end
	}
	var length [binary.MaxVarintLen64]byte
	width := binary.PutUvarint(length[:], uint64(n))
	copy(b[at+width:], b[at+1:end])
	copy(b[at:], length[:width])
	return end + width - 1
}

func putUvarint(b []byte, i int, v uint64) int {
	for v >= 0x80 {
		b[i] = byte(v) | 0x80
		v >>= 7
		i++
	}
	b[i] = byte(v)
	return i + 1
}

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }
