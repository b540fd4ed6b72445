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
	// firstPayload is where a payload can begin: behind a key of no length.
	firstPayload = keyAt + 1
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
	if s.longAt >= 0 || len(s.buf)-s.pos < fastLine {
		return 0
	}
	tail := lineTail((*[fastLine]byte)(s.buf[s.pos:]))
	for end, again := s.usual.end, true; again; {
		read, stopped := s.alike(frames[n:], end, tail)
		n += read
		// The line at s.pos is tried again, with what it was found to lack.
		again = false
		if read > 0 {
			end = s.usual.end
		}
		switch line := s.buf[s.pos:]; stopped {
		case atStream:
			again = s.streams.recall(s.missed.key0, s.missed.key1)
		case atEnd:
			end = s.usual.find((*[fastLine]byte)(line), s.missed.stream, s.missed.payloadAt+tail)
			again = end >= 0
		case atSecond:
			s.second, again = readSecond((*[fastLine]byte)(line), s.second)
		}
	}
	if n > 0 {
		s.last = frames[n-1].Time
		s.line += int64(n)
		s.stats.Lines += uint64(n)
		s.stamp = stampAbsolute
		s.form = formLog
		s.afterError = false
	}
	return n
}

// obstacle is what made alike stop.
type obstacle uint8

const (
	atOther  obstacle = iota // no more lines, no more frames, or a line of another form
	atStream                 // a stream that is not among the known ones: missed.key0 and key1
	atEnd                    // a line that has another end: of missed.stream, payload at missed.payloadAt
	atSecond                 // another second
)

// missed is what alike had found out when it stopped.
type missed struct {
	key0, key1 uint64
	stream     *stream
	payloadAt  int
}

// alike reads lines of which the first one has its line feed at end and the
// others where most have it, or their streams had it last; of known streams, and
// of the second in s.second.
//
// It calls nothing, because around a call all that it keeps in registers would
// have to be stored, for every line. For the same reason a frame's fields are
// stored as soon as they are known: where the line turns out to be another one,
// the frame does not count.
func (s *scanner) alike(frames []can.Frame, end, tail int) (n int, stopped obstacle) {
	known := s.streams.known
	rest := s.buf[s.pos:]
	for n < len(frames) && len(rest) > fastLine {
		line := (*[fastLine]byte)(rest)

		// The key is what precedes the #. The payload is at firstPayload + shift.
		key0 := binary.LittleEndian.Uint64(line[keyAt : keyAt+8])
		key1 := uint64(0)
		shift := keyAt + 8 + 1 - firstPayload
		mixed := key0
		if line[keyAt+8] != '#' {
			key1 = binary.LittleEndian.Uint64(line[keyAt+8 : keyAt+16])
			if mark := firstByte(key1, '#'); mark != 0 {
				key1 &= belowFirst(mark)
				shift += trailingBytes(mark)
			} else if mark = firstByte(key0, '#'); mark != 0 {
				key0 &= belowFirst(mark)
				key1 = 0
				shift = trailingBytes(mark)
			} else {
				break
			}
			mixed = mixKey(key0, key1)
		}
		// An earlier # in key0 makes a text that no stream is known by.
		e := &known[hashKey(mixed)>>knownShift]
		if e.key0 != key0 || e.key1 != key1 {
			s.missed.key0, s.missed.key1 = key0, key1
			stopped = atStream
			break
		}
		if line[end&inLine] != '\n' {
			end = firstPayload + shift + 2*int(e.usual) + tail
			if end > maxEnd || line[end&inLine] != '\n' {
				s.missed.stream, s.missed.payloadAt = e, firstPayload+shift
				stopped = atEnd
				break
			}
			s.usual.found(end)
		}
		flags := e.flags
		if tail != 0 {
			more, sent, ok := lineEnd(binary.LittleEndian.Uint32(line[(end-tail)&inLine:]))
			if !ok || more != tail {
				break
			}
			flags |= can.Flags(sent) * can.Sent
		}
		f := &frames[n]
		f.ID = e.id
		f.Stream = e.number
		f.Bus = e.bus
		f.Flags = flags
		digits := uint(end - tail - firstPayload - shift)
		f.Len = uint8(digits >> 1)
		f.RawDLC = 0

		if s.second.text0 != binary.LittleEndian.Uint64(line[0:8]) || s.second.text1 != binary.LittleEndian.Uint32(line[8:12]) {
			stopped = atSecond
			break
		}
		m0 := uint64(decimalPairs[uint16(line[12])|uint16(line[13])<<8])
		m1 := uint64(decimalPairs[uint16(line[14])|uint16(line[15])<<8])
		m2 := uint64(decimalPairs[uint16(line[16])|uint16(line[17])<<8])
		if m0&m1&m2 < isPair || uint16(line[18])|uint16(line[19])<<8 != ')'|' '<<8 {
			break
		}
		f.Time = s.second.ns + int64(m0*10000+m1*100+m2-isPair*10101)*1000

		text := (*[16]byte)(line[firstPayload+shift&15:])
		if digits == 16 {
			// Every second byte, in 16 bits each with its mark. (Not with a function that
			// reads a pair: what the compiler leaves in its place adds up.)
			even := uint64(hexPairs[uint16(text[12])|uint16(text[13])<<8])
			even = even<<16 + uint64(hexPairs[uint16(text[8])|uint16(text[9])<<8])
			even = even<<16 + uint64(hexPairs[uint16(text[4])|uint16(text[5])<<8])
			even = even<<16 + uint64(hexPairs[uint16(text[0])|uint16(text[1])<<8])
			odd := uint64(hexPairs[uint16(text[14])|uint16(text[15])<<8])
			odd = odd<<16 + uint64(hexPairs[uint16(text[10])|uint16(text[11])<<8])
			odd = odd<<16 + uint64(hexPairs[uint16(text[6])|uint16(text[7])<<8])
			odd = odd<<16 + uint64(hexPairs[uint16(text[2])|uint16(text[3])<<8])
			if even&odd&(isPair*each0001) != isPair*each0001 {
				break
			}
			binary.LittleEndian.PutUint64(f.Data[:8], even+odd<<8-allPairs)
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
			binary.LittleEndian.PutUint64(f.Data[:8], uint64(packNibbles(low))|uint64(packNibbles(high))<<32)
		}
		n++
		rest = rest[end&inLine+1:]
		end = s.usual.end
	}
	s.pos = len(s.buf) - len(rest)
	return n, stopped
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

// find finds the end of a line that is neither as long as usual nor as its stream
// had it last. It is looked for everywhere behind at; -1 if there is none.
func (u *usualEnd) find(line *[fastLine]byte, e *stream, at int) int {
	end := bytes.IndexByte(line[:maxEnd+1], '\n')
	if end < at {
		return -1
	}
	e.usual = uint8((end - at) / 2)
	u.found(end)
	return end
}

// found notes the end of a line that is not as long as usual.
func (u *usualEnd) found(end int) {
	if end == u.other {
		u.end = end
	}
	u.other = end
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
// four in 16 bits each and four more, 8 bits higher, are put together.
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
