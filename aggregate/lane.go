package aggregate

import (
	"encoding/binary"
	"slices"
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

	streams []runs
	touched []uint32
	late    []lateFrame
	full    bool
	frames  uint64
	part    *Window // summaries of what had to be taken out before the end
	data    []byte  // scratch for Payloads
	lens    []uint8 // and this
}

// runs are the payloads of one stream in one window, in order of arrival. Run 0
// is none: it is there so that there always is a run before.
type runs struct {
	data    []byte   // the first 8 bytes of each run's payload
	weights []uint32 // the frames of each run
	n       uint32   // the last run
	length  uint8    // its length in bytes
	usual   uint8    // the same, or irregular where Add has more to keep than a word
	rest    uint8    // how many words more each payload has
	counted bool     // the frames are to be counted only
	mixed   bool     // the runs differ in length: more.lens holds all of them
	more    *moreRuns
}

// moreRuns is what few streams need; apart from the rest, so that the runs of a
// stream take one cache line.
type moreRuns struct {
	wide []uint64 // the rest words of each run
	lens []uint8
}

// irregular is longer than any payload: a stream whose runs differ in length, or
// have more words than one.
const irregular = 255

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
	firstRuns = 64
	maxRuns   = 4096
	maxFrames = 1 << 30
	maxLate   = 4096
)

// grow makes room for the streams; where counted says so, frames of a stream
// are counted and their payloads are not kept.
func (l *Lane) grow(counted []bool) {
	for n := len(l.streams); n < len(counted); n++ {
		l.streams = append(l.streams, runs{more: new(moreRuns), counted: counted[n]})
	}
}

// Add adds a frame of up to 8 bytes: word holds them, first byte lowest, zero
// above. The stream must have been declared to the Collector.
//
// Whether a payload is that of the frame before is a toss of a coin that no
// branch predictor learns, so it decides where to write and not whether to.
func (l *Lane) Add(stream uint32, word uint64, length uint8) {
	r := &l.streams[stream]
	n := r.n
	data, weights := r.data, r.weights
	if r.usual != length || n == 0 || int(n)+1 >= len(weights) || 8*int(n)+16 > len(data) {
		l.addRun(stream, word, length)
		return
	}
	changed := uint32(0)
	if binary.LittleEndian.Uint64(data[8*n:]) != word {
		changed = 1
	}
	n += changed
	r.n = n
	binary.LittleEndian.PutUint64(data[8*n:], word)
	weights[n] = weights[n]&(changed-1) + 1
}

// AddAlways is Add without the comparison: every frame is a run of its own. The
// summaries are the same, to the bit.
func (l *Lane) AddAlways(stream uint32, word uint64, length uint8) {
	if r := &l.streams[stream]; r.counted && r.n > 0 {
		r.weights[r.n]++
		return
	}
	l.newRun(stream, word, length)
}

// addRun is Add where something is out of the ordinary.
func (l *Lane) addRun(stream uint32, word uint64, length uint8) {
	r := &l.streams[stream]
	if r.n > 0 && (r.counted || (r.word() == word && r.length == length)) {
		r.weights[r.n]++
		return
	}
	l.newRun(stream, word, length)
}

// newRun begins a run.
func (l *Lane) newRun(stream uint32, word uint64, length uint8) {
	r := &l.streams[stream]
	switch {
	case r.n == 0:
		l.touched = append(l.touched, stream)
	case r.length != length && !r.mixed:
		r.mixed = true
		for range r.n {
			r.more.lens = append(r.more.lens, r.length)
		}
	}
	if r.n >= maxRuns {
		l.full = true
	}
	r.n++
	if int(r.n) >= len(r.weights) {
		size := max(firstRuns, 2*len(r.weights))
		if r.counted {
			size = 2
		}
		r.data = append(r.data, make([]byte, 8*size-len(r.data))...)
		r.weights = append(r.weights, make([]uint32, size-len(r.weights))...)
	}
	binary.LittleEndian.PutUint64(r.data[8*r.n:], word)
	r.weights[r.n], r.length, r.usual = 1, length, length
	if r.mixed {
		r.more.lens = append(r.more.lens, length)
		r.usual = irregular
	}
	if r.rest > 0 {
		r.more.wide = append(r.more.wide, make([]uint64, r.rest)...)
		r.usual = irregular
	}
}

