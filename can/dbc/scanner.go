package dbc

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// keywords begin statements, or name the kind of object within one.
var keywords = map[string]bool{
	"VERSION": true, "NS_": true, "BS_": true, "BU_": true, "BO_": true, "SG_": true,
	"EV_": true, "CM_": true, "VAL_": true, "VAL_TABLE_": true,
	"BA_DEF_": true, "BA_DEF_DEF_": true, "BA_": true,
	"BA_DEF_REL_": true, "BA_DEF_DEF_REL_": true, "BA_REL_": true,
	"BU_SG_REL_": true, "BU_EV_REL_": true, "BU_BO_REL_": true,
	"BA_DEF_SGTYPE_": true, "BA_SGTYPE_": true,
	"BO_TX_BU_": true, "SIG_VALTYPE_": true, "SIGTYPE_VALTYPE_": true,
	"SIG_GROUP_": true, "SIG_TYPE_REF_": true, "SG_MUL_VAL_": true,
	"SGTYPE_": true, "SGTYPE_VAL_": true, "NS_DESC_": true,
	"ENVVAR_DATA_": true, "EV_DATA_": true,
	"CAT_DEF_": true, "CAT_": true, "FILTER": true,
}

// maxKeyword is the length of the longest keyword.
const maxKeyword = 16

// scanner reads the pieces of statements. What a run of characters means
// depends on where it stands ("-5" is a name in one place, a number in
// another), so there are no tokens: the parser asks for what it expects.
//
// A keyword at the beginning of a line is a barrier: nothing but the parser's
// main loop reads it. So a statement that lacks its end never eats the next
// one.
type scanner struct {
	text string
	// pos is the next byte to read.
	pos int
	// line counts from 1, lineStart is where it begins, first its first
	// character that is not blank (once skip has been there).
	line, lineStart, first int

	// skipped is where skip was last, ended the end of the piece before it.
	skipped int
	ended   mark

	// str's memory: a string opened between from and end is closed at end (the
	// text's end if by nothing), and the last line before it that looks like a
	// statement begins at statement.
	from, end, statement int
}

func newScanner(text string) scanner { return scanner{text: text, line: 1, from: -1, end: -1} }

// skip passes blanks, line ends and comments (//).
func (s *scanner) skip() {
	if s.pos != s.skipped {
		s.ended = mark{s.pos, s.line, s.lineStart}
	}
	s.skipBlanks()
	s.skipped = s.pos
}

func (s *scanner) skipBlanks() {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '\n':
			s.newline()
		case c <= ' ':
			if s.first == s.pos {
				s.first++
			}
			s.pos++
		case c == '/' && strings.HasPrefix(s.text[s.pos:], "//"):
			s.skipLine()
		default:
			return
		}
	}
}

// skipLine passes the rest of the line, not its end.
func (s *scanner) skipLine() {
	n := strings.IndexByte(s.text[s.pos:], '\n')
	if n < 0 {
		n = len(s.text) - s.pos
	}
	s.pos += n
}

// newline passes the line end at pos.
func (s *scanner) newline() {
	s.pos++
	s.line++
	s.lineStart, s.first = s.pos, s.pos
}

// barrier skips to the next piece and reports whether the statement ends before
// it: at the end of the file, or at a line that begins with a keyword.
func (s *scanner) barrier() bool {
	s.skip()
	return s.pos >= len(s.text) || s.pos == s.first && s.keyword() != ""
}

// keyword returns the keyword at pos, "" if there is none.
func (s *scanner) keyword() string { return keywordAt(s.text, s.pos) }

func keywordAt(text string, pos int) string {
	end := pos
	for end < len(text) && end-pos <= maxKeyword && (text[end] == '_' || text[end] >= 'A' && text[end] <= 'Z') {
		end++
	}
	if end == pos || end < len(text) && isName(text[end]) || !keywords[text[pos:end]] {
		return ""
	}
	return text[pos:end]
}

