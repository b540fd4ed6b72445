package canlog

import (
	"bytes"

	"milepost/can"
)

// parseConsole reads what is behind the interface in the forms for people:
//
//	RX B E  00000123  [08]  11 22 33 44 55 66 77 88
//	123   [3]  11 22 33                    '."3'
//	123   {C}  11 22 33 44 55 66 77 88
//	123   [2]  22`11
//	123   [1]  00010001
//	123   [5]  remote request
//	20000080   [0]                            ERRORFRAME
//	244 [0001] (2E|80:CA:A26B7F62) 4D
//
// One digit in brackets means a classical frame, two CAN FD, four CAN XL.
func (s *scanner) parseConsole(bus, text []byte, f *can.Frame) (lineKind, string) {
	first, rest := word(text)
	var fdFlags can.Flags
	if direction := string(first); direction == "RX" || direction == "TX" {
		if direction == "TX" {
			f.Flags |= can.Sent
		}
		var brs, esi []byte
		brs, rest = word(rest)
		esi, rest = word(rest)
		if !oneOf(brs, 'B') || !oneOf(esi, 'E') {
			return lineBad, "unexpected text behind RX or TX"
		}
		if brs[0] == 'B' {
			fdFlags |= can.BRS
		}
		if esi[0] == 'E' {
			fdFlags |= can.ESI
		}
		first, rest = word(rest)
	}
	length, rest := word(rest)
	if len(length) < 3 {
		return lineBad, "not a frame of candump"
	}
	inner, end := length[1:len(length)-1], length[len(length)-1]
	n, digits := parseDecimal(inner)
	brackets := length[0] == '[' && end == ']' && digits == len(inner)
	if brackets && digits == 4 {
		return xlConsole(first, rest, n)
	}
	if reason := parseID(first, f); reason != "" {
		return lineBad, reason
	}
	switch {
	case brackets && digits == 1 && n <= 8:
	case brackets && digits == 2 && n <= can.MaxDataLen:
		if f.Flags&can.Error == 0 {
			f.Flags |= can.FD | fdFlags
		}
	case length[0] == '{' && end == '}' && len(inner) == 1 && hexValue[inner[0]] <= 15:
		n = uint64(hexValue[inner[0]])
		if n > 8 {
			f.RawDLC, n = uint8(n), 8
		}
	default:
		return lineBad, "the length is none of [8], [08], {8}"
	}
	if bytes.HasPrefix(rest, remoteText) {
		if f.Flags&(can.FD|can.Error) != 0 || len(trim(rest[len(remoteText):])) > 0 {
			return lineBad, "unexpected remote request"
		}
		f.Flags |= can.Remote
		f.Len = uint8(n)
		return s.finish(bus, nil, f)
	}
	rest, reason := parseBytes(rest, int(n), f)
	if reason != "" {
		return lineBad, reason
	}
	if !trailer(rest, int(n)) {
		return lineBad, "unexpected text behind the data"
	}
	return s.finish(bus, nil, f)
}

// oneOf accepts the word - or the given letter.
func oneOf(text []byte, letter byte) bool {
	return len(text) == 1 && (text[0] == '-' || text[0] == letter)
}

// trailer accepts what may follow n data bytes: nothing, ERRORFRAME, or n
// characters between quotes or back-ticks (candump -a).
func trailer(text []byte, n int) bool {
	if len(text) == 0 || bytes.Equal(text, errorText) {
		return true
	}
	quote := text[0]
	return (quote == '\'' || quote == '`') && len(text) == n+2 && text[n+1] == quote
}

// parseBytes reads n data bytes of two hexadecimal or eight binary digits, with
// blanks between them; or with back-ticks, and then in reverse order. It returns
// what follows.
func parseBytes(text []byte, n int, f *can.Frame) (rest []byte, reason string) {
	const hexDigits, binaryDigits = 2, 8
	width := 0
	swapped := false
	for i := range n {
		if i > 0 {
			if i == 1 && len(text) > 0 && text[0] == '`' {
				swapped = true
			}
			if swapped {
				if len(text) == 0 || text[0] != '`' {
					return nil, "less data bytes than the length says"
				}
				text = text[1:]
			} else {
				text = trimLeft(text)
			}
		}
		digits := 0
		for digits < len(text) && hexValue[text[digits]] <= 15 {
			digits++
		}
		switch {
		case digits == 0:
			return nil, "less data bytes than the length says"
		case width == 0 && (digits == hexDigits || digits == binaryDigits):
			width = digits
		case digits != width:
			return nil, "a data byte has neither 2 hexadecimal nor 8 binary digits"
		}
		var value uint8
		for _, c := range text[:digits] {
			v := hexValue[c]
			if width == binaryDigits {
				if v > 1 {
					return nil, "a data byte of 8 digits is not binary"
				}
				value = value<<1 | v
				continue
			}
			value = value<<4 | v
		}
		f.Data[i] = value
		text = text[digits:]
	}
	setLen(f, n)
	if swapped {
		for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
			f.Data[i], f.Data[j] = f.Data[j], f.Data[i]
		}
	}
	return trimLeft(text), ""
}

// parseAngstrom reads <0x18eeff01> [8] 05 a0 be 1c 00 a0 a0 c0. The interface
// is in a header line.
func (s *scanner) parseAngstrom(text []byte, f *can.Frame) (lineKind, string) {
	s.form = formAngstrom
	s.dependent = true
	bus := s.headerBus
	if bus == "" {
		bus = s.defaultBus
	}
	id, rest := word(text)
	if id[len(id)-1] != '>' {
		return lineBad, "not a frame of candump"
	}
	line := append(s.scratchText[:0], id[len("<0x"):len(id)-1]...)
	s.scratchText = append(append(line, ' '), rest...)
	return s.parseConsole([]byte(bus), s.scratchText, f)
}
