package canlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"milepost/can"
)

const (
	// readBufferSize is how much text is read at once.
	readBufferSize = 128 << 10
	// maxLine is the longest line, without its end, that is looked at; it bounds
	// the memory for what is no log at all. The longest line that candump writes,
	// CAN XL in binary digits, has some 20,000 characters.
	maxLine = 64 << 10
	// maxBuses bounds what garbage may be taken for interface names.
	maxBuses = 1024
)

const reasonLongLine = "line of more than 64 KiB"

// scanner reads frames from candump text in memory.
//
// Lines of the usual form are read by fast, all others by parseLine, with the
// same result.
type scanner struct {
	name       string
	defaultBus string
	location   *time.Location
	onProblem  func(Problem)

	// buf[pos:] is yet to be read. Its last line is complete only if it has a
	// line end or if final, which says that the text ends there.
	buf   []byte
	pos   int
	final bool
	// base is the offset of buf[0] in the text, line the number of lines that
	// were read, first the number of lines before them.
	base int64
	line int64
	// nextLF and nextCR are where the next line ends of the two kinds are, found
	// at an earlier pos; len(buf) if there are none.
	nextLF, nextCR int
	// longAt is the offset of the line that is being skipped, -1 if none is.
	longAt int64

	stats Stats
	// form and stamp describe the last line that parseLine read.
	form  lineForm
	stamp stampKind
	// afterError says that the last line was an error frame, so that details of
	// candump -e may follow.
	afterError bool
	// dependent says that a line could not be understood without those before
	// the text.
	dependent bool

	// last is the Time of the last line that had one, in ns; relativeStart is
	// what times since the start are added to.
	last          int64
	relativeStart int64
	relative      RelativeTimes
	second        cachedSecond
	usual         usualEnd
	missed        missed
	date          cachedDate
	// headerBus is the interface that an Angstrom header named.
	headerBus string

	buses    []string
	busIndex map[string]uint16
	streams  streamTable

	scratchFrame can.Frame
	scratchText  []byte
}

func newScanner(name string, opts Options) *scanner {
	s := &scanner{
		name:       name,
		defaultBus: opts.DefaultBus,
		location:   opts.Location,
		onProblem:  opts.OnProblem,
		relative:   opts.Relative,
		longAt:     -1,
		busIndex:   make(map[string]uint16),
	}
	if s.defaultBus == "" {
		s.defaultBus = "can0"
	}
	if s.location == nil {
		s.location = time.UTC
	}
	if !opts.Base.IsZero() {
		s.relativeStart = opts.Base.UnixNano()
	}
	s.last = s.relativeStart
	s.streams.init()
	return s
}

// setText makes the scanner read text, which is complete and begins at offset.
func (s *scanner) setText(text []byte, offset int64) {
	s.buf, s.pos, s.final, s.base, s.longAt = text, 0, true, offset, -1
	s.nextLF, s.nextCR = -1, -1
}

// read fills frames from buf; fewer than there is room for if buf has no more
// complete lines.
func (s *scanner) read(frames []can.Frame) int {
	start := s.pos
	n := 0
	for n < len(frames) {
		n += s.fast(frames[n:])
		if n == len(frames) {
			break
		}
		line, ok := s.nextLine()
		if !ok {
			break
		}
		if s.parse(line, &frames[n]) {
			n++
		}
	}
	s.stats.Bytes += int64(s.pos - start)
	s.stats.Frames += uint64(n)
	return n
}

// parse reads one line and counts it, except in Frames.
func (s *scanner) parse(line []byte, f *can.Frame) bool {
	if len(line) > maxLine {
		s.bad(s.lineStart(line), reasonLongLine, nil)
		return false
	}
	kind, reason := s.parseLine(line, f)
	switch kind {
	case lineFrame:
		s.stats.Lines++
		if f.Flags&(can.Remote|can.Error|can.FD) != 0 {
			s.countKind(f.Flags)
		}
		if s.stamp == stampNone {
			s.stats.NoTime++
		}
		return true
	case lineXL:
		s.stats.Lines++
		s.stats.XL++
	case lineComment:
		s.stats.Lines++
		s.stats.Comments++
	case lineDetail:
		s.stats.Lines++
		s.stats.Details++
	default:
		s.bad(s.lineStart(line), reason, line)
	}
	return false
}

func (s *scanner) countKind(flags can.Flags) {
	switch {
	case flags&can.Remote != 0:
		s.stats.Remote++
	case flags&can.Error != 0:
		s.stats.Errors++
	default:
		s.stats.FD++
	}
}

// lineStart gives the offset of a line that nextLine returned.
func (s *scanner) lineStart(line []byte) int64 {
	// The line is a part of buf, so that the room behind it tells its place.
	return s.base + int64(cap(s.buf)-cap(line))
}

func (s *scanner) bad(offset int64, reason string, line []byte) {
	s.stats.Lines++
	s.stats.Bad++
	if s.stats.Truncated { // the rest of a line, and no frame
		s.stats.CutOff = true
	}
	if line != nil && s.onProblem != nil {
		reason = fmt.Sprintf("%s: %q", reason, excerpt(line))
	}
	s.problem(offset, reason)
}

func (s *scanner) problem(offset int64, reason string) {
	if s.onProblem != nil {
		s.onProblem(Problem{File: s.name, Line: s.line, Offset: offset, Reason: reason})
	}
}

// excerpt shortens a line for a message.
func excerpt(line []byte) string {
	const most = 80
	if len(line) <= most {
		return string(line)
	}
	return string(line[:most]) + "…"
}

