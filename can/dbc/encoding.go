package dbc

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// windows1252 holds the characters 0x80 to 0x9F of Windows-1252; the others are
// those of Latin-1. The five bytes that it leaves undefined stand for
// themselves, as browsers have it (WHATWG Encoding, index windows-1252).
var windows1252 = [32]rune{
	0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
	0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008D, 0x017D, 0x008F,
	0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
	0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
}

// decodeText makes UTF-8 with \n line ends of a file's bytes. The format names
// no encoding: what is valid UTF-8 is UTF-8, anything else the Windows-1252
// that Vector's tools write.
func decodeText(data []byte) string {
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	valid := utf8.Valid(data)
	var b strings.Builder
	b.Grow(len(data))
	for i, c := range data {
		switch {
		case c == '\r':
			if i+1 == len(data) || data[i+1] != '\n' {
				b.WriteByte('\n')
			}
		case valid || c < 0x80:
			b.WriteByte(c)
		case c < 0xA0:
			b.WriteRune(windows1252[c-0x80])
		default:
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}
