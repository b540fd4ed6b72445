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
	part    *Window // summaries of what had to be taken out before the end

	// Scratch for Payloads.
	data    []byte
	weights []uint32
	lens    [65][]uint8 // equal lengths, by length
}

// runs are the payloads of one stream in one window, in order of arrival. Run 0
// is none: it is there so that there always is a run before.
//
// They take one cache line, and have the last run in it: Add writes what it
// knows already to runs, and never waits for it.
type runs struct {
	runs   []run
	word   uint64 // of the last run
	weight uint32 // of the last run
	n      uint16 // the last run
	length uint8  // its length in bytes
	usual  uint8  // the same, or irregular where Add has more to do
	_      [24]byte
}

// run is a number of frames with equal payloads.
type run struct {
	word   uint64 // the first 8 bytes
	weight uint32 // the frames
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
	// firstRuns and its doubles make arrays that begin all over the sets of a
	// first-level cache. Those of a power of two begin in few of them, and the
	// places where many streams write to at a time push one another out.
	firstRuns = 72
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

// ShortFrame is what a Lane keeps of a frame of up to 8 bytes.
type ShortFrame struct {
	Word   uint64 // the bytes, the first one lowest, zero above
	Stream uint32 // declared to the Collector before
	Length uint8
}

// Add adds frames one after the other. (Several at once, because a call for each
// costs as much as adding it.)
//
// Whether a payload is that of the frame before is a toss of a coin that no
// branch predictor learns, so it decides where to write and not whether to.
func (l *Lane) Add(frames []ShortFrame) {
	streams := l.streams
	for i := range frames {
		f := &frames[i]
		r := &streams[f.Stream]
		n := uint(r.n)
		runs := r.runs
		if r.usual != f.Length || n+1 >= uint(len(runs)) {
			l.addRun(f.Stream, f.Word, f.Length)
			continue
		}
		changed := uint32(0)
		if r.word != f.Word {
			changed = 1
		}
		n += uint(changed)
		weight := r.weight&(changed-1) + 1
		r.n, r.word, r.weight = uint16(n), f.Word, weight
		last := &runs[n]
		last.word, last.weight = f.Word, weight
	}
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
	r.runs[r.n].weight = r.weight
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
	if int(r.n) >= len(r.runs) {
		size := max(firstRuns, 2*len(r.runs))
		if odd.counted {
			size = 2
		}
		r.runs = append(r.runs, make([]run, size-len(r.runs))...)
	}
	r.word, r.weight, r.length, r.usual = word, 1, length, length
	r.runs[r.n] = run{word, 1}
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
	p.Stride = 8 * words
	l.data = slices.Grow(l.data[:0], n*p.Stride)[:n*p.Stride]
	l.weights = slices.Grow(l.weights[:0], n)[:n]
	p.Data, p.Weights = l.data, l.weights
	if words == 1 {
		data, weights, runs := l.data, l.weights, r.runs[1:n+1]
		for len(runs) >= 2 && len(data) >= 16 && len(weights) >= 2 {
			binary.LittleEndian.PutUint64(data, runs[0].word)
			binary.LittleEndian.PutUint64(data[8:], runs[1].word)
			weights[0], weights[1] = runs[0].weight, runs[1].weight
			runs, data, weights = runs[2:], data[16:], weights[2:]
		}
		if len(runs) == 1 {
			binary.LittleEndian.PutUint64(data, runs[0].word)
			weights[0] = runs[0].weight
		}
	} else {
		data := l.data[:0]
		for i, run := range r.runs[1 : n+1] {
			data = binary.LittleEndian.AppendUint64(data, run.word)
			for _, w := range odd.wide[i*(words-1) : (i+1)*(words-1)] {
				data = binary.LittleEndian.AppendUint64(data, w)
			}
			l.weights[i] = run.weight
		}
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
