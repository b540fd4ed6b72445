package canlog

import "time"

// stampKind is how a line says its time.
type stampKind uint8

const (
	stampNone stampKind = iota
	// stampAbsolute counts seconds since the Unix epoch: (1533201287.000013)
	stampAbsolute
	// stampRelative counts them since the start or the previous frame:
	// (000.012300), in console forms
	stampRelative
	// stampDate is a local time: (2023-11-14 22:13:20.501000)
	stampDate
)

// maxSeconds keeps seconds and their fraction within an int64 of nanoseconds.
const maxSeconds = 9_223_372_035

// parseSeconds reads digits, a dot and 1 to 9 decimals as nanoseconds, exactly.
// digits is the number of digits before the dot.
func parseSeconds(text []byte) (ns int64, digits int, ok bool) {
	var sec int64
	for digits < len(text) && text[digits]-'0' <= 9 {
		if sec = sec*10 + int64(text[digits]-'0'); sec > maxSeconds {
			return 0, 0, false
		}
		digits++
	}
	if digits == 0 || digits == len(text) || text[digits] != '.' {
		return 0, 0, false
	}
	fraction, ok := parseFraction(text[digits+1:])
	return sec*1e9 + fraction, digits, ok
}

// parseFraction reads 1 to 9 decimals as nanoseconds.
func parseFraction(text []byte) (ns int64, ok bool) {
	if len(text) < 1 || len(text) > 9 {
		return 0, false
	}
	for _, c := range text {
		if c-'0' > 9 {
			return 0, false
		}
		ns = ns*10 + int64(c-'0')
	}
	for range 9 - len(text) {
		ns *= 10
	}
	return ns, true
}

// dateLen is the length of "2006-01-02 15:04:05".
const dateLen = 19

// cachedDate remembers the last date, because the next line mostly has the same.
type cachedDate struct {
	text [dateLen]byte
	ns   int64
}

// parseDate reads a local time such as 2023-11-14 22:13:20.501000.
func (s *scanner) parseDate(text []byte) (ns int64, ok bool) {
	if len(text) < dateLen+2 || text[dateLen] != '.' {
		return 0, false
	}
	fraction, ok := parseFraction(text[dateLen+1:])
	if !ok {
		return 0, false
	}
	date := [dateLen]byte(text)
	if date != s.date.text {
		t, err := time.ParseInLocation("2006-01-02 15:04:05", string(date[:]), s.location)
		if err != nil || t.Year() < 1678 || t.Year() > 2261 {
			return 0, false
		}
		s.date = cachedDate{date, t.UnixNano()}
	}
	return s.date.ns + fraction, true
}

// setTime turns the time stamp of a line into the time of its frame.
func (s *scanner) setTime(kind stampKind, ns int64) bool {
	s.stamp = kind
	if kind == stampRelative {
		s.dependent = true
		start := s.relativeStart
		if s.relative == RelativeToPrevious {
			start = s.last
		}
		sum := start + ns
		if sum < start { // ns is never negative
			return false
		}
		ns = sum
	}
	s.last = ns
	return true
}
