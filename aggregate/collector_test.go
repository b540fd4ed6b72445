package aggregate

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// scripted is a frame and what happens around it.
type scripted struct {
	time    int64
	stream  int
	data    [64]byte
	length  uint8
	close   bool // the closer comes by after it
	takeOut bool // the lane is taken out after it, as if it were full
}

// way is how frames are added.
type way int

const (
	usual  way = iota // Add, and AddWide above 8 bytes
	always            // AddAlways and AddWide, every frame a run
	wide              // AddWide for all
)

// mirror is the folder of the tests: a group a stream, with a series for each
// word of the payload and one for its length; and a record of all that it folds.
type mirror struct {
	columns ColumnFolder
	groups  []*Group
	// frames are the payloads folded, by what window they went into.
	frames map[string][]string
	// counted are those of streams that are only counted.
	counted uint64
	total   uint64
}

const mirrorWords = 8

func newMirror(streams int) *mirror {
	m := &mirror{frames: map[string][]string{}}
	for i := range streams {
		g := &Group{Bus: "can0", HasID: true, ID: uint32(i)}
		for w := range mirrorWords {
			g.Series = append(g.Series, Series{Name: fmt.Sprint("word ", w), Kind: Kind(w % 2), Bits: 64, Factor: 0.5, Offset: 1})
		}
		g.Series = append(g.Series, Series{Name: "length", Bits: 8, Factor: 1})
		m.groups = append(m.groups, g)
	}
	return m
}

func frameKey(start int64, revision uint32, stream int) string {
	return fmt.Sprintf("%d %d %d", start, revision, stream)
}

func (m *mirror) Fold(lane *Lane, window *Window) {
	m.counted += lane.Counted()
	for stream, group := range m.groups {
		p := lane.Payloads(uint32(stream))
		if len(p.Lens) != len(p.Weights) || len(p.Data) != len(p.Lens)*p.Stride {
			panic(fmt.Sprintf("%d lengths, %d weights, %d bytes in strides of %d", len(p.Lens), len(p.Weights), len(p.Data), p.Stride))
		}
		if len(p.Lens) == 0 {
			continue
		}
		columns := make([]Column, mirrorWords+1)
		for i, length := range p.Lens {
			payload := make([]byte, 8*mirrorWords)
			copy(payload, p.Data[i*p.Stride:(i+1)*p.Stride])
			for w := range mirrorWords {
				columns[w].Values = append(columns[w].Values, int64(binary.LittleEndian.Uint64(payload[8*w:])))
				columns[w].Weights = append(columns[w].Weights, p.Weights[i])
			}
			columns[mirrorWords].Values = append(columns[mirrorWords].Values, int64(length))
			columns[mirrorWords].Weights = append(columns[mirrorWords].Weights, p.Weights[i])
			key := frameKey(window.Start, window.Revision, stream)
			for range p.Weights[i] {
				m.frames[key] = append(m.frames[key], fmt.Sprintf("%x", payload[:length]))
				m.total++
			}
		}
		summaries := window.AddGroup(group)
		for i := range summaries {
			m.columns.Fold(&group.Series[i], columns[i], window, &summaries[i])
		}
	}
}

// collected is what became of a script.
type collected struct {
	windows []*Window // copies, in the order of emission
	folded  *mirror
	stats   CollectorStats
	dropped map[int]bool // by number in the script
}

