package canlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"milepost/can"
)

// Chunk is a piece of a log made of whole lines.
type Chunk struct {
	// Data is the text. Only the last chunk of a log may lack the line end.
	Data []byte
	// Index counts the chunks from 0; Offset is where Data begins in the text of
	// the log.
	Index, Offset int64

	memory []byte // in which Data lies
}

// MinChunkSize is the least size of chunks: two of the longest lines.
const MinChunkSize = 2 * maxLine

// ErrNotSplittable is the error of Split for logs whose lines need those before
// them.
var ErrNotSplittable = errors.New("its lines depend on those before them: read the log as a whole")

// Splitter cuts a log into chunks. Next may be called by several workers at
// once: each gets chunks of its own, in the order of the log.
//
// Of a plain file the workers read blocks of nearly half a chunk, all at the same
// time: reading is a third of what they do. Only to be joined with the rest of the
// one before it a block has to wait for that.
type Splitter struct {
	mu     sync.Mutex
	reader *candumpReader
	size   int
	align  int64 // seconds
	// rest is what was read behind the last chunk, next describes the next one,
	// err is why there is nothing behind rest.
	rest []byte
	next Chunk
	err  error

	// file is what blocks are read from, one behind the other from blocks on, and
	// input knows how much was read; nil where the log is read in one piece after
	// the other. taken is how many blocks were begun, joined how many became chunks.
	file          io.ReaderAt
	input         *countingReader
	blocks        int64
	taken, joined int64
	turn          *sync.Cond // of joined and file, with mu
}

// Split hands the log over to a Splitter, at its present position. The chunks
// have size bytes or less; MinChunkSize if size is less than that. Where it can
// be done, and costs less than half of a chunk, they end where an interval of
// align ends in the time stamps, so that few intervals are cut in two.
//
// The Log must not be read any more, but still has to be closed. Its Stats go
// on counting what the Splitter itself drops; added to those of all the Texts
// they are the Stats of the whole log.
func (l *Log) Split(size int, align time.Duration) (*Splitter, error) {
	if !l.Splittable() {
		return nil, fmt.Errorf("%s: %w", l.name, ErrNotSplittable)
	}
	r := l.reader
	at := r.position()
	s := &Splitter{
		reader: r,
		size:   max(size, MinChunkSize),
		align:  max(1, int64(align/time.Second)),
		rest:   bytes.Clone(r.buf[r.pos:]),
		next:   Chunk{Offset: at.Offset},
		err:    r.err,
		input:  l.input,
	}
	s.turn = sync.NewCond(&s.mu)
	if l.size > 0 && r.r == io.Reader(l.input) && s.err == nil {
		// What was read ahead is read again.
		l.input.n.Add(-int64(len(s.rest)))
		s.file, s.blocks, s.rest = l.file, at.Offset, nil
	}
	return s, nil
}

// Next fills c with the next chunk, in the memory of the one that c was before if
// that suffices. The error io.EOF is the regular end. Another error comes after
// all whole lines before it.
func (s *Splitter) Next(c *Chunk) error {
	c.memory = slices.Grow(c.memory[:0], s.size)[:s.size]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		if done, err := s.nextOfFile(c); done {
			return err
		}
	}
	data := c.memory
	n := copy(data, s.rest)
	s.rest = s.rest[:copy(s.rest, s.rest[n:])]
	for n < len(data) && s.err == nil {
		n += s.read(data[n:])
	}
	return s.cut(c, data[:n], n == len(data))
}

// nextOfFile is Next for a file of which blocks are read. It is done unless the
// log turns out to be one that is better read in one piece after the other.
func (s *Splitter) nextOfFile(c *Chunk) (done bool, err error) {
	file, number := s.file, s.taken
	// The room before it is for the rest of the block before: half of a chunk at
	// most, and some lines.
	room := s.size / 16 * 9
	block := c.memory[room:]
	at := s.blocks + number*int64(len(block))
	s.taken++
	s.mu.Unlock()
	n, err := file.ReadAt(block, at)
	s.mu.Lock()
	for s.joined != number && s.file != nil {
		s.turn.Wait()
	}
	if s.file == nil {
		return false, nil
	}
	defer s.turn.Broadcast()
	s.joined++
	s.input.n.Add(int64(n))
	if s.err != nil { // of a block before, such as the end of a file that has grown since
		return true, s.err
	}
	if err != nil {
		s.failed(err)
	}
	text := c.memory[:room+n]
	if len(s.rest) <= room {
		text = text[room-len(s.rest):]
		copy(text, s.rest)
		s.rest = s.rest[:0]
		if n < len(block) || bytes.IndexByte(text, '\n') >= 0 {
			return true, s.cut(c, text, n == len(block))
		}
	} else {
		text = text[room:]
	}
	// A line that is longer than a block.
	s.rest = append(s.rest, text...)
	s.file = nil
	if s.err == nil {
		_, err = s.input.r.(io.Seeker).Seek(at+int64(n), io.SeekStart)
		if err != nil {
			s.failed(err)
		}
	}
	return false, nil
}

// cut makes a chunk of the lines that text begins with and leaves the others for
// the next one. Full says that there may be more text than there was room for.
func (s *Splitter) cut(c *Chunk, text []byte, full bool) error {
	end := len(text)
	if full || s.err != io.EOF {
		end = lastLineEnd(text)
	}
	if end == 0 && (len(text) == 0 || !full) {
		return s.err // behind an error, part of a line may be left
	}
	if full {
		end = s.alignedEnd(text, end)
	}
	c.Data, c.Index, c.Offset = text[:end], s.next.Index, s.next.Offset
	length := int64(end)
	if end > 0 {
		s.rest = slices.Insert(s.rest, 0, text[end:]...)
	} else {
		c.Data, length = s.longLine(text)
	}
	s.next.Index++
	s.next.Offset += length
	return nil
}

