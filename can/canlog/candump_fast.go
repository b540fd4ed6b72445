package canlog

import (
	"encoding/binary"

	"milepost/can"
)

// cachedSecond remembers the second of the last line, because the next line
// mostly has the same.
type cachedSecond struct {
	// text0 is "(1533201", text1 is "287" in its low bytes; 0 if there is none.
	text0 uint64
	text1 uint32
	ns    int64
}

// What fast looks at, from the beginning of a line:
//
//	(1533201287.000013) can128 1ABCDEF0#0014DF14BBCA3A91 R↵
//	0          11       20     at most 36 ↑           at most 56 ↑
const (
	dotAt = 11
	keyAt = 20
	// maxPayloadAt is behind the longest key and the #.
	maxPayloadAt = keyAt + maxKey
	// fastPayload is a payload and its line end, with room to spare that lets the
	// compiler see that no index is beyond it.
	fastPayload = 2*15 + 4
	fastLine    = maxPayloadAt + fastPayload
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
//   - Bus and ID are looked up together as text.
//   - No line end is searched. The payload is taken to be as long as the one
//     before it of the stream, which is so if only digits precede the line end
//     that must then be there.
//   - Payloads are decoded even where they repeat: to skip that, by comparing
//     the digits, costs more in mispredicted branches than it saves.
func (s *scanner) fast(frames []can.Frame) int {
	buf, pos := s.buf, s.pos
	streams, slots, shift := s.streams.streams, s.streams.slots, s.streams.shift
	mask := uint64(len(slots) - 1)
	second := s.second
	n := 0
	if s.longAt >= 0 {
		return 0
	}
scan:
	for i := range frames {
		if len(buf)-pos < fastLine {
			break
		}
		line := (*[fastLine]byte)(buf[pos:])
		text0 := binary.LittleEndian.Uint64(line[0:8])
		text1 := binary.LittleEndian.Uint32(line[8:12]) & 0xFFFFFF
		if text0 != second.text0 || text1 != second.text1 {
			var ok bool
			if second, ok = readSecond(line, second); !ok {
				break
			}
		}
		fraction, bad := decodeMicros(binary.LittleEndian.Uint64(line[dotAt : dotAt+8]))
		if bad != 0 || line[keyAt-1] != ' ' {
			break
		}

		// The key is what precedes the #.
		key0 := binary.LittleEndian.Uint64(line[keyAt : keyAt+8])
		key1 := binary.LittleEndian.Uint64(line[keyAt+8 : keyAt+16])
		payloadAt := pos + keyAt + 1
		if mark := firstByte(key1, '#'); mark != 0 {
			// An earlier # in key0 makes a text that no stream is known by.
			key1 &= belowFirst(mark)
			payloadAt += 8 + trailingBytes(mark)
		} else if mark = firstByte(key0, '#'); mark != 0 {
			key0 &= belowFirst(mark)
			key1 = 0
			payloadAt += trailingBytes(mark)
		} else {
			break
		}
		slot := hashKey(key0, key1) >> shift
		e := &streams[slots[slot&mask]]
		for e.key0 != key0 || e.key1 != key1 {
			if e == &streams[noStream] {
				break scan
			}
			slot++
			e = &streams[slots[slot&mask]]
		}
		if e.len > 8 {
			break
		}

		text := (*[fastPayload]byte)(buf[payloadAt:])
		end := binary.LittleEndian.Uint32(text[2*(e.len&15):])
		flags := e.flags
		next := payloadAt + 2*int(e.len) + 1
		if end&0xFF != '\n' {
			more, sent, ok := lineEnd(end)
			if !ok {
				break
			}
			next += more
			flags |= can.Flags(sent) * can.Sent
		}
		pad := &padHex[e.len&15]
		hex0 := binary.LittleEndian.Uint64(text[0:8])&pad.keep0 | pad.zero0
		hex1 := binary.LittleEndian.Uint64(text[8:16])&pad.keep1 | pad.zero1
		low, bad0 := hexNibbles(hex0)
		high, bad1 := hexNibbles(hex1)
		if (bad0|bad1)&each80 != 0 {
			break
		}
		data := uint64(packNibbles(low)) | uint64(packNibbles(high))<<32
		flags |= can.Repeat * can.Flags(isZero(data^e.data))
		e.data = data

		f := &frames[i]
		f.Time = second.ns + int64(fraction)
		f.ID = e.id
		f.Stream = e.number
		f.Bus = e.bus
		f.Flags = flags
		f.Len = e.len
		f.RawDLC = 0
		binary.LittleEndian.PutUint64(f.Data[:8], data)
		n = i + 1
		pos = next
	}
	if n > 0 {
		s.pos = pos
		s.second = second
		s.last = frames[n-1].Time
		s.line += int64(n)
		s.stats.Lines += uint64(n)
		s.stamp = stampAbsolute
		s.form = formLog
		s.afterError = false
	}
	return n
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
		text1: binary.LittleEndian.Uint32(line[8:12]) & 0xFFFFFF,
		ns:    int64(sec) * 1e9,
	}, true
}