// collect runs a script. With lazy nobody closes when the ring is full.
func collect(script []scripted, counted []bool, o Options, how way, lazy bool) collected {
	r := collected{folded: newMirror(len(counted)), dropped: map[int]bool{}}
	c := NewCollector(o)
	emit := func(w *Window) {
		r.windows = append(r.windows, copyOf(w))
		w.Release()
	}
	closeUp := func() {
		if !lazy {
			c.Close(r.folded, emit)
		}
	}
	takeOut := func(lane *Lane) { c.TakeOut(lane, r.folded, emit) }
	declared := 0
	var lane *Lane
	var late bool
	for i, f := range script {
		if f.time < c.From || f.time >= c.To {
			lane, late = c.Lane(f.time, closeUp)
		}
		for ; declared <= f.stream; declared++ {
			c.AddStream(counted[declared], lane)
		}
		stream, word := uint32(f.stream), binary.LittleEndian.Uint64(f.data[:])
		switch {
		case lane == nil && (!late || !c.AddLate(f.time, stream, &f.data, f.length, takeOut)):
			r.dropped[i] = true
			if !late {
				c.Drop(1)
			}
		case lane == nil:
		case f.length > 8 || how == wide:
			lane.AddWide(stream, &f.data, f.length, how == always)
		case how == always:
			lane.AddAlways(stream, word, f.length)
		default:
			lane.Add([]ShortFrame{{Word: word, Stream: stream, Length: f.length}})
		}
		if lane != nil {
			lane.Count(1)
			if f.takeOut || lane.Full() {
				takeOut(lane)
			}
		}
		if f.close {
			c.Close(r.folded, emit)
		}
	}
	c.Finish()
	c.Close(r.folded, emit)
	r.stats = c.Stats()
	return r
}

// model is the naive collector: it knows all the time what it has.
type model struct {
	o       Options
	behind  int64
	started bool
	newest  int64
	highest int64
	epoch   int
	late    uint64
	// frames by window: those of regular and set-back windows by frameKey, late
	// ones with the revision lateKey.
	frames  map[string][]string
	counted uint64
	order   []string // the windows as they are to be emitted, corrections apart
}

const lateKey = math.MaxUint32

func (m *model) add(f scripted, counted, dropped bool) {
	w := f.time / m.o.Window
	if f.time%m.o.Window < 0 {
		w--
	}
	if !m.started {
		m.started, m.newest, m.highest = true, w, math.MinInt64
	}
	if w < m.newest && (m.newest-w)*m.o.Window > m.o.Step {
		m.epoch++
		m.highest = max(m.highest, m.newest)
		m.newest = w
	}
	m.newest = max(m.newest, w)
	if dropped {
		return
	}
	revision := uint32(0)
	switch {
	case (m.newest-w-1)*m.o.Window >= m.o.Lateness && w < m.newest:
		revision = lateKey
		m.late++
	case counted:
		m.counted++
		return
	case w <= m.highest:
		revision = uint32(2 * m.epoch)
	}
	key := frameKey(w*m.o.Window, revision, f.stream)
	m.frames[key] = append(m.frames[key], fmt.Sprintf("%x", f.data[:f.length]))
}

// check compares what was collected with the model.
func (r *collected) check(script []scripted, counted []bool, o Options) error {
	m := &model{o: o, frames: map[string][]string{}}
	for i, f := range script {
		m.add(f, counted[f.stream], r.dropped[i])
	}
	if r.stats.Late != m.late || r.stats.Steps != uint64(m.epoch) || r.stats.Dropped != uint64(len(r.dropped)) {
		return fmt.Errorf("stats %+v, want %d late, %d steps, %d dropped", r.stats, m.late, m.epoch, len(r.dropped))
	}
	if got, want := r.folded.total+r.folded.counted+r.stats.Dropped, uint64(len(script)); got != want {
		return fmt.Errorf("%d frames in, %d accounted for", want, got)
	}
	if r.folded.counted != m.counted {
		return fmt.Errorf("%d frames counted, want %d", r.folded.counted, m.counted)
	}
	got := map[string][]string{} // late corrections together, in the order of their revisions
	emitted := map[string]bool{}
	lastRevision := uint32(0)
	type place struct{ epoch, start int64 }
	last := place{-1, 0}
	for _, w := range r.windows {
		key := fmt.Sprint(w.Start, w.Revision)
		if emitted[key] || len(w.Groups) == 0 {
			return fmt.Errorf("window %s is emitted twice, or empty", key)
		}
		emitted[key] = true
		late := w.Revision%2 == 1
		if late {
			if w.Revision <= lastRevision {
				return fmt.Errorf("revision %d after %d", w.Revision, lastRevision)
			}
			lastRevision = w.Revision
		} else {
			now := place{int64(w.Revision), w.Start}
			if now.epoch != 0 && last.epoch > now.epoch || now.epoch == last.epoch && now.start <= last.start {
				return fmt.Errorf("window %v is emitted after %v", now, last)
			}
			last = now
		}
		for i, g := range w.Groups {
			if i > 0 && w.Groups[i-1].Group.Compare(g.Group) >= 0 {
				return fmt.Errorf("groups out of order")
			}
			stream := int(g.Group.ID)
			frames := r.folded.frames[frameKey(w.Start, w.Revision, stream)]
			revision := w.Revision
			if late {
				revision = lateKey
			}
			to := frameKey(w.Start, revision, stream)
			got[to] = append(got[to], frames...)
			if err := checkSummaries(g, frames); err != nil {
				return fmt.Errorf("window %s: %w", key, err)
			}
		}
	}
	if diff := cmp.Diff(m.frames, got); diff != "" {
		return fmt.Errorf("(-model +windows):\n%s", diff)
	}
	return nil
}

