// Package canlog reads and writes recorded CAN logs.
//
// Open finds out by content how a log is compressed (gzip, zstd or not at all)
// and which format it has, and gives a [Log], which is a [can.Source]. So far
// that is the text of candump in all its dialects: the log files of candump -l,
// what candump prints with any of its options, and what it printed in 2010.
//
// A log is read as far as it makes sense: a line that does not is counted,
// reported to [Options].OnProblem, and costs only itself.
//
// Around the logs there are a [Writer] (as candump -l), a [Replayer] that
// delivers frames at the pace of their time stamps, a [Merge] of several
// sources by time, and a [Splitter] that cuts a log into chunks for parallel
// workers.
package canlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"milepost/can"
)

// Options say how to read a log. The zero value is a good start.
type Options struct {
	// DefaultBus names the bus of lines without an interface; "can0" if empty.
	DefaultBus string

	// Location is the time zone of local times (candump -tA), which the log
	// does not name; UTC if nil. The hour that is repeated when summer time ends
	// is read as time.Date does.
	Location *time.Location

	// Base is the start of logs that only have relative times (candump -td and
	// -tz) or none; the Unix epoch if zero.
	Base time.Time

	// Relative says how to read relative times: candump does not mark whether
	// they are deltas. The zero value decides by the first 64 KiB.
	Relative RelativeTimes

	// From is where to start: a Position of an earlier Log of the same file.
	From Position

	// OnProblem, if set, is called for each problem, from within Read.
	OnProblem func(Problem)
}

// RelativeTimes are the meanings of relative time stamps.
type RelativeTimes uint8

const (
	// RelativeAuto decides by the beginning of the log: times that often run
	// backwards are deltas.
	RelativeAuto RelativeTimes = iota
	// RelativeToStart are times since the first frame (candump -tz).
	RelativeToStart
	// RelativeToPrevious are times since the previous frame (candump -td).
	RelativeToPrevious
)

// Position is a place between two lines of a log, to continue at.
type Position struct {
	// Offset counts bytes of text, after decompression.
	Offset int64 `json:"offset"`
	// Line counts the lines before it.
	Line int64 `json:"line"`
	// Time is that of the last frame before it, in ns since the Unix epoch:
	// lines without a time and deltas need it.
	Time int64 `json:"time"`
	// Bus is the interface that a header line named, empty if none did.
	Bus string `json:"bus,omitempty"`
}

// Problem is something in a log that made no sense.
type Problem struct {
	// File is the name given to Open or NewReader.
	File string
	// Line counts from 1; 0 where there are no lines.
	Line int64
	// Offset is where the line begins, in bytes of text.
	Offset int64
	// Reason says what is wrong, with an excerpt.
	Reason string
}

// String gives "file:line: reason", or the offset where there is no line.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: at byte %d of the text: %s", p.File, p.Offset, p.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason)
}

// Log is an open log. It implements [can.Source] and is used by one goroutine
// at a time; only Close may be called beside a Read, which it ends.
type Log struct {
	name   string
	format Format
	reader *candumpReader
	input  *countingReader
	size   int64
	file   *os.File // nil if Open did not open it
}

// Open opens the log at path; "-" is the standard input.
func Open(path string, opts Options) (*Log, error) {
	if path == "-" {
		return NewReader("stdin", os.Stdin, opts)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	log, err := NewReader(path, file, opts)
	if err != nil {
		file.Close()
		return nil, err
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		log.size = info.Size()
	}
	log.file = file
	return log, nil
}

// NewReader reads a log from r. It reads ahead: up to 64 KiB to recognise it,
// less if a line tells. Problems and errors call it name. Closing the Log does
// not close r.
//
// If r is a regular file, or another io.Seeker, and the log is not compressed,
// Options.From is reached by seeking: the log begins at r's offset 0.
func NewReader(name string, r io.Reader, opts Options) (*Log, error) {
	log := &Log{name: name, input: &countingReader{r: r}}
	if err := log.open(r, opts); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return log, nil
}

func (l *Log) open(r io.Reader, opts Options) error {
	seeker, _ := r.(io.Seeker)
	if seeker != nil {
		if _, err := seeker.Seek(0, io.SeekCurrent); err != nil {
			seeker = nil // a pipe
		}
	}

	store := make([]byte, readBufferSize)
	text := io.Reader(l.input)
	n, err := readHead(text, store, 0, func(head []byte) bool { return len(head) >= longestMagic })
	if unpack := decompressor(store[:n]); unpack != nil {
		packed := io.MultiReader(bytes.NewReader(bytes.Clone(store[:n])), l.input)
		if text, err = unpack(packed); err != nil {
			return err
		}
		n, seeker = 0, nil
	}
	if err == nil {
		n, err = readHead(text, store, n, recognisable(opts))
	}
	ended := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !ended {
		return err
	}
	found := detect(store[:min(n, detectSize)], opts.Relative)
	if found.format == FormatUnknown && !(ended && onlyComments(store[:n])) {
		return unknownFormat(store[:n])
	}

	l.format = FormatCandump
	l.reader = newCandumpReader(l.name, text, store, n, found, opts)
	if ended {
		l.reader.end(err)
	}
	if opts.From.Offset == 0 {
		return nil
	}
	if err := l.reader.seek(opts.From, seeker); err != nil {
		return err
	}
	if seeker != nil {
		l.input.n.Store(l.reader.base + int64(len(l.reader.buf)))
	}
	return nil
}

// Read implements [can.Source]. It returns the frames that have been read so
// far rather than waiting for more of them.
func (l *Log) Read(frames []can.Frame) (int, error) { return l.reader.Read(frames) }

// Buses implements [can.Source].
func (l *Log) Buses() []string { return l.reader.Buses() }

// Format is the format that was recognised.
func (l *Log) Format() Format { return l.format }

// Stats counts what has been read so far.
func (l *Log) Stats() Stats { return l.reader.stats }

// Position is behind the last frame that was delivered and what was skipped
// around it.
func (l *Log) Position() Position { return l.reader.position() }

// Progress tells how many bytes of the input, compressed or not, have been
// taken in and how many there are; 0 if that is not known. It may be called
// from another goroutine.
func (l *Log) Progress() (done, total int64) { return l.input.n.Load(), l.size }

// Splittable reports whether the log can be cut into chunks that are read
// independently of one another: by its beginning, each line has its time and
// its interface. A [Text] notices where a later line does not.
func (l *Log) Splittable() bool { return l.reader.splittable }

// Close closes the file, if Open opened one. It ends a blocked Read.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
