package canlog

import "math/bits"

// SWAR: several characters at once in one machine word, the first one in the
// lowest byte.

const (
	each01   = 0x0101010101010101
	each0001 = 0x0001000100010001
	each20   = 0x2020202020202020
	each30   = 0x3030303030303030
	each80   = 0x8080808080808080
)

// firstByte marks, in bit 7 of each byte, where text has c; only the lowest
// mark is sure.
func firstByte(text uint64, c uint64) uint64 {
	x := text ^ c*each01
	return (x - each01) &^ x & each80
}

// trailingBytes is the number of bytes below the lowest mark.
func trailingBytes(marks uint64) int { return bits.TrailingZeros64(marks) >> 3 }

// belowFirst keeps the bytes below the lowest mark.
func belowFirst(marks uint64) uint64 { return (marks ^ (marks - 1)) >> 8 }

// decodeHex turns 8 hexadecimal digits of either case into 4 bytes. Bit 7 of
// some byte of bad is set if there are other characters.
func decodeHex(text uint64) (data uint32, bad uint64) {
	nibbles, bad := hexNibbles(text)
	return packNibbles(nibbles), bad
}

// hexNibbles is the first half of decodeHex: a nibble a byte. (Each half is
// small enough to be inlined, the whole is not.)
func hexNibbles(text uint64) (nibbles, bad uint64) {
	// Letters to upper case: bit 6 tells them from digits.
	c := text &^ (text >> 1 & each20)
	// Less '0' each: 0 to 9 for digits, 0x11 to 0x16 for letters. Bit 7 keeps
	// borrows within their byte.
	t := (c | each80) - each30 ^ each80
	// Bit 7 of each tells which bytes are at least 0x0A, 0x11 and 0x17.
	ge11 := t + 0x6F*each01
	bad = (t + 0x76*each01) ^ ge11 | (t + 0x69*each01) | t | c
	return t - (ge11>>7&each01)*7, bad
}

// packNibbles is the other half: pairs of nibbles become bytes, the first pair
// the lowest.
func packNibbles(v uint64) uint32 {
	v = (v<<4 | v>>8) & 0x00FF00FF00FF00FF
	v = (v | v>>8) & 0x0000FFFF0000FFFF
	return uint32(v | v>>16)
}

// isZero is 1 for 0 and 0 otherwise, without a branch.
func isZero(x uint64) uint64 { return (x|-x)>>63 ^ 1 }

// encodeHex is the reverse of decodeHex, with upper-case letters.
func encodeHex(data uint32) uint64 {
	v := uint64(data)
	v = (v | v<<16) & 0x0000FFFF0000FFFF
	v = (v | v<<8) & 0x00FF00FF00FF00FF
	v = (v>>4 | v<<8) & 0x0F0F0F0F0F0F0F0F
	letters := (v + 6*each01) >> 4 & each01
	return v + each30 + letters*7
}

// padHex[n] keeps the first n*2 characters of the 16 of a payload, and makes
// the others '0'.
var padHex = func() (pads [16]struct{ keep0, zero0, keep1, zero1 uint64 }) {
	for n := range 9 {
		p := &pads[n]
		keep := func(digits int) uint64 { return 1<<(8*max(0, min(8, digits))) - 1 }
		p.keep0, p.keep1 = keep(2*n), keep(2*n-8)
		p.zero0, p.zero1 = each30&^p.keep0, each30&^p.keep1
	}
	return pads
}()
