package canlog

import (
	"bytes"

	"milepost/can"
)

// lineKind is what a line turned out to be.
type lineKind uint8

const (
	lineBad lineKind = iota
	lineFrame
	lineXL
	lineComment
	lineDetail
)

// lineForm is how a line writes a frame.
type lineForm uint8

const (
	formNone lineForm = iota
	// formLog is that of candump -l and -L:
	//
	//	(1533201287.000013) can0 2C1#0014DF14BBCA3A91 R
	formLog
	// formConsole is what candump prints:
	//
	//	 (1533201287.000013)  can0  RX - -  2C1   [8]  00 14 DF 14 BB CA 3A 91
	formConsole
	// formAngstrom is that of candump before 2010:
	//
	//	<0x18eeff01> [8] 05 a0 be 1c 00 a0 a0 c0
	formAngstrom
)

// errorFlag is the bit that marks an error frame among those of 8 digits
// (CAN_ERR_FLAG of linux/can.h).
const errorFlag = 1 << 29

var (
	header     = []byte("interface = ")
	dropCount  = []byte("DROPCOUNT: dropped ")
	remoteText = []byte("remote request")
	errorText  = []byte("ERRORFRAME")
	byteOrder  = []byte("\xef\xbb\xbf")
)

// parseLine reads any line of any dialect. The reason says what is wrong with a
// bad one.
func (s *scanner) parseLine(line []byte, f *can.Frame) (kind lineKind, reason string) {
	s.stamp, s.form = stampNone, formNone
	tabbed := len(line) > 0 && line[0] == '\t'
	if tabbed && s.afterError {
		return lineDetail, ""
	}
	s.afterError = false
	if s.line == 1 {
		line = bytes.TrimPrefix(line, byteOrder)
	}
	if bytes.IndexByte(line, '\x1b') >= 0 {
		line = s.stripColours(line)
	}
	text := trim(line)
	switch {
	case len(text) == 0:
		return lineComment, ""
	case text[0] == '#':
		return lineComment, ""
	case bytes.HasPrefix(text, dropCount):
		n, _ := parseDecimal(text[len(dropCount):])
		s.stats.RecorderDrops += n
		return lineComment, ""
	case bytes.HasPrefix(text, header):
		name := text[len(header):]
		if i := bytes.IndexByte(name, ','); i >= 0 {
			if name = trim(name[:i]); validName(name) {
				s.headerBus = string(name)
				s.dependent = true
				return lineComment, ""
			}
		}
		return lineBad, "interface header without an interface"
	}

	f.Flags, f.RawDLC, f.Len = 0, 0, 0
	if text[0] == '(' {
		end := bytes.IndexByte(text, ')')
		if end < 0 {
			return lineBad, "time stamp without ')'"
		}
		stamp := text[1:end]
		after := text[end+1:]
		text = trim(after)
		ns, digits, ok := parseSeconds(stamp)
		kind := stampAbsolute
		if ok && digits < 10 && !logForm(text) {
			kind = stampRelative
		}
		if !ok {
			kind = stampDate
			if ns, ok = s.parseDate(stamp); !ok {
				return lineBad, "not a time stamp"
			}
		}
		if !s.setTime(kind, ns) {
			return lineBad, "time beyond the year 2262"
		}
		if len(after) > 0 && after[0] == ' ' {
			after = after[1:]
		}
		return s.parseFrame(text, after, f)
	}
	kind, reason = s.parseFrame(text, nil, f)
	if kind == lineFrame || kind == lineXL {
		s.dependent = true
	}
	return kind, reason
}

// logForm reports whether the text behind a time stamp is of the log-file form:
// it has a # in its first or second word.
func logForm(text []byte) bool {
	first, rest := word(text)
	if bytes.IndexByte(first, '#') >= 0 {
		return true
	}
	second, _ := word(rest)
	return bytes.IndexByte(second, '#') >= 0
}

// parseFrame reads what is behind the time stamp. spelling, if not nil, is the
// same text with the blanks before the interface, to recognise it by.
func (s *scanner) parseFrame(text, spelling []byte, f *can.Frame) (lineKind, string) {
	f.Time = s.last
	if bytes.HasPrefix(text, []byte("<0x")) {
		return s.parseAngstrom(text, f)
	}
	bus, rest := word(text)
	second, _ := word(rest)
	switch {
	case len(bus) == 0:
		return lineBad, "no frame behind the time stamp"
	case bytes.IndexByte(bus, '#') >= 0: // no interface
		rest, bus = text, []byte(s.defaultBus)
	case bytes.IndexByte(second, '#') >= 0:
	case len(second) > 0 && (second[0] == '[' || second[0] == '{'): // no interface
		s.form = formConsole
		return s.parseConsole([]byte(s.defaultBus), text, f)
	case len(second) == 0:
		return lineBad, "no frame behind the interface"
	default:
		s.form = formConsole
		return s.parseConsole(bus, rest, f)
	}
	s.form = formLog
	return s.parseLog(bus, rest, spelling, f)
}

