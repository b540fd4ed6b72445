package uplink

import (
	"math"
	"strconv"

	"milepost/aggregate"
)

// AppendJSON appends the record as one flat JSON object. It allocates nothing
// but what dst lacks.
func AppendJSON(dst []byte, r *Record) []byte {
	s := &r.Summary
	dst = AppendJSONString(append(dst, `{"device":`...), r.Device)
	dst = append(r.Boot.AppendString(append(dst, `,"boot":"`...)), '"')
	dst = strconv.AppendUint(append(dst, `,"seq":`...), r.Sequence, 10)
	dst = appendSeconds(append(dst, `,"window":`...), r.Start)
	dst = appendSeconds(append(dst, `,"duration":`...), r.Duration)
	if r.Revision > 0 {
		dst = strconv.AppendUint(append(dst, `,"revision":`...), uint64(r.Revision), 10)
	}
	if r.Clock != aggregate.ClockUnknown {
		dst = append(append(append(dst, `,"clock":"`...), r.Clock.String()...), '"')
		dst = appendSeconds(append(dst, `,"uptime":`...), r.Uptime)
		if r.Moved != 0 {
			dst = appendSeconds(append(dst, `,"moved":`...), r.Moved)
		}
	}
	dst = AppendJSONString(append(dst, `,"bus":`...), r.Group.Bus)
	if r.Group.HasID {
		dst = append(r.AppendID(append(dst, `,"id":"`...)), '"')
	}
	dst = AppendJSONString(append(dst, `,"message":`...), r.Group.Name)
	dst = AppendJSONString(append(dst, `,"signal":`...), r.Series.Name)
	dst = AppendJSONString(append(dst, `,"unit":`...), r.Series.Unit)
	dst = strconv.AppendUint(append(dst, `,"count":`...), s.Count, 10)
	if s.Count == 0 {
		return append(dst, `,"min":null,"max":null,"avg":null,"sum":null,"first":null,"last":null}`...)
	}
	v := r.Value()
	dst = append(dst, `,"min":`...)
	low := len(dst)
	dst = appendJSONNumber(dst, v.Min)
	lowEnd := len(dst)
	dst = append(dst, `,"max":`...)
	high := len(dst)
	dst = appendJSONNumber(dst, v.Max)
	highEnd := len(dst)
	// To write a number is what costs most here, and in a quiet second most are the
	// same.
	number := func(dst []byte, x float64) []byte {
		switch x {
		case v.Min:
			return append(dst, dst[low:lowEnd]...)
		case v.Max:
			return append(dst, dst[high:highEnd]...)
		}
		return appendJSONNumber(dst, x)
	}
	dst = number(append(dst, `,"avg":`...), v.Avg(s.Count))
	dst = number(append(dst, `,"sum":`...), v.Sum)
	dst = number(append(dst, `,"first":`...), v.First)
	dst = number(append(dst, `,"last":`...), v.Last)
	h := &s.Histogram
	dst = strconv.AppendInt(append(dst, `,"hist_scale":`...), int64(h.Scale), 10)
	dst = strconv.AppendUint(append(dst, `,"hist_zero":`...), h.Zero, 10)
	dst = strconv.AppendInt(append(dst, `,"hist_pos_offset":`...), int64(h.Positive.Offset), 10)
	dst = appendJSONCounts(append(dst, `,"hist_pos":`...), h.Positive.Counts)
	dst = strconv.AppendInt(append(dst, `,"hist_neg_offset":`...), int64(h.Negative.Offset), 10)
	dst = appendJSONCounts(append(dst, `,"hist_neg":`...), h.Negative.Counts)
	return append(dst, '}')
}

// AppendString appends what String gives, without garbage.
func (b BootID) AppendString(dst []byte) []byte {
	var text [36]byte
	at := 0
	for i, x := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text[at] = '-'
			at++
		}
		text[at], text[at+1] = lowerHex[x>>4], lowerHex[x&15]
		at += 2
	}
	return append(dst, text[:]...)
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
)

// AppendID appends the arbitration ID as candump writes it: 3 hexadecimal
// digits, 8 where it is extended, none where there is no ID.
func (r *Record) AppendID(dst []byte) []byte {
	g := r.Group
	if !g.HasID {
		return dst
	}
	shift := 8
	if g.Extended || g.ID > 0xfff {
		shift = 28
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, upperHex[g.ID>>shift&15])
	}
	return dst
}

// appendSeconds writes nanoseconds as seconds, exactly and as short as possible.
func appendSeconds(dst []byte, nanoseconds int64) []byte {
	const second = 1_000_000_000
	n := uint64(nanoseconds)
	if nanoseconds < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = strconv.AppendUint(dst, n/second, 10)
	rest := n % second
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := uint64(second / 10); rest > 0; unit /= 10 {
		dst = append(dst, '0'+byte(rest/unit))
		rest %= unit
	}
	return dst
}

// appendJSONNumber writes the shortest decimal that reads back as x, in the form
// that encoding/json and ECMAScript's Number.toString choose. What JSON has no
// number for is null.
func appendJSONNumber(dst []byte, x float64) []byte {
	if n := int64(x); n > -1e15 && n < 1e15 && float64(n) == x {
		return strconv.AppendInt(dst, n, 10)
	}
	magnitude := math.Abs(x)
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return append(dst, "null"...)
	case magnitude >= 1e-6 && magnitude < 1e21:
		return strconv.AppendFloat(dst, x, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, x, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' { // e-07
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

func appendJSONCounts(dst []byte, counts []uint64) []byte {
	dst = append(dst, '[')
	for i, c := range counts {
		if i > 0 {
			dst = append(dst, ',')
		}
		if c < 10 { // as most are
			dst = append(dst, '0'+byte(c))
			continue
		}
		dst = strconv.AppendUint(dst, c, 10)
	}
	return append(dst, ']')
}

// isPlain says that a string is of ASCII characters that JSON has as they are, as
// most names are.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// AppendJSONString appends a string as JSON has it, in quotation marks.
func AppendJSONString(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	s = validUTF8(s)
	dst = append(dst, '"')
	start := 0 // of what is not yet copied
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}
