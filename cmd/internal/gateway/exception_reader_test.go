package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"milepost/aggregate"
	"milepost/uplink"
)

// exceptionReader rebuilds every window from what is reported by exception, by
// the rule in docs/wire-format.md and from nothing but the objects of the encoding
// json, in the order of their sequences.
type exceptionReader struct {
	held    map[string]held             // by series: its last regular record
	windows map[string]map[int64]string // by series and start (unmoved): the summary
	added   map[string][]string         // corrections
}

type held struct {
	start, duration int64
	count           float64
	summary         string
}

func newExceptionReader() *exceptionReader {
	return &exceptionReader{map[string]held{}, map[string]map[int64]string{}, map[string][]string{}}
}

// object is what a record says: of which series, whether it is a correction, and
// when and what.
func object(t *rapid.T, line []byte) (series string, correction bool, h held) {
	var o map[string]any
	if err := json.Unmarshal(line, &o); err != nil {
		t.Fatal(err)
	}
	number := func(key string) int64 {
		x, _ := o[key].(float64)
		return int64(math.Round(x * 1e3)) // milliseconds
	}
	series = fmt.Sprint(o["bus"], o["message"], o["signal"])
	h = held{start: number("window") - number("moved"), duration: number("duration"), count: o["count"].(float64)}
	correction = o["revision"] != nil
	for _, key := range []string{"device", "boot", "seq", "window", "moved", "clock", "uptime"} {
		delete(o, key)
	}
	h.summary = fmt.Sprint(o)
	return series, correction, h
}

// put keeps a summary of a window.
func (r *exceptionReader) put(series string, start int64, summary string) {
	if r.windows[series] == nil {
		r.windows[series] = map[int64]string{}
	}
	r.windows[series][start] = summary
}

func (r *exceptionReader) read(series string, correction bool, h held) {
	if correction {
		r.added[series] = append(r.added[series], h.summary)
		return
	}
	// What it was until then is what it was in the windows between.
	if last, ok := r.held[series]; ok && last.count > 0 {
		for start := last.start + last.duration; start < h.start; start += last.duration {
			r.put(series, start, last.summary)
		}
	}
	if h.count > 0 {
		r.put(series, h.start, h.summary)
	}
	r.held[series] = h
}

// TestExceptionReader: whatever comes and goes, whenever the clock is set, and
// wherever records are moved to, a reader has every window.
func TestExceptionReader(t *testing.T) {
	groups := []*aggregate.Group{
		{Bus: "can0", HasID: true, ID: 1, Name: "A", Series: []aggregate.Series{{Name: "one", Bits: 8, Factor: 1}, {Name: "two", Bits: 8, Factor: 1}}},
		{Bus: "can0", HasID: true, ID: 2, Name: "B", Series: []aggregate.Series{{Name: "one", Bits: 8, Factor: 1}}},
		{Bus: "gpio", Name: "C", Series: []aggregate.Series{{Name: "one", Bits: 8, Factor: 1}}},
	}
	rapid.Check(t, func(t *rapid.T) {
		const second = int64(1e9)
		filter := newExceptionFilter(rapid.Int64Range(2, 20).Draw(t, "refresh") * second)
		var folder aggregate.ColumnFolder
		encoder := uplink.NewBatchEncoder("car", uplink.BootID{1}, 1)
		made, reader := newExceptionReader(), newExceptionReader()
		var offset int64
		// send delivers a window as it goes over the wire: to the reader, or to who
		// keeps all that was made.
		send := func(w *aggregate.Window, toReader bool) {
			encoder.Add(w)
			payload := encoder.Take()
			if payload == nil {
				return
			}
			var decoder uplink.BatchDecoder
			decoded, err := decoder.Decode(payload, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range decoded {
				r := &decoded[i]
				if toReader && r.Clock == aggregate.ClockUnset {
					r.Moved = 1000*second + 250e6 - offset%7*second
					r.Start += r.Moved
				}
				series, correction, h := object(t, uplink.AppendJSON(nil, r))
				switch {
				case toReader:
					reader.read(series, correction, h)
				case correction:
					made.added[series] = append(made.added[series], h.summary)
				default:
					made.put(series, h.start, h.summary)
				}
			}
		}
		start := rapid.Int64Range(0, 100).Draw(t, "start")
		clock := aggregate.ClockUnset
		fill := func(revision uint32, what string) *aggregate.Window {
			w := aggregate.NewWindow(start*second, second, revision)
			w.Stamp = aggregate.Stamp{Clock: clock, ClockOffset: offset}
			for _, g := range groups {
				if rapid.IntRange(0, 3).Draw(t, what+g.Name) == 0 {
					continue // it has no samples
				}
				s := w.AddGroup(g)
				for j := range s {
					if value := rapid.Int64Range(0, 3).Draw(t, g.Name); value > 0 {
						folder.Fold(&g.Series[j], aggregate.Column{Values: []int64{value / 2}, Weights: []uint32{1}}, w, &s[j])
					}
				}
			}
			return w
		}
		for range rapid.IntRange(1, 40).Draw(t, "windows") {
			revision := uint32(0)
			switch rapid.IntRange(0, 9).Draw(t, "act") {
			case 0:
				start += rapid.Int64Range(1, 30).Draw(t, "gap") // nothing has samples
			case 1:
				start += 1_700_000_000 // the clock is set
				offset += 1_700_000_000 * second
				clock = aggregate.ClockSynchronized
			case 2:
				offset += rapid.Int64Range(0, 2).Draw(t, "a little") * 1e8
			case 3:
				revision = 3
			}
			w := fill(revision, "")
			if revision == 0 {
				start++
			}
			if len(w.Groups) == 0 {
				continue // such a window is not made
			}
			send(w, false)
			samples := w.Samples()
			if ended := filter.gap(w); ended != nil {
				if revision != 0 {
					t.Fatal("a correction makes a gap")
				}
				send(ended, true)
			}
			if suppressed := filter.apply(w); revision != 0 && (suppressed != 0 || w.Samples() != samples) {
				t.Fatal("a correction is touched")
			}
			send(w, true)
		}
		if ended := filter.end(); ended != nil {
			send(ended, true)
		}
		if filter.end() != nil {
			t.Fatal("the end is told twice")
		}
		if diff := cmp.Diff(made.windows, reader.windows); diff != "" {
			t.Fatalf("(-made +rebuilt)\n%s", diff)
		}
		if diff := cmp.Diff(made.added, reader.added); diff != "" {
			t.Fatalf("corrections (-made +sent)\n%s", diff)
		}
	})
}