// checkSummaries compares a group with its frames, one by one.
func checkSummaries(g GroupSummary, frames []string) error {
	columns := make([][]int64, mirrorWords+1)
	for _, text := range frames {
		var payload [64]byte
		length, err := hex.Decode(payload[:], []byte(text))
		if err != nil {
			return err
		}
		for w := range mirrorWords {
			columns[w] = append(columns[w], int64(binary.LittleEndian.Uint64(payload[8*w:])))
		}
		columns[mirrorWords] = append(columns[mirrorWords], int64(length))
	}
	for i, column := range columns {
		want, integers, _ := reference(&g.Group.Series[i], column)
		got := g.Summaries[i]
		if sum := got.Sum.bigInt(); sum.Cmp(integers) != 0 {
			return fmt.Errorf("stream %d, series %d: sum %v, want %v", g.Group.ID, i, sum, integers)
		}
		got.Sum = Sum{}
		if diff := sameSummary(want, got); diff != "" {
			return fmt.Errorf("stream %d, series %d (-want +got):\n%s", g.Group.ID, i, diff)
		}
	}
	return nil
}

// drawScript draws frames whose times do all that times can do.
func drawScript(t *rapid.T, o Options) (script []scripted, counted []bool) {
	const day = 86400e9
	counted = make([]bool, rapid.IntRange(1, 4).Draw(t, "streams"))
	longest := make([]int, len(counted))
	for i := range counted {
		counted[i] = rapid.IntRange(0, 4).Draw(t, "counted") == 0
		longest[i] = rapid.SampledFrom([]int{8, 8, 8, 64}).Draw(t, "longest")
	}
	now := rapid.SampledFrom([]int64{0, 1_533_201_287_000_000_000, -10 * day, -1}).Draw(t, "start")
	declared := 0
	for range rapid.IntRange(1, 80).Draw(t, "frames") {
		f := scripted{
			close:   rapid.IntRange(0, 3).Draw(t, "close") == 0,
			takeOut: rapid.IntRange(0, 15).Draw(t, "take out") == 0,
		}
		f.time = now
		switch kind := rapid.IntRange(0, 39).Draw(t, "kind"); {
		case kind < 24:
			now += rapid.Int64Range(0, o.Window/3).Draw(t, "on")
			f.time = now
		case kind < 28:
			now += rapid.Int64Range(0, 4*o.Window).Draw(t, "windows on")
			f.time = now
		case kind < 32:
			f.time -= rapid.Int64Range(0, o.Lateness+o.Window).Draw(t, "behind")
		case kind < 36:
			f.time -= rapid.Int64Range(0, o.Step).Draw(t, "late")
		case kind == 36:
			now -= o.Step + rapid.Int64Range(0, 3*o.Window).Draw(t, "just a step")
			f.time = now
		case kind == 37:
			now -= rapid.Int64Range(o.Step, 1000*day).Draw(t, "set back")
			f.time = now
		case kind == 38:
			now += rapid.Int64Range(o.Step, 10_000*day).Draw(t, "years on")
			f.time = now
		default: // one frame with a wrong time
			f.time += rapid.Int64Range(-1000*day, 1000*day).Draw(t, "wrong")
		}
		f.stream = rapid.IntRange(0, min(declared, len(counted)-1)).Draw(t, "stream")
		declared = max(declared, f.stream+1)
		f.length = uint8(rapid.OneOf(rapid.Just(8), rapid.IntRange(0, longest[f.stream])).Draw(t, "length"))
		for i := range f.data[:f.length] {
			f.data[i] = rapid.SampledFrom([]byte{0, 0, 0, 1, 0xFF}).Draw(t, "byte")
		}
		script = append(script, f)
	}
	return script, counted
}