// nextLine takes the next line from buf, without its end: LF, CR LF, or CR
// alone. If there is none (yet), ok is false.
func (s *scanner) nextLine() (line []byte, ok bool) {
	rest := s.buf[s.pos:]
	if len(rest) == 0 {
		if s.final && s.longAt >= 0 {
			s.stats.Truncated = true
			s.endLongLine()
		}
		return nil, false
	}
	if s.nextLF < s.pos {
		s.nextLF = s.pos + indexOrLen(rest, '\n')
	}
	if s.nextCR < s.pos {
		s.nextCR = s.pos + indexOrLen(rest, '\r')
	}
	end := min(s.nextLF, s.nextCR)
	after := end + 1
	switch {
	case end == len(s.buf) && !s.final:
		if len(rest) > maxLine || s.longAt >= 0 {
			s.skipLong(len(s.buf))
		}
		return nil, false
	case end == len(s.buf):
		after = end
		if s.longAt < 0 {
			s.stats.Truncated = true
		}
	case end == s.nextCR && after == len(s.buf) && !s.final:
		return nil, false // a LF may belong to it
	case end == s.nextCR && after == s.nextLF && after < len(s.buf):
		after++
	}
	if s.longAt >= 0 {
		if end == len(s.buf) {
			s.stats.Truncated = true
		}
		s.pos = after
		s.endLongLine()
		return s.nextLine()
	}
	line = s.buf[s.pos:end]
	s.pos = after
	s.line++
	return line, true
}

func (s *scanner) skipLong(to int) {
	if s.longAt < 0 {
		s.longAt = s.base + int64(s.pos)
	}
	s.pos = to
}

func (s *scanner) endLongLine() {
	at := s.longAt
	s.longAt = -1
	s.line++
	s.bad(at, reasonLongLine, nil)
}

func indexOrLen(text []byte, c byte) int {
	if i := bytes.IndexByte(text, c); i >= 0 {
		return i
	}
	return len(text)
}

// bus returns the index of a bus by name.
func (s *scanner) bus(name []byte) (uint16, bool) {
	if i, ok := s.busIndex[string(name)]; ok {
		return i, true
	}
	if len(s.buses) == maxBuses {
		return 0, false
	}
	i := uint16(len(s.buses))
	s.buses = append(s.buses, string(name))
	s.busIndex[s.buses[i]] = i
	return i, true
}

// Buses implements [can.Source] for what embeds the scanner.
func (s *scanner) Buses() []string { return s.buses }

// position is where the next line begins.
func (s *scanner) position() Position {
	return Position{Offset: s.base + int64(s.pos), Line: s.line, Time: s.last, Bus: s.headerBus}
}

// candumpReader reads candump text from an io.Reader.
type candumpReader struct {
	*scanner
	r          io.Reader
	store      []byte
	err        error
	splittable bool
}

// newCandumpReader goes on behind the first n bytes of store, which were read
// from r.
func newCandumpReader(name string, r io.Reader, store []byte, n int, found detection, opts Options) *candumpReader {
	s := newScanner(name, opts)
	s.relative = found.relative
	c := &candumpReader{scanner: s, r: r, store: store, splittable: found.splittable}
	c.setBuffer(n)
	return c
}

func (c *candumpReader) setBuffer(n int) {
	c.buf, c.pos, c.nextLF, c.nextCR = c.store[:n], 0, -1, -1
}

// Read implements [can.Source].
func (c *candumpReader) Read(frames []can.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	for {
		if n := c.read(frames); n > 0 {
			return n, nil
		}
		if c.err != nil {
			return 0, c.err
		}
		c.fill()
	}
}

// fill reads more text behind what is left of the buffer: at most a line of
// maxLine, which leaves room.
func (c *candumpReader) fill() {
	left := copy(c.store, c.buf[c.pos:])
	c.base += int64(c.pos)
	n, err := readSome(c.r, c.store[left:])
	c.setBuffer(left + n)
	if err != nil {
		c.end(err)
	}
}

// end notes why there is no more text.
func (c *candumpReader) end(err error) {
	switch {
	case err == io.EOF:
		c.final, c.err = true, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		// The compressed data were cut, as a power cut does: all that is there
		// can be used.
		c.final, c.err = true, io.EOF
		c.stats.Truncated, c.stats.CutOff = true, true
		if c.onProblem != nil { // the lines before it may not have been counted yet
			c.onProblem(Problem{File: c.name, Offset: c.base + int64(len(c.buf)), Reason: "the compressed data end too early: the log was cut off"})
		}
	default:
		c.err = fmt.Errorf("%s: at byte %d of the text: %w", c.name, c.base+int64(len(c.buf)), err)
	}
}

// seek goes on at a position. seeker, if not nil, is what is below the reader.
func (c *candumpReader) seek(to Position, seeker io.Seeker) error {
	tooShort := func(have int64) error {
		return fmt.Errorf("cannot continue at byte %d: the log has only %d bytes; was it replaced?", to.Offset, have)
	}
	switch have := int64(len(c.buf)); {
	case to.Offset <= have:
		c.pos = int(to.Offset)
	case c.err == io.EOF:
		return tooShort(have)
	case seeker != nil:
		size, err := seeker.Seek(0, io.SeekEnd)
		if err == nil && size < to.Offset {
			return tooShort(size)
		}
		if err == nil {
			_, err = seeker.Seek(to.Offset, io.SeekStart)
		}
		if err != nil {
			return err
		}
		c.base = to.Offset
		c.setBuffer(0)
	default:
		skipped, err := io.CopyN(io.Discard, c.r, to.Offset-have)
		if err == io.EOF {
			return tooShort(have + skipped)
		}
		if err != nil {
			return err
		}
		c.base = to.Offset
		c.setBuffer(0)
	}
	c.line, c.last, c.headerBus = to.Line, to.Time, to.Bus
	return nil
}