// word is the last run's.
func (r *runs) word() uint64 { return binary.LittleEndian.Uint64(r.data[8*r.n:]) }

// AddWide adds a frame of any length. The bytes of data behind length, up to a
// multiple of 8, must be zero. Always makes it a run of its own.
func (l *Lane) AddWide(stream uint32, data *[64]byte, length uint8, always bool) {
	r := &l.streams[stream]
	if rest := max(0, (int(length)+7)/8-1); rest > int(r.rest) {
		r.widen(rest)
	}
	var more [7]uint64
	for i := range int(r.rest) {
		if 8*(i+1) < int(length) {
			more[i] = binary.LittleEndian.Uint64(data[8*(i+1):])
		}
	}
	word := binary.LittleEndian.Uint64(data[:])
	rest := more[:r.rest]
	if r.n > 0 && (r.counted || (!always && r.length == length && r.word() == word && slices.Equal(r.more.wide[len(r.more.wide)-len(rest):], rest))) {
		r.weights[r.n]++
		return
	}
	l.newRun(stream, word, length)
	copy(r.more.wide[len(r.more.wide)-len(rest):], rest)
}

// widen makes room for rest words more in each payload.
func (r *runs) widen(rest int) {
	wide := make([]uint64, int(r.n)*rest)
	for i := range int(r.n) {
		copy(wide[i*rest:], r.more.wide[i*int(r.rest):(i+1)*int(r.rest)])
	}
	r.more.wide, r.rest = wide, uint8(rest)
}

// Payloads are the runs of one stream.
type Payloads struct {
	// Data holds the payloads, Stride bytes each, zero padded.
	Data   []byte
	Stride int
	// Lens are their lengths in bytes, and Weights the number of frames that each
	// stands for.
	Lens    []uint8
	Weights []uint32
}

// Payloads returns the runs of a stream; there are none where it had no frames.
// They are valid until the next call.
func (l *Lane) Payloads(stream uint32) (p Payloads) {
	if int(stream) >= len(l.streams) || l.streams[stream].n == 0 || l.streams[stream].counted {
		return Payloads{Stride: 8}
	}
	r := &l.streams[stream]
	n, words := int(r.n), 1+int(r.rest)
	p.Stride, p.Weights = 8*words, r.weights[1:n+1]
	p.Data = r.data[8 : 8*(n+1)]
	if words > 1 {
		l.data = l.data[:0]
		for i := range n {
			l.data = append(l.data, p.Data[8*i:8*i+8]...)
			for _, w := range r.more.wide[i*(words-1) : (i+1)*(words-1)] {
				l.data = binary.LittleEndian.AppendUint64(l.data, w)
			}
		}
		p.Data = l.data
	}
	if r.mixed {
		p.Lens = r.more.lens
		return p
	}
	if len(l.lens) == 0 || l.lens[0] != r.length {
		l.lens = l.lens[:0]
	}
	for len(l.lens) < n {
		l.lens = append(l.lens, r.length)
	}
	p.Lens = l.lens[:n]
	return p
}

// Counted returns the number of frames that were only counted, of the streams
// for which that was asked.
func (l *Lane) Counted() (frames uint64) {
	for _, stream := range l.touched {
		if r := &l.streams[stream]; r.counted {
			frames += uint64(r.weights[r.n])
		}
	}
	return frames
}

// Count tells that about n frames were added: weights are bounded by it.
func (l *Lane) Count(n int) { l.frames += uint64(n) }

// Full says that the lane must be taken out before more is added.
func (l *Lane) Full() bool { return l.full || l.frames >= maxFrames }

// clear empties the runs and keeps their memory, the window and its part.
func (l *Lane) clear() {
	for _, stream := range l.touched {
		r := &l.streams[stream]
		r.n, r.mixed = 0, false
		r.more.wide, r.more.lens = r.more.wide[:0], r.more.lens[:0]
	}
	l.touched = l.touched[:0]
	l.full, l.frames = false, 0
}

// reset makes the lane ready for another window.
func (l *Lane) reset() {
	l.clear()
	l.late = l.late[:0]
	l.part = nil
	l.Revision = 0
}