func drawOptions(t *rapid.T) Options {
	const second = 1_000_000_000
	o := Options{
		Window:   rapid.SampledFrom([]int64{second, second / 10, 60 * second, 7}).Draw(t, "window"),
		Lateness: rapid.SampledFrom([]int64{0, 1, second - 1, second, second + 1, 3 * second}).Draw(t, "lateness"),
		Slots:    rapid.IntRange(1, 4).Draw(t, "slots"),
	}
	if o.Window == 7 {
		o.Lateness %= 50
	}
	o.Step = o.Lateness + o.Window*rapid.Int64Range(1, 10).Draw(t, "step")
	return o
}

// TestCollectorAgainstModel: each frame is in exactly one window, the right one,
// or counted as dropped; and every way to add frames gives the same windows.
func TestCollectorAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		script, counted := drawScript(t, o)
		lazy := rapid.IntRange(0, 3).Draw(t, "lazy") == 0
		first := collect(script, counted, o, usual, lazy)
		if err := first.check(script, counted, o); err != nil {
			t.Fatal(err)
		}
		if !lazy && first.stats.Dropped != 0 {
			t.Fatalf("%d frames dropped although the closer is there", first.stats.Dropped)
		}
		for _, how := range []way{always, wide} {
			other := collect(script, counted, o, how, lazy)
			if len(other.windows) != len(first.windows) {
				t.Fatalf("way %d: %d windows, want %d", how, len(other.windows), len(first.windows))
			}
			for i, w := range first.windows {
				if diff := diffWindows(w, other.windows[i]); diff != "" {
					t.Fatalf("way %d, window %d (-usual +other):\n%s", how, i, diff)
				}
			}
		}
	})
}

// A collector that follows another takes up where that has ended: no window comes
// twice but as a correction, and no correction has the revision of another.
func TestCollectorFollows(t *testing.T) {
	options := Options{Window: 10, Step: 20, Slots: 8}
	folded := newMirror(1)
	var got []string
	emit := func(w *Window) {
		got = append(got, fmt.Sprintf("%d/%d", w.Start, w.Revision))
		w.Release()
	}
	add := func(c *Collector, times ...int64) {
		for _, at := range times {
			lane, late := c.Lane(at, func() {})
			var data [64]byte
			if late {
				c.AddLate(at, 0, &data, 8, func(*Lane) {})
			} else {
				lane.Add([]ShortFrame{{Word: 0, Stream: 0, Length: 8}})
			}
		}
	}
	first := NewCollector(options)
	first.AddStream(false, nil)
	add(first, 100, 110, 109, 120, 0, 10) // one is late; then the clock is set back
	first.Finish()
	second := NewCollector(options)
	second.Follow(first)
	second.AddStream(false, nil)
	add(second, 15, 20, 18, 110, 130) // of the window that has ended, late again; then the time of before
	second.Finish()
	third := NewCollector(options)
	third.Follow(second)
	third.AddStream(false, nil)
	third.Advance(145)
	add(third, 146)
	third.Finish()
	for _, c := range []*Collector{first, second, third} {
		c.Close(folded, emit)
	}
	want := "[100/0 110/0 100/3 120/0 0/2 10/2 20/2 10/5 110/2 130/0 140/0]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v\nwant %s", got, want)
	}
	if folded.total != 12 {
		t.Errorf("%d of 12 frames", folded.total)
	}
}
