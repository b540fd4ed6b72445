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
	// Frames is the number of frames added, by whoever adds them.
	Frames uint64

	streams []Runs
	touched []uint32
	late    []lateFrame
	full    bool
	part    *Window // summaries of what had to be taken out before the end
}

// Runs are the payloads of one stream in one window, in order of arrival.
type Runs struct {
	last    uint64 // the last run's first 8 bytes, little-endian
	tail    uint32 // frames of the last run; 0 where there is no run yet
	lastLen uint8
	words   uint8 // Stride/8
	data    []byte
	weights []uint32
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
	maxFrames = 1 << 30
	maxLate   = 4096
)

// Grow makes room for n streams.
func (l *Lane) Grow(n int) {
	for len(l.streams) < n {
		l.streams = append(l.streams, Runs{words: 1})
	}
}

// Add adds a frame of up to 8 bytes: word holds them, first byte lowest, zero
// above. The stream must be below the number that Grow was given.
func (l *Lane) Add(stream uint32, word uint64, length uint8) {
	r := &l.streams[stream]
	if r.tail != 0 && r.last == word && r.lastLen == length {
		r.tail++
		return
	}
	l.append(stream, word, length)
}

// AddAlways is Add without the comparison: every frame is a run of its own. The
// summaries are the same, to the bit.
func (l *Lane) AddAlways(stream uint32, word uint64, length uint8) { l.append(stream, word, length) }

func (l *Lane) append(stream uint32, word uint64, length uint8) {
	r := &l.streams[stream]
	if r.tail == 0 {
		l.touched = append(l.touched, stream)
	} else {
		r.weights = append(r.weights, r.tail)
	}
	r.last, r.lastLen, r.tail = word, length, 1
	r.data = binary.LittleEndian.AppendUint64(r.data, word)
	for range r.words - 1 {
		r.data = binary.LittleEndian.AppendUint64(r.data, 0)
	}
	r.lens = append(r.lens, length)
	if len(r.lens) >= maxRuns {
		l.full = true
	}
}

// AddWide adds a frame of any length. The bytes of data behind length, up to a
// multiple of 8, must be zero.
func (l *Lane) AddWide(stream uint32, data *[64]byte, length uint8, always bool) {
	words := max(1, (int(length)+7)/8)
	r := &l.streams[stream]
	if words > int(r.words) {
		r.widen(words)
	}
	size := 8 * int(r.words)
	used := 8 * words
	if r.tail != 0 && r.lastLen == length && !always {
		if last := r.data[len(r.data)-size:]; bytes.Equal(last[:used], data[:used]) {
			r.tail++
			return
		}
	}
	l.append(stream, binary.LittleEndian.Uint64(data[:]), length)
	copy(r.data[len(r.data)-size:], data[:used])
}

// widen moves the payloads apart to make room for longer ones.
func (r *Runs) widen(words int) {
	old, size := 8*int(r.words), 8*words
	wide := make([]byte, 0, max(4, len(r.lens))*size)
	for i := range r.lens {
		wide = append(wide, r.data[i*old:(i+1)*old]...)
		wide = append(wide, make([]byte, size-old)...)
	}
	r.data, r.words = wide, uint8(words)
}

// Payloads returns the runs of a stream: the payloads, stride bytes each and
// zero padded, with their lengths and the number of frames that each stands
// for. There are none where the stream had no frames.
func (l *Lane) Payloads(stream uint32) (data []byte, stride int, lens []uint8, weights []uint32) {
	if int(stream) >= len(l.streams) {
		return nil, 8, nil, nil
	}
	r := &l.streams[stream]
	if r.tail != 0 && len(r.weights) < len(r.lens) {
		r.weights = append(r.weights, r.tail)
	}
	return r.data, 8 * int(r.words), r.lens, r.weights
}

// Touched lists the streams that had frames, in the order of the first ones.
func (l *Lane) Touched() []uint32 { return l.touched }

// Full says that the lane must be taken out before more is added.
func (l *Lane) Full() bool { return l.full || l.Frames >= maxFrames }

// Clear empties the runs and keeps their memory, the window and its part.
func (l *Lane) Clear() {
	for _, stream := range l.touched {
		r := &l.streams[stream]
		r.tail = 0
		r.data, r.weights, r.lens = r.data[:0], r.weights[:0], r.lens[:0]
	}
	l.touched = l.touched[:0]
	l.Frames, l.full = 0, false
}

// reset makes the lane ready for another window.
func (l *Lane) reset() {
	l.Clear()
	l.late = l.late[:0]
	l.part = nil
	l.Revision = 0
}