// isName says whether a byte may be part of a name. Names of real files contain
// far more than the C identifiers that the format wants; what ends one is a
// blank or a delimiter.
func isName(c byte) bool {
	switch c {
	case ':', ';', ',', '"', '(', ')', '[', ']', '|', '@':
		return false
	}
	return c > ' '
}

// name reads a name or another word; "" if there is none, or a keyword.
func (s *scanner) name() string {
	if s.barrier() {
		return ""
	}
	// VERSION and FILTER are too common as names of signals to be reserved
	// anywhere but at the beginning of a line.
	if k := s.keyword(); k != "" && strings.HasSuffix(k, "_") {
		return ""
	}
	start := s.pos
	for s.pos < len(s.text) && isName(s.text[s.pos]) {
		s.pos++
	}
	return s.text[start:s.pos]
}

// accept reads the character if it comes next.
func (s *scanner) accept(c byte) bool {
	if s.barrier() || s.text[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

// peek returns the character that comes next, 0 at a barrier.
func (s *scanner) peek() byte {
	if s.barrier() {
		return 0
	}
	return s.text[s.pos]
}

// digits passes a run of decimal digits and returns how many.
func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// number reads the text of a number, "" if there is none:
//
//	[+-] ( 0x hex | digits [. digits] [e [+-] digits] | inf | nan | 1.#INF … )
func (s *scanner) number() string {
	if s.barrier() {
		return ""
	}
	start := s.pos
	if c := s.text[s.pos]; c == '+' || c == '-' {
		s.pos++
	}
	rest := s.text[s.pos:]
	switch {
	case len(rest) > 2 && rest[0] == '0' && rest[1]|0x20 == 'x' && isHex(rest[2]):
		for s.pos += 2; s.pos < len(s.text) && isHex(s.text[s.pos]); {
			s.pos++
		}
	case len(rest) >= 3 && (strings.EqualFold(rest[:3], "inf") || strings.EqualFold(rest[:3], "nan")):
		for s.pos < len(s.text) && s.text[s.pos]|0x20 >= 'a' && s.text[s.pos]|0x20 <= 'z' {
			s.pos++
		}
	default:
		digits := s.digits()
		if s.pos < len(s.text) && s.text[s.pos] == '.' {
			s.pos++
			digits += s.digits()
			if s.pos < len(s.text) && s.text[s.pos] == '#' { // Microsoft C: 1.#INF, -1.#IND, 1.#QNAN
				for s.pos < len(s.text) && isName(s.text[s.pos]) {
					s.pos++
				}
				return s.text[start:s.pos]
			}
		}
		if digits == 0 {
			s.pos = start
			return ""
		}
		if s.pos < len(s.text) && s.text[s.pos]|0x20 == 'e' {
			mantissa := s.pos
			s.pos++
			if s.pos < len(s.text) && (s.text[s.pos] == '+' || s.text[s.pos] == '-') {
				s.pos++
			}
			if s.digits() == 0 {
				s.pos = mantissa
			}
		}
	}
	return s.text[start:s.pos]
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// float gives the value of what number read.
func float(text string) (float64, bool) {
	if mantissa, special, ok := strings.Cut(text, ".#"); ok && strings.Trim(mantissa, "+-0123456789") == "" {
		if len(special) >= 3 && strings.EqualFold(special[:3], "inf") {
			if strings.HasPrefix(mantissa, "-") {
				return math.Inf(-1), true
			}
			return math.Inf(1), true
		}
		return math.NaN(), true
	}
	if i, ok := integer(text); ok && len(text) < 16 {
		return float64(i), true
	}
	f, err := strconv.ParseFloat(text, 64)
	// Out of range is infinite, which is what was meant.
	return f, err == nil || math.IsInf(f, 0)
}

// integer gives the value of what number read, if it is integral. Values up to
// 64 bits unsigned are given as their bit patterns.
func integer(text string) (int64, bool) {
	sign, digits := "", text
	if strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") {
		sign, digits = text[:1], text[1:]
	}
	base := 10
	if len(digits) > 2 && digits[1]|0x20 == 'x' {
		base, digits = 16, digits[2:]
	}
	if i, err := strconv.ParseInt(sign+digits, base, 64); err == nil {
		return i, true
	}
	if u, err := strconv.ParseUint(digits, base, 64); err == nil && sign != "-" {
		return int64(u), true
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		return int64(f), true
	}
	return 0, false
}

// str reads the string at pos, which has its opening quote. A string may run
// over lines, and \" is a quote in it.
//
// Where the closing quote is missing, the next quote of the file would close
// the string, and all lines until then would be lost. So a string that contains
// a line that begins with a keyword must be followed by a semicolon (in the
// files that have such strings, comments, it is); otherwise it ends with its
// first line and is reported as not closed.
func (s *scanner) str() (text string, closed bool) {
	start := s.pos + 1
	if start < s.from || start > s.end {
		s.findQuote(start)
	}
	end, closed := s.end, s.end < len(s.text)
	if s.statement >= start {
		closed = closed && s.semicolonAfter(end+1)
	}
	if !closed {
		end = start + strings.IndexByte(s.text[start:], '\n')
		if end < start {
			end = len(s.text)
		}
		// An escaped quote may have been meant to close it ("C:\").
		if quote := strings.LastIndexByte(s.text[start:end], '"'); quote >= 0 {
			end = start + quote
			text = s.text[start:end]
			s.pos = end + 1
			return strings.ReplaceAll(text, `\"`, `"`), false
		}
	}
	text = s.text[start:end]
	for i := strings.IndexByte(text, '\n'); i >= 0; {
		s.pos = start + i
		s.newline()
		s.first = -1 // nothing behind the string is the first of its line
		next := strings.IndexByte(text[i+1:], '\n')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	s.pos = end
	if closed {
		s.pos++
	}
	return strings.ReplaceAll(text, `\"`, `"`), closed
}

// findQuote looks for the quote that closes a string, and for the last line on
// the way that looks like a statement.
func (s *scanner) findQuote(start int) {
	s.from, s.statement = start, -1
	for i := start; ; i++ {
		switch {
		case i >= len(s.text):
			s.end = len(s.text)
			return
		case s.text[i] == '"' && (i == start || s.text[i-1] != '\\'):
			s.end = i
			return
		case s.text[i] == '\n':
			j := i + 1
			for j < len(s.text) && (s.text[j] == ' ' || s.text[j] == '\t') {
				j++
			}
			if keywordAt(s.text, j) != "" {
				s.statement = j
			}
			i = j - 1
		}
	}
}

func (s *scanner) semicolonAfter(pos int) bool {
	rest := strings.TrimLeft(s.text[pos:min(len(s.text), pos+256)], " \t\n")
	return rest == "" || rest[0] == ';'
}

// resync passes everything up to the next barrier.
func (s *scanner) resync() {
	for !s.barrier() {
		if s.text[s.pos] == '"' {
			s.str()
		} else {
			s.pos++
			for s.pos < len(s.text) && isName(s.text[s.pos]) {
				s.pos++
			}
		}
	}
}

// mark is a place in the file.
type mark struct{ pos, line, lineStart int }

// here skips to the next piece and returns its place; at a barrier, where a
// piece is missing, the place behind the last one.
func (s *scanner) here() mark {
	if s.barrier() {
		return s.ended
	}
	return mark{s.pos, s.line, s.lineStart}
}

// column counts the characters up to the mark, within reason.
func (s *scanner) column(m mark) int {
	const far = 1 << 16
	if m.pos-m.lineStart > far {
		return m.pos - m.lineStart + 1
	}
	return utf8.RuneCountInString(s.text[m.lineStart:m.pos]) + 1
}
