package canlog

import (
	"bytes"
	"encoding/binary"

	"milepost/can"
)

// cachedSecond remembers the second of the last line, because the next line
// mostly has the same.
type cachedSecond struct {
	// text0 is "(1533201", text1 is "287."; 0 if there is none.
	text0 uint64
	text1 uint32
	ns    int64
}

// What fast looks at, from the beginning of a line:
//
//	(1533201287.000013) can128 1ABCDEF0#0014DF14BBCA3A91 R↵
//	0          11       20     at most 36 ↑           at most 55 ↑
const (
	dotAt = 11
	keyAt = 20
	// fastLine is a line, which has its end at maxEnd or before, and room to spare:
	// a power of two, so that the compiler sees that no index is beyond it.
	fastLine = 64
	inLine   = fastLine - 1
	maxEnd   = fastLine - 4
)

// fast reads lines of the usual form,
//
//	(1533201287.000013) can0 2C1#0014DF14BBCA3A91
//
// with or without R or T behind it, whose bus and ID have been seen before, up
// to the first line that is not like that or is near the end of buf.
//
// Nothing that it does depends much on the data, so that the processor can work
// on several lines at once:
//   - No line end is searched. The line is taken to be as long as most are: where
//     a line ends is then known without looking at it, and the next one is begun
//     while this one is still being decoded. That there is no line end before the
//     expected one follows from the digits that must stand there.
//   - Bus and ID are looked up together as text.
//   - Digits are read in pairs, from tables: their few used lines stay in the
//     cache, and that takes a third of the instructions of arithmetic in words.
//   - Payloads are decoded even where they repeat: to skip that, by comparing
//     the digits, costs more in mispredicted branches than it saves.
func (s *scanner) fast(frames []can.Frame) (n int) {
	buf, pos := s.buf, s.pos
	if s.longAt >= 0 || len(buf)-pos < fastLine {
		return 0
	}
	known := s.streams.known
	tail := lineTail((*[fastLine]byte)(buf[pos:]))
	for n < len(frames) && len(buf)-pos >= fastLine {
		line := (*[fastLine]byte)(buf[pos:])

		// The key is what precedes the #.
		key0 := binary.LittleEndian.Uint64(line[keyAt : keyAt+8])
		key1 := uint64(0)
		payloadAt := keyAt + 8 + 1
		if line[keyAt+8] != '#' {
			key1 = binary.LittleEndian.Uint64(line[keyAt+8 : keyAt+16])
			if mark := firstByte(key1, '#'); mark != 0 {
				key1 &= belowFirst(mark)
				payloadAt += trailingBytes(mark)
			} else if mark = firstByte(key0, '#'); mark != 0 {
				key0 &= belowFirst(mark)
				key1 = 0
				payloadAt = keyAt + 1 + trailingBytes(mark)
			} else {
				break
			}
		}
		// An earlier # in key0 makes a text that no stream is known by.
		e := &known[hashKey(key0, key1)>>knownShift]
		if e.key0 != key0 || e.key1 != key1 {
			found := s.streams.find(key0, key1)
			if found == nil {
				break
			}
			*e = *found
		}

		end := s.usual.end
		if line[end&inLine] != '\n' {
			if end = s.usual.find(line, e, payloadAt+tail); end < 0 {
				break
			}
		}
		flags := e.flags
		if tail != 0 {
			more, sent, ok := lineEnd(binary.LittleEndian.Uint32(line[(end-tail)&inLine:]))
			if !ok || more != tail {
				break
			}
			flags |= can.Flags(sent) * can.Sent
		}
		digits := uint(end - tail - payloadAt)
		text := (*[16]byte)(line[payloadAt&inLine:])
		var data uint64
		if digits == 16 {
			b0, b1, b2, b3 := hexPair(text[0:2]), hexPair(text[2:4]), hexPair(text[4:6]), hexPair(text[6:8])
			b4, b5, b6, b7 := hexPair(text[8:10]), hexPair(text[10:12]), hexPair(text[12:14]), hexPair(text[14:16])
			if b0&b1&b2&b3&b4&b5&b6&b7 < isPair {
				break
			}
			data = b0 + b1<<8 + b2<<16 + b3<<24 + b4<<32 + b5<<40 + b6<<48 + b7<<56 - allPairs
		} else {
			if digits > 16 || digits&1 != 0 {
				break
			}
			pad := &padHex[digits>>1&15]
			low, bad0 := hexNibbles(binary.LittleEndian.Uint64(text[0:8])&pad.keep0 | pad.zero0)
			high, bad1 := hexNibbles(binary.LittleEndian.Uint64(text[8:16])&pad.keep1 | pad.zero1)
			if (bad0|bad1)&each80 != 0 {
				break
			}
			data = uint64(packNibbles(low)) | uint64(packNibbles(high))<<32
		}

		text0 := binary.LittleEndian.Uint64(line[0:8])
		text1 := binary.LittleEndian.Uint32(line[8:12])
		if text0 != s.second.text0 || text1 != s.second.text1 {
			var ok bool
			if s.second, ok = readSecond(line, s.second); !ok {
				break
			}
		}
		m0, m1, m2 := decimalPair(line[12:14]), decimalPair(line[14:16]), decimalPair(line[16:18])
		if m0&m1&m2 < isPair || binary.LittleEndian.Uint16(line[18:20]) != ')'|' '<<8 {
			break
		}
		micros := m0*10000 + m1*100 + m2 - isPair*10101

		f := &frames[n]
		n++
		f.Time = s.second.ns + int64(micros)*1000
		f.ID = e.id
		f.Stream = e.number
		f.Bus = e.bus
		f.Flags = flags
		f.Len = uint8(digits >> 1)
		f.RawDLC = 0
		binary.LittleEndian.PutUint64(f.Data[:8], data)
		pos += end + 1
	}
	if n > 0 {
		s.pos = pos
		s.last = frames[n-1].Time
		s.line += int64(n)
		s.stats.Lines += uint64(n)
		s.stamp = stampAbsolute
		s.form = formLog
		s.afterError = false
	}
	return n
}

