package canlog

import (
	"fmt"

	"milepost/can"
)

// hexValue gives the value of a hexadecimal digit, 255 for other characters.
var hexValue = func() (values [256]uint8) {
	for c := range values {
		switch {
		case c >= '0' && c <= '9':
			values[c] = uint8(c - '0')
		case c >= 'A' && c <= 'F':
			values[c] = uint8(c - 'A' + 10)
		case c >= 'a' && c <= 'f':
			values[c] = uint8(c - 'a' + 10)
		default:
			values[c] = 255
		}
	}
	return values
}()

func isHex(text []byte) bool {
	for _, c := range text {
		if hexValue[c] > 15 {
			return false
		}
	}
	return true
}

// parseDecimal reads the digits that text begins with, 18 at most.
func parseDecimal(text []byte) (n uint64, digits int) {
	for digits < len(text) && digits < 18 && text[digits]-'0' <= 9 {
		n = n*10 + uint64(text[digits]-'0')
		digits++
	}
	return n, digits
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimLeft(text []byte) []byte {
	for len(text) > 0 && isBlank(text[0]) {
		text = text[1:]
	}
	return text
}

func trim(text []byte) []byte {
	text = trimLeft(text)
	for len(text) > 0 && isBlank(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

// word takes the first word off a text that does not begin with a blank.
func word(text []byte) (first, rest []byte) {
	for i, c := range text {
		if isBlank(c) {
			return text[:i], trimLeft(text[i:])
		}
	}
	return text, nil
}

// maxNameLen is the longest interface name that is taken for one. Linux has 15,
// other systems have longer ones.
const maxNameLen = 64

// validName reports whether a bus may be called so in a line of a log: no
// blanks, no control characters, no #.
func validName(name []byte) bool {
	if len(name) == 0 || len(name) > maxNameLen {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// setLen sets the number of data bytes and clears those up to a multiple of 8,
// as can.Frame promises.
func setLen(f *can.Frame, n int) {
	f.Len = uint8(n)
	clear(f.Data[n:max(8, (n+7)&^7)])
}

func tooMuchData(most int) string {
	return fmt.Sprintf("more than %d data bytes", most)
}

// stripColours removes the escape sequences of candump -c: ESC [ … letter.
func (s *scanner) stripColours(line []byte) []byte {
	text := s.scratchText[:0]
	for i := 0; i < len(line); i++ {
		if line[i] != '\x1b' || i+1 == len(line) || line[i+1] != '[' {
			text = append(text, line[i])
			continue
		}
		for i += 2; i < len(line) && (line[i] == ';' || line[i]-'0' <= 9); i++ {
		}
	}
	s.scratchText = text
	return text
}