// alignedEnd looks for the last border between two intervals in the lines
// data[:end]. In a log in the order of time, which most are, that takes a few
// looks; in another, whatever is found is a place to cut.
func (s *Splitter) alignedEnd(data []byte, end int) int {
	if end == 0 {
		return 0
	}
	last, ok := s.interval(data[bytes.LastIndexByte(data[:end-1], '\n')+1 : end])
	if !ok {
		return end
	}
	// The line at high is of the last interval, the one at low is not.
	low, high := end/2, end
	low += bytes.IndexByte(data[low:end], '\n') + 1
	if first, ok := s.interval(data[low:end]); !ok || first == last {
		return end
	}
	for {
		middle := low + (high-low)/2
		middle += bytes.IndexByte(data[middle:end], '\n') + 1
		if middle >= high { // the line at middle is the last one before high
			middle = low + bytes.IndexByte(data[low:end], '\n') + 1
			if middle >= high {
				return high
			}
		}
		switch this, ok := s.interval(data[middle:end]); {
		case !ok:
			return end
		case this == last:
			high = middle
		default:
			low = middle
		}
	}
}

// interval is the number of the interval that a line is of.
func (s *Splitter) interval(line []byte) (number int64, ok bool) {
	const length = len("(1533201287.")
	if len(line) < length || line[0] != '(' || line[length-1] != '.' {
		return 0, false
	}
	sec, digits := parseDecimal(line[1 : length-1])
	return int64(sec) / s.align, digits == length-2
}

// read reads some text.
func (s *Splitter) read(buf []byte) int {
	n, err := readSome(s.reader.r, buf)
	if err != nil {
		s.failed(err)
	}
	return n
}

// failed notes why there is no more text.
func (s *Splitter) failed(err error) {
	s.reader.base, s.reader.line = s.next.Offset, 0
	s.reader.setBuffer(0)
	s.reader.end(err)
	s.err = s.reader.err
}

// longLine passes on the beginning of a line that is longer than a chunk, so
// that a Text sees that it is too long, and skips the rest of it. data is full
// and has no line end, but its last byte may be a CR before a LF.
func (s *Splitter) longLine(data []byte) (head []byte, length int64) {
	window := append([]byte{data[len(data)-1]}, s.rest...)
	s.rest = nil
	length = int64(len(data) - 1)
	head = data[:maxLine+1]
	for {
		i := bytes.IndexAny(window, "\r\n")
		crLast := i >= 0 && window[i] == '\r' && i+1 == len(window)
		if i >= 0 && (!crLast || s.err != nil) {
			i++
			if window[i-1] == '\r' && i < len(window) && window[i] == '\n' {
				i++
			}
			head = append(head, '\n')
			length += int64(i)
			s.rest = bytes.Clone(window[i:])
			break
		}
		if i < 0 {
			i = len(window)
		}
		length += int64(i)
		window = append(window[:0], window[i:]...)
		if s.err != nil {
			break
		}
		window = slices.Grow(window, readBufferSize)
		n := s.read(window[len(window) : len(window)+readBufferSize])
		window = window[:len(window)+n]
	}
	s.reader.stats.Bytes += length - int64(len(head))
	return head, length
}

// lastLineEnd is the length of the whole lines that text begins with. A CR at
// its end is not taken for a line end: a LF may follow.
func lastLineEnd(text []byte) int {
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		return i + 1
	}
	if len(text) == 0 {
		return 0
	}
	return bytes.LastIndexByte(text[:len(text)-1], '\r') + 1
}

// Text is a [can.Source] of the frames in chunks of a log. It is for the workers
// that read a log in parallel: each has its own Text, and gives it one chunk
// after another. Text does not copy the chunk.
type Text struct{ s *scanner }

// NewText makes a Text for chunks of the named log. Of the options, From and
// Relative have no meaning. OnProblem is called by the goroutine that calls
// Read; the lines of its Problems count from the beginning of the chunk.
func NewText(name string, opts Options) *Text {
	opts.Relative = RelativeToStart
	t := &Text{newScanner(name, opts)}
	t.Reset(Chunk{})
	return t
}

// Reset makes t read chunk c from its beginning. What Buses and Stats say, and
// the numbers of streams, go on from one chunk to the next.
func (t *Text) Reset(c Chunk) {
	t.s.setText(c.Data, c.Offset)
	t.s.line = 0
	t.s.last, t.s.headerBus, t.s.afterError, t.s.dependent = t.s.relativeStart, "", false, false
}

// Read implements [can.Source]: io.EOF is the end of the chunk.
func (t *Text) Read(frames []can.Frame) (int, error) {
	if n := t.s.read(frames); n > 0 || len(frames) == 0 {
		return n, nil
	}
	return 0, io.EOF
}

// Lines is how many lines of the chunk have been read.
func (t *Text) Lines() int64 { return t.s.line }

// Buses implements [can.Source].
func (t *Text) Buses() []string { return t.s.buses }

// Stats counts what the chunks so far were made of.
func (t *Text) Stats() Stats { return t.s.stats }

// Dependent reports whether a line of the chunk so far could not be understood
// without those before the chunk: it had a relative time or none, or no
// interface. Its frames are then not those that reading the whole log gives.
func (t *Text) Dependent() bool { return t.s.dependent }
