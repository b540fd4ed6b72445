package aggregate

import (
	"bytes"
	"encoding/binary"
)

// Lane holds what one source collects for one window before it is summarised:
// for every stream the payloads as they came, runs of equal ones kept once with
// a weight. Nothing is decoded until the window is closed, and then signal by
// signal, so that the sum, minimum and maximum of a signal stay in registers.
//
// A Lane belongs to one goroutine at a time (see package ring).
type Lane struct {
	// Start is the window's start in nanoseconds since the Unix epoch.
	Start int64
	// Revision is the Window's.
	Revision uint32

	heads   []head // what Add looks at, close together
	runs    []runs // parallel to heads
	touched []uint32
	late    []lateFrame
	full    bool
	part    *Window // summaries of what had to be taken out before the end
	lens    []uint8 // scratch for Payloads
}

// head is the last run of a stream.
type head struct {
	last   uint64 // its first 8 bytes, first byte lowest
	tail   uint32 // its frames so far; 0 where there is no run yet
	length uint8  // its length in bytes
	words  uint8  // the stride of the stream's payloads in 8 bytes
	mixed  bool   // the runs differ in length: runs.lens holds all of them
	uncut  bool   // the frames are to be counted only
}

// runs are the payloads of one stream in one window, in order of arrival.
type runs struct {
	data    []byte
	weights []uint32 // of all runs but the last
	lens    []uint8
}

// lateFrame is a frame whose window was closed before it came. It travels with
// the newest open window and is folded into a correction beside it.
type lateFrame struct {
	start  int64
	stream uint32
	length uint8
	data   [64]byte
}

// Limits of a lane. Behind them it is Full: what it holds has to be summarised
// before the window's end, which costs a merge and bounds memory whatever a log
// says about its times.
const (
	maxRuns   = 4096
	maxWeight = 1 << 30
	maxLate   = 4096
)

// grow makes room for the streams; where counted says so, frames of a stream
// are counted and their payloads are not kept.
func (l *Lane) grow(counted []bool) {
	for n := len(l.heads); n < len(counted); n++ {
		l.heads = append(l.heads, head{words: 1, uncut: counted[n]})
		l.runs = append(l.runs, runs{})
	}
}

// Add adds a frame of up to 8 bytes: word holds them, first byte lowest, zero
// above. The stream must have been declared to the Collector.
func (l *Lane) Add(stream uint32, word uint64, length uint8) {
	h := &l.heads[stream]
	if h.last == word && h.length == length && h.tail != 0 {
		h.tail++
		return
	}
	l.append(stream, word, length)
}

// AddAlways is Add without the comparison: every frame is a run of its own. The
// summaries are the same, to the bit.
func (l *Lane) AddAlways(stream uint32, word uint64, length uint8) { l.append(stream, word, length) }

func (l *Lane) append(stream uint32, word uint64, length uint8) {
	h, r := &l.heads[stream], &l.runs[stream]
	switch {
	case h.tail == 0:
		l.touched = append(l.touched, stream)
	case h.uncut:
		h.tail++
		return
	default:
		r.weights = append(r.weights, h.tail)
		if h.length != length && !h.mixed {
			h.mixed = true
			for range r.weights {
				r.lens = append(r.lens, h.length)
			}
		}
		if len(r.weights) >= maxRuns || h.tail >= maxWeight {
			l.full = true
		}
	}
	h.last, h.length, h.tail = word, length, 1
	r.data = binary.LittleEndian.AppendUint64(r.data, word)
	if h.words > 1 {
		r.data = append(r.data, make([]byte, 8*int(h.words-1))...)
	}
	if h.mixed {
		r.lens = append(r.lens, length)
	}
}

// AddWide adds a frame of any length. The bytes of data behind length, up to a
// multiple of 8, must be zero. Always makes it a run of its own.
func (l *Lane) AddWide(stream uint32, data *[64]byte, length uint8, always bool) {
	words := max(1, (int(length)+7)/8)
	h, r := &l.heads[stream], &l.runs[stream]
	if words > int(h.words) {
		r.widen(int(h.words), words)
		h.words = uint8(words)
	}
	size, used := 8*int(h.words), 8*words
	if h.tail != 0 && h.length == length && !always && !h.uncut {
		if last := r.data[len(r.data)-size:]; bytes.Equal(last[:used], data[:used]) {
			h.tail++
			return
		}
	}
	l.append(stream, binary.LittleEndian.Uint64(data[:]), length)
	if len(r.data) > 0 {
		copy(r.data[len(r.data)-size:], data[:used])
	}
}

// widen moves the payloads apart to make room for longer ones.
func (r *runs) widen(from, to int) {
	wide := make([]byte, 0, max(4, 2*len(r.data)/(8*from))*8*to)
	for at := 0; at < len(r.data); at += 8 * from {
		wide = append(wide, r.data[at:at+8*from]...)
		wide = append(wide, make([]byte, 8*(to-from))...)
	}
	r.data = wide
}

// Payloads returns the runs of a stream: the payloads, stride bytes each and
// zero padded, with their lengths and the number of frames that each stands
// for. There are none where the stream had no frames. They are valid until the
// next call.
func (l *Lane) Payloads(stream uint32) (data []byte, stride int, lens []uint8, weights []uint32) {
	if int(stream) >= len(l.heads) || l.heads[stream].tail == 0 || l.heads[stream].uncut {
		return nil, 8, nil, nil
	}
	h, r := &l.heads[stream], &l.runs[stream]
	stride = 8 * int(h.words)
	n := len(r.data) / stride
	if len(r.weights) < n {
		r.weights = append(r.weights, h.tail)
	}
	if h.mixed {
		return r.data, stride, r.lens, r.weights
	}
	if len(l.lens) == 0 || l.lens[0] != h.length {
		l.lens = l.lens[:0]
	}
	for len(l.lens) < n {
		l.lens = append(l.lens, h.length)
	}
	return r.data, stride, l.lens[:n], r.weights
}

// Counted returns the number of frames that were only counted, of the streams
// for which that was asked.
func (l *Lane) Counted() (frames uint64) {
	for _, stream := range l.touched {
		if l.heads[stream].uncut {
			frames += uint64(l.heads[stream].tail)
		}
	}
	return frames
}

// Full says that the lane must be taken out before more is added.
func (l *Lane) Full() bool { return l.full }

// clear empties the runs and keeps their memory, the window and its part.
func (l *Lane) clear() {
	for _, stream := range l.touched {
		h, r := &l.heads[stream], &l.runs[stream]
		h.tail, h.mixed = 0, false
		r.data, r.weights, r.lens = r.data[:0], r.weights[:0], r.lens[:0]
	}
	l.touched = l.touched[:0]
	l.full = false
}

// reset makes the lane ready for another window.
func (l *Lane) reset() {
	l.clear()
	l.late = l.late[:0]
	l.part = nil
	l.Revision = 0
}
