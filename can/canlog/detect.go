package canlog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Format is a format of logs.
type Format uint8

const (
	FormatUnknown Format = iota
	// FormatCandump is the text of candump, in any of its dialects.
	FormatCandump
)

// String names the format.
func (f Format) String() string {
	if f == FormatCandump {
		return "candump"
	}
	return "unknown"
}

// detectSize is how much of a log is looked at to recognise it.
const detectSize = 64 << 10

// Detect recognises a log by its beginning, of which the first 64 KiB are
// looked at: it is a candump log if it has at least one frame, or a line that
// begins with a time stamp.
func Detect(head []byte) Format {
	return detect(head[:min(len(head), detectSize)], RelativeAuto).format
}

// detection is what the beginning of a log tells.
type detection struct {
	format Format
	// splittable: each frame is of the log-file form with an absolute time.
	splittable bool
	relative   RelativeTimes
	// relativeLines counts the lines with relative times, backward those of them
	// that are earlier than the one before.
	relativeLines, backward int
	asked                   RelativeTimes
}

// settledLines is how many relative times are wanted to tell deltas from times
// since the start.
const settledLines = 32

// settled reports whether more text would not tell more.
func (d *detection) settled() bool {
	return d.format != FormatUnknown &&
		(d.asked != RelativeAuto || d.relativeLines == 0 || d.relativeLines >= settledLines)
}

// recognisable returns a function that tells whether the beginning of a log is
// long enough to recognise it. It is called with more and more of it.
func recognisable(opts Options) func(head []byte) bool {
	seen := 0
	return func(head []byte) bool {
		news := head[seen:]
		seen = len(head)
		if len(head) >= detectSize {
			return true
		}
		// Each new line may be the one that tells.
		if bytes.IndexByte(news, '\n') < 0 {
			return false
		}
		found := detect(head, opts.Relative)
		return found.settled()
	}
}

func detect(head []byte, relative RelativeTimes) detection {
	d := detection{asked: relative, relative: relative, splittable: true}
	s := newScanner("", Options{})
	s.setText(head, 0)
	s.relative = RelativeToStart
	s.relativeStart = 0
	var previous int64
	for {
		line, ok := s.nextLine()
		if !ok {
			break
		}
		s.stamp = stampNone
		kind, _ := s.parseLine(line, &s.scratchFrame)
		if kind == lineComment || kind == lineDetail {
			if s.headerBus != "" {
				d.splittable = false
			}
			continue
		}
		if kind == lineFrame || kind == lineXL || s.stamp != stampNone {
			d.format = FormatCandump
		}
		if kind == lineFrame && (s.form != formLog || s.stamp == stampNone) {
			d.splittable = false
		}
		if s.stamp == stampRelative {
			if s.last < previous {
				d.backward++
			}
			previous = s.last
			d.relativeLines++
		}
	}
	// Of the lengths of intervals, about half are shorter than the one before.
	// Frames out of order are far rarer than one in eight.
	if relative == RelativeAuto {
		d.relative = RelativeToStart
		if d.backward*8 > d.relativeLines {
			d.relative = RelativeToPrevious
		}
	}
	d.splittable = d.splittable && d.format != FormatUnknown && bytes.IndexByte(head, '\n') >= 0
	return d
}

// onlyComments reports whether a text has no line that ought to be a frame.
func onlyComments(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// UnknownFormatError says that a file is no log of a format that this package
// reads.
type UnknownFormatError struct {
	// LooksLike says what the file seems to be, such as "a Vector BLF log".
	LooksLike string
}

func (e *UnknownFormatError) Error() string {
	return fmt.Sprintf("not a known CAN log, it looks like %s; known: candump text, plain or compressed with gzip or zstd", e.LooksLike)
}

// magics tell what a file is that Detect does not know.
var magics = []struct{ prefix, name string }{
	{"LOGG", "a Vector BLF log (convert it with python-can's can_logconvert)"},
	{"MDF     ", "an ASAM MDF log"},
	{"UnFinMF ", "an unfinished ASAM MDF log"},
	{"\xd4\xc3\xb2\xa1", "a pcap capture"},
	{"\xa1\xb2\xc3\xd4", "a pcap capture"},
	{"\x4d\x3c\xb2\xa1", "a pcap capture"},
	{"\xa1\xb2\x3c\x4d", "a pcap capture"},
	{"\x0a\x0d\x0d\x0a", "a pcapng capture"},
	{"SQLite format 3", "an SQLite database"},
	{"date ", "a Vector ASC log (convert it with can-utils' asc2log)"},
	{";$FILEVERSION", "a PEAK TRC log"},
	{"***BUSMASTER", "a BUSMASTER log"},
	{"VERSION \"", "a DBC file"},
	{"PK\x03\x04", "a zip archive (unpack it first)"},
	{"BZh", "bzip2 data (unpack it first)"},
	{"\xfd7zXZ\x00", "xz data (unpack it first)"},
	{"\x04\x22\x4d\x18", "lz4 data (unpack it first)"},
	{"7z\xbc\xaf", "a 7z archive (unpack it first)"},
	{"\x1f\x8b", "gzip data within compressed data (unpack it once)"},
	{"\x28\xb5\x2f\xfd", "zstd data within compressed data (unpack it once)"},
	{"\xff\xfe", "UTF-16 text (convert it to UTF-8)"},
	{"\xfe\xff", "UTF-16 text (convert it to UTF-8)"},
	{"\x7fELF", "a program"},
	{"timestamp,arbitration_id", "a CSV log of python-can"},
	{"Time Stamp,ID", "a CSV log of SavvyCAN"},
	{"TimestampEpoch;", "a CSV log of CSS Electronics"},
}

func unknownFormat(head []byte) error {
	if len(head) == 0 {
		return &UnknownFormatError{"an empty file"}
	}
	for _, m := range magics {
		if strings.HasPrefix(string(head[:min(len(head), 32)]), m.prefix) {
			return &UnknownFormatError{m.name}
		}
	}
	start := head[:min(len(head), 512)]
	if slices.Contains(start, 0) || !utf8.Valid(bytes.TrimRightFunc(start, isBroken)) {
		return &UnknownFormatError{"binary data"}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(start)), "\n")
	return &UnknownFormatError{fmt.Sprintf("text that begins with %q", excerpt([]byte(first)))}
}

// isBroken tells the cut-off character at the end of the looked-at bytes.
func isBroken(r rune) bool { return r == utf8.RuneError }
