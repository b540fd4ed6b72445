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
	// Stamp is the Window's.
	Stamp

	streams []runs
	odd     []oddRuns // of the same streams
	touched []uint32
	late    []lateFrame
	full    bool
	most    uint16 // runs of a stream before it is full
	frames  uint64
	part    *Window     // summaries of what had to be taken out before the end
	data    []byte      // scratch for Payloads
	lens    [65][]uint8 // equal lengths, by length; scratch too
}

// runs are the payloads of one stream in one window, in order of arrival. Run 0
// is none: it is there so that there always is a run before.
//
// They take one cache line, and have the last run in it: Add writes what it
// knows already to data and weights, and never waits for them.
type runs struct {
	data    []byte   // the first 8 bytes of each run's payload
	weights []uint32 // the frames of each run
	word    uint64   // of the last run
	weight  uint32   // of the last run
	n       uint16   // the last run
	length  uint8    // its length in bytes
	usual   uint8    // the same, or irregular where Add has more to do
}

// oddRuns is what few streams need, apart from the rest.
type oddRuns struct {
	counted bool     // the frames are to be counted only
	mixed   bool     // the runs differ in length: lens holds all of them
	rest    uint8    // how many words more each payload has
	wide    []uint64 // the rest words of each run
	lens    []uint8
}

// irregular is longer than any payload: a stream that has no runs yet, or whose
// runs differ in length, or have more words than one.
const irregular = 255

// lateFrame is a frame whose window was closed before it came. It travels with
// the newest open window and is folded into a correction beside it.
type lateFrame struct {
	start  int64
	stamp  Stamp
	stream uint32
	length uint8
	data   [64]byte
}

// Limits of a lane. Behind them it is Full: what it holds has to be summarised
// before the window's end, which costs a merge and bounds memory whatever a log
// says about its times.
const (
	firstRuns = 64
	maxRuns   = 4096 // unless Options say so
	// MostRuns is the largest Options.MaxRuns: beyond it there is room for a batch
	// of frames, until Full is looked at.
	MostRuns  = 60000
	maxFrames = 1 << 30
	maxLate   = 4096
)

// grow makes room for the streams; where counted says so, frames of a stream
// are counted and their payloads are not kept.
func (l *Lane) grow(counted []bool) {
	for n := len(l.streams); n < len(counted); n++ {
		l.streams = append(l.streams, runs{usual: irregular})
		l.odd = append(l.odd, oddRuns{counted: counted[n]})
	}
}

// Add adds a frame of up to 8 bytes: word holds them, first byte lowest, zero
// above. The stream must have been declared to the Collector.
//
// Whether a payload is that of the frame before is a toss of a coin that no
// branch predictor learns, so it decides where to write and not whether to.
func (l *Lane) Add(stream uint32, word uint64, length uint8) {
	r := &l.streams[stream]
	n := uint(r.n)
	data, weights := r.data, r.weights
	if r.usual != length || n+1 >= uint(len(weights)) || 8*n+16 > uint(len(data)) {
		l.addRun(stream, word, length)
		return
	}
	changed := uint32(0)
	if r.word != word {
		changed = 1
	}
	n += uint(changed)
	weight := r.weight&(changed-1) + 1
	r.n, r.word, r.weight = uint16(n), word, weight
	binary.LittleEndian.PutUint64(data[8*n:], word)
	weights[n] = weight
}

// AddAlways is Add without the comparison: every frame is a run of its own. The
// summaries are the same, to the bit.
func (l *Lane) AddAlways(stream uint32, word uint64, length uint8) {
	if r := &l.streams[stream]; l.odd[stream].counted && r.n > 0 {
		r.again()
		return
	}
	l.newRun(stream, word, length)
}

// addRun is Add where something is out of the ordinary.
func (l *Lane) addRun(stream uint32, word uint64, length uint8) {
	r := &l.streams[stream]
	if r.n > 0 && (l.odd[stream].counted || (r.word == word && r.length == length)) {
		r.again()
		return
	}
	l.newRun(stream, word, length)
}

// again counts another frame of the last run.
func (r *runs) again() {
	r.weight++
	r.weights[r.n] = r.weight
}