// lineTail is how many characters stand between payload and line feed: those of
// R or T, and of a CR.
func lineTail(line *[fastLine]byte) (n int) {
	end := bytes.IndexByte(line[:], '\n')
	if end < keyAt {
		return 0
	}
	if line[end-1] == '\r' {
		n = 1
	}
	if c := line[end-1-n]; c == 'R' || c == 'T' {
		n += 2
	}
	return n
}

// usualEnd is where lines end, counted from their beginnings.
type usualEnd struct {
	end int // of most lines
	// other is where the last line ended that was not like that. Twice in a row
	// the same makes it the usual one.
	other int
}

// find finds the end of a line that is not as long as usual. It is looked for
// where it was the last time in this stream, and then everywhere behind at; -1
// if there is none.
func (u *usualEnd) find(line *[fastLine]byte, e *stream, at int) int {
	end := at + 2*int(e.usual)
	if end > maxEnd || line[end&inLine] != '\n' {
		if end = bytes.IndexByte(line[:maxEnd+1], '\n'); end < at {
			return -1
		}
		e.usual = uint8((end - at) / 2)
	}
	if end == u.other {
		u.end = end
	}
	u.other = end
	return end
}

// lineEnd reads what may follow a payload instead of a LF: CR LF, or R or T
// before either. more is how many characters there are beyond one; sent is 1
// for T.
func lineEnd(text uint32) (more int, sent uint32, ok bool) {
	// R and T differ from their common bits by 2 and 4.
	const direction = ' ' | ('R'&'T')<<8
	difference := text ^ (direction | '\n'<<16)
	sent = difference >> 10 & 1
	if difference&0xFFFFFF == 0x200<<sent {
		return 2, sent, true
	}
	if text&0xFFFF == '\r'|'\n'<<8 {
		return 1, 0, true
	}
	return 3, sent, text^(direction|'\r'<<16|'\n'<<24) == 0x200<<sent
}

// readSecond reads the seconds of a line, ten digits.
func readSecond(line *[fastLine]byte, last cachedSecond) (cachedSecond, bool) {
	if line[0] != '(' || line[dotAt] != '.' {
		return last, false
	}
	sec, digits := parseDecimal(line[1:dotAt])
	if digits != dotAt-1 || sec > maxSeconds {
		return last, false
	}
	return cachedSecond{
		text0: binary.LittleEndian.Uint64(line[0:8]),
		text1: binary.LittleEndian.Uint32(line[8:12]),
		ns:    int64(sec) * 1e9,
	}, true
}

// isPair marks the entries of hexPairs and decimalPairs that stand for two
// digits, above their values; allPairs is what eight such marks add up to where
// the values are put together to eight bytes.
const (
	isPair   = 0x100
	allPairs = 0x0101010101010100
)

// hexPairs and decimalPairs give the values of two digits, the first one in the
// low byte of the index. Few of their cache lines are ever used.
var hexPairs, decimalPairs [1 << 16]uint16

func init() {
	const digits = "0123456789ABCDEF0123456789abcdef"
	for i, a := range []byte(digits) {
		for j, b := range []byte(digits) {
			at := uint16(a) | uint16(b)<<8
			hexPairs[at] = isPair | uint16(i&15<<4|j&15)
			if i < 10 && j < 10 {
				decimalPairs[at] = isPair | uint16(10*i+j)
			}
		}
	}
}

func hexPair(text []byte) uint64 { return uint64(hexPairs[binary.LittleEndian.Uint16(text)]) }

func decimalPair(text []byte) uint64 {
	return uint64(decimalPairs[binary.LittleEndian.Uint16(text)])
}