// parseLog reads ID#DATA with all that can.h and can-utils' lib.h allow:
//
//	123#R5_9  123##5112233  12345678#11.22.33  VVPPP#FF:SS:AAAAAAAA#DATA
func (s *scanner) parseLog(bus, text, spelling []byte, f *can.Frame) (lineKind, string) {
	frame, rest := word(text)
	switch direction := trim(rest); string(direction) {
	case "", "R":
	case "T":
		f.Flags |= can.Sent
	default:
		return lineBad, "unexpected text behind the frame"
	}
	hash := bytes.IndexByte(frame, '#')
	id, data := frame[:hash], frame[hash+1:]
	if hash == 5 {
		return s.xlLog(id, data)
	}
	if reason := parseID(id, f); reason != "" {
		return lineBad, reason
	}
	switch {
	case len(data) > 0 && (data[0] == 'R' || data[0] == 'r'):
		if f.Flags&can.Error != 0 {
			return lineBad, "an error frame cannot be a remote frame"
		}
		f.Flags |= can.Remote
		if reason := parseRemote(data[1:], f); reason != "" {
			return lineBad, reason
		}
	case len(data) > 0 && data[0] == '#':
		if f.Flags&can.Error != 0 {
			return lineBad, "an error frame cannot be a CAN FD frame"
		}
		if len(data) < 2 {
			return lineBad, "no CAN FD flags"
		}
		flags := hexValue[data[1]]
		if flags > 15 {
			return lineBad, "CAN FD flags are not hexadecimal"
		}
		f.Flags |= can.FD
		if flags&1 != 0 {
			f.Flags |= can.BRS
		}
		if flags&2 != 0 {
			f.Flags |= can.ESI
		}
		if reason := parseData(data[2:], can.MaxDataLen, f); reason != "" {
			return lineBad, reason
		}
	default:
		if under := bytes.IndexByte(data, '_'); under >= 0 {
			if reason := parseRawDLC(data[under+1:], f); reason != "" {
				return lineBad, reason
			}
			data = data[:under]
		}
		if reason := parseData(data, 8, f); reason != "" {
			return lineBad, reason
		}
		if f.RawDLC != 0 && f.Len != 8 {
			return lineBad, "raw DLC behind less than 8 bytes"
		}
	}
	var key []byte
	if i := bytes.IndexByte(spelling, '#'); i >= 0 && f.Flags&can.FD == 0 {
		key = spelling[:i]
	}
	return s.finish(bus, key, f)
}

// finish gives the frame its bus and stream. key, if not empty, is how the log
// writes both in a line of the form that fast reads.
func (s *scanner) finish(bus, key []byte, f *can.Frame) (lineKind, string) {
	if !validName(bus) {
		return lineBad, "not an interface name"
	}
	index, ok := s.bus(bus)
	if !ok {
		return lineBad, "more than 1024 interfaces"
	}
	f.Bus = index
	f.Stream = can.NoStream
	switch {
	case f.Flags&can.Error != 0:
		s.afterError = s.form == formConsole
	case f.Flags&can.Remote != 0:
		clear(f.Data[:8])
	default:
		s.streams.follow(f, key)
	}
	return lineFrame, ""
}

// parseID reads 3 digits of an 11-bit ID, or 8 of a 29-bit one or an error
// class.
func parseID(text []byte, f *can.Frame) (reason string) {
	if len(text) != 3 && len(text) != 8 {
		return "the ID has neither 3 nor 8 digits"
	}
	var id uint32
	for _, c := range text {
		v := hexValue[c]
		if v > 15 {
			return "the ID is not hexadecimal"
		}
		id = id<<4 | uint32(v)
	}
	if len(text) == 3 {
		f.ID = id
		if id > can.MaxStandardID {
			return "the ID has more than 11 bits"
		}
		return ""
	}
	f.ID = id & can.MaxExtendedID
	switch id &^ can.MaxExtendedID {
	case 0:
		f.Flags |= can.Extended
	case errorFlag:
		f.Flags |= can.Error
	default:
		return "the ID has more than 29 bits"
	}
	return ""
}

// parseRemote reads the length of a remote frame: nothing, 5, or 8_9.
func parseRemote(text []byte, f *can.Frame) (reason string) {
	if len(text) == 0 {
		return ""
	}
	if f.Len = text[0] - '0'; f.Len > 8 {
		return "the length of a remote frame is not 0 to 8"
	}
	if len(text) == 1 {
		return ""
	}
	if text[1] != '_' || f.Len != 8 {
		return "unexpected text behind the length of a remote frame"
	}
	return parseRawDLC(text[2:], f)
}

// parseRawDLC reads the digit behind _.
func parseRawDLC(text []byte, f *can.Frame) (reason string) {
	if len(text) != 1 {
		return "the raw DLC is not one digit"
	}
	v := hexValue[text[0]]
	if v < 9 || v > 15 {
		return "the raw DLC is not 9 to F"
	}
	f.RawDLC = v
	return ""
}

// parseData reads data bytes, which may have dots between them.
func parseData(text []byte, most int, f *can.Frame) (reason string) {
	n := 0
	for i := 0; i < len(text); i += 2 {
		if text[i] == '.' {
			if i++; i == len(text) {
				break
			}
		}
		if i+1 == len(text) {
			return "half a data byte"
		}
		hi, lo := hexValue[text[i]], hexValue[text[i+1]]
		if hi|lo > 15 {
			return "the data are not hexadecimal"
		}
		if n == most {
			return tooMuchData(most)
		}
		f.Data[n] = hi<<4 | lo
		n++
	}
	setLen(f, n)
	return ""
}