// newRun begins a run.
func (l *Lane) newRun(stream uint32, word uint64, length uint8) {
	r, odd := &l.streams[stream], &l.odd[stream]
	switch {
	case r.n == 0:
		l.touched = append(l.touched, stream)
	case r.length != length && !odd.mixed:
		odd.mixed = true
		for range r.n {
			odd.lens = append(odd.lens, r.length)
		}
	}
	if r.n >= l.most {
		l.full = true
	}
	r.n++
	if int(r.n) >= len(r.weights) {
		size := max(firstRuns, 2*len(r.weights))
		if odd.counted {
			size = 2
		}
		r.data = append(r.data, make([]byte, 8*size-len(r.data))...)
		r.weights = append(r.weights, make([]uint32, size-len(r.weights))...)
	}
	r.word, r.weight, r.length, r.usual = word, 1, length, length
	binary.LittleEndian.PutUint64(r.data[8*int(r.n):], word)
	r.weights[r.n] = 1
	if odd.mixed {
		odd.lens = append(odd.lens, length)
	}
	odd.wide = append(odd.wide, make([]uint64, odd.rest)...)
	if odd.mixed || odd.rest > 0 || odd.counted {
		r.usual = irregular
	}
}

// AddWide adds a frame of any length. The bytes of data behind length, up to a
// multiple of 8, must be zero. Always makes it a run of its own.
func (l *Lane) AddWide(stream uint32, data *[64]byte, length uint8, always bool) {
	r, odd := &l.streams[stream], &l.odd[stream]
	if rest := max(0, (int(length)+7)/8-1); rest > int(odd.rest) {
		odd.widen(int(r.n), rest)
	}
	var more [7]uint64
	for i := range int(odd.rest) {
		if 8*(i+1) < int(length) {
			more[i] = binary.LittleEndian.Uint64(data[8*(i+1):])
		}
	}
	word := binary.LittleEndian.Uint64(data[:])
	rest := more[:odd.rest]
	if r.n > 0 && (odd.counted || (!always && r.length == length && r.word == word && slices.Equal(odd.wide[len(odd.wide)-len(rest):], rest))) {
		r.again()
		return
	}
	l.newRun(stream, word, length)
	copy(odd.wide[len(odd.wide)-len(rest):], rest)
}

// widen makes room for rest words more in each payload of n runs.
func (o *oddRuns) widen(n, rest int) {
	wide := make([]uint64, n*rest)
	for i := range n {
		copy(wide[i*rest:], o.wide[i*int(o.rest):(i+1)*int(o.rest)])
	}
	o.wide, o.rest = wide, uint8(rest)
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
	if int(stream) >= len(l.streams) || l.streams[stream].n == 0 || l.odd[stream].counted {
		return Payloads{Stride: 8}
	}
	r, odd := &l.streams[stream], &l.odd[stream]
	n, words := int(r.n), 1+int(odd.rest)
	p.Stride, p.Weights = 8*words, r.weights[1:n+1]
	p.Data = r.data[8 : 8*(n+1)]
	if words > 1 {
		l.data = l.data[:0]
		for i := range n {
			l.data = append(l.data, p.Data[8*i:8*i+8]...)
			for _, w := range odd.wide[i*(words-1) : (i+1)*(words-1)] {
				l.data = binary.LittleEndian.AppendUint64(l.data, w)
			}
		}
		p.Data = l.data
	}
	if odd.mixed {
		p.Lens = odd.lens
		return p
	}
	lens := l.lens[r.length]
	for len(lens) < n {
		lens = append(lens, r.length)
	}
	l.lens[r.length] = lens
	p.Lens = lens[:n]
	return p
}

// Counted returns the number of frames that were only counted, of the streams
// for which that was asked.
func (l *Lane) Counted() (frames uint64) {
	for _, stream := range l.touched {
		if l.odd[stream].counted {
			frames += uint64(l.streams[stream].weight)
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
		r, odd := &l.streams[stream], &l.odd[stream]
		r.n, r.usual = 0, irregular
		odd.mixed, odd.wide, odd.lens = false, odd.wide[:0], odd.lens[:0]
	}
	l.touched = l.touched[:0]
	l.full, l.frames = false, 0
}

// reset makes the lane ready for another window.
func (l *Lane) reset() {
	l.clear()
	l.late = l.late[:0]
	l.part = nil
	l.Revision, l.Stamp = 0, Stamp{}
}
