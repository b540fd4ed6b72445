package gateway

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"milepost/aggregate"
	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/cantest"
	"milepost/can/dbc"
	"milepost/uplink"
)

// databaseOf writes a DBC for most of the IDs of frames: signals of both byte
// orders, all kinds, and a multiplexor; of each fifth ID it knows nothing.
func databaseOf(frames []can.Frame) []byte {
	var text, types strings.Builder
	text.WriteString("VERSION \"\"\nBU_: X\n")
	known := map[uint32]bool{}
	for i := range frames {
		f := &frames[i]
		if f.Stream == can.NoStream {
			continue
		}
		id := f.ID
		if f.Is(can.Extended) {
			id |= 1 << 31
		}
		if known[id] {
			continue
		}
		known[id] = true
		n := len(known)
		if n%5 == 0 {
			continue
		}
		fmt.Fprintf(&text, "BO_ %d M%d: %d X\n", id, n, []int{8, 6, 64, 2}[n%4])
		text.WriteString(" SG_ Page M : 0|2@1+ (1,0) [0|0] \"\" X\n SG_ Paged m1 : 2|6@1- (0.1,0) [0|0] \"V\" X\n")
		fmt.Fprintf(&text, " SG_ Motorola : 15|12@0- (%v,-40) [0|0] \"degC\" X\n SG_ Word : 8|16@1+ (-0.01,0) [0|0] \"\" X\n SG_ Flag : 7|1@1+ (1,0) [0|0] \"\" X\n", float64(n)/8)
		if n%4 == 0 || n%4 == 2 {
			text.WriteString(" SG_ Whole : 0|64@1+ (1,0) [0|0] \"\" X\n SG_ Single : 32|32@1- (2,1) [0|0] \"\" X\n")
			fmt.Fprintf(&types, "SIG_VALTYPE_ %d Single : 1;\n", id)
		}
		if n%4 == 2 {
			text.WriteString(" SG_ Double : 128|64@1- (1,0) [0|0] \"\" X\n SG_ Last : 511|8@0+ (1,0) [0|0] \"\" X\n")
			fmt.Fprintf(&types, "SIG_VALTYPE_ %d Double : 2;\n", id)
		}
	}
	return []byte(text.String() + types.String())
}

func bind(t testing.TB, text []byte) *Bindings {
	t.Helper()
	db, err := dbc.Parse("test.dbc", text)
	if err != nil {
		t.Fatal(err)
	}
	return NewBindings(dbc.Compile([]*dbc.Database{db}, dbc.Options{}), nil)
}

// testBuses are not in the order of their names.
var testBuses = []string{"can10", "vcan0", "can2"}

// lineOf writes a frame as a line of a log.
func lineOf(t testing.TB, f *can.Frame) string {
	t.Helper()
	var out bytes.Buffer
	w := canlog.NewWriter(&out, canlog.WriterOptions{})
	if err := w.WriteFrame(f, testBuses[f.Bus]); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// logOf writes frames as a log and lets mangle change the lines.
func logOf(t testing.TB, frames []can.Frame, mangle func(i int, line string) string) []byte {
	t.Helper()
	var out, one bytes.Buffer
	w := canlog.NewWriter(&one, canlog.WriterOptions{})
	for i := range frames {
		if err := w.WriteFrame(&frames[i], testBuses[frames[i].Bus]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if mangle == nil {
			out.Write(one.Bytes())
		} else {
			out.WriteString(mangle(i, one.String()))
		}
		one.Reset()
	}
	return out.Bytes()
}

// outcome is all that a run over a log gives.
type outcome struct {
	Batches  []byte // the windows, encoded
	Windows  int
	Ledger   Ledger
	Stats    canlog.Stats
	Problems []string
	Err      string
}

// recorder takes windows.
type recorder struct {
	encoder *uplink.BatchEncoder
	outcome outcome
	seen    map[string]bool
}

func newRecorder() *recorder {
	return &recorder{encoder: uplink.NewBatchEncoder("test", uplink.BootID{1}, 1), seen: map[string]bool{}}
}

// emit encodes a window. It must be a new one, in the order of its groups, and not empty.
func (r *recorder) emit(w *aggregate.Window) error {
	key := fmt.Sprint(w.Start, w.Revision)
	if r.seen[key] {
		return fmt.Errorf("window %d, revision %d is emitted twice", w.Start, w.Revision)
	}
	r.seen[key] = true
	for i := range w.Groups {
		if i > 0 && w.Groups[i-1].Group.Compare(w.Groups[i].Group) >= 0 {
			return fmt.Errorf("window %d: the groups are not in order", w.Start)
		}
	}
	r.outcome.Windows++
	if r.encoder.Add(w) == 0 {
		return fmt.Errorf("window %d has no samples", w.Start)
	}
	if r.encoder.Size() > 64<<10 {
		r.outcome.Batches = append(r.outcome.Batches, r.encoder.Take()...)
	}
	w.Release()
	return nil
}

// summarise runs over a log in memory, with several workers in chunks of the
// given size.
func summarise(t testing.TB, text []byte, bindings *Bindings, o Options, chunk int) outcome {
	t.Helper()
	r := newRecorder()
	options := canlog.Options{OnProblem: func(p canlog.Problem) { r.outcome.Problems = append(r.outcome.Problems, p.String()) }}
	log, err := canlog.NewReader("test.log", bytes.NewReader(text), options)
	if err != nil {
		t.Fatal(err)
	}
	reopen := func(from canlog.Position) (*canlog.Log, error) {
		options := options
		options.From = from
		return canlog.NewReader("test.log", bytes.NewReader(text), options)
	}
	if o.Workers > 1 && log.Splittable() {
		splitter, err := log.Split(chunk, o.Window)
		if err != nil {
			t.Fatal(err)
		}
		p := newParallel(log, "test.log", options, bindings, o, r.emit)
		r.outcome.Ledger, r.outcome.Stats, err = p.run(context.Background(), splitter, reopen)
		if err != nil {
			r.outcome.Err = err.Error()
		}
	} else {
		r.outcome.Ledger, r.outcome.Stats, err = SummariseLog(context.Background(), log, "test.log", options, bindings, o, reopen, r.emit)
		if err != nil {
			r.outcome.Err = err.Error()
		}
	}
	r.outcome.Batches = append(r.outcome.Batches, r.encoder.Take()...)
	if err := r.outcome.Ledger.Check(); err != nil && r.outcome.Err == "" {
		t.Error(err)
	}
	return r.outcome
}

// damages are what can be wrong with the lines of a log.
var damages = map[string]func(t testing.TB, random *rand.Rand, frames []can.Frame) []byte{
	"none": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte { return logOf(t, frames, nil) },
	"windows larger than chunks": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		first := frames[0].Time
		for i := range frames {
			frames[i].Time = first + (frames[i].Time-first)/2000*100
		}
		return logOf(t, frames, nil)
	},
	"one time for all": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		for i := range frames {
			frames[i].Time = frames[0].Time
		}
		return logOf(t, frames, nil)
	},
	"out of order within the lateness": func(t testing.TB, random *rand.Rand, frames []can.Frame) []byte {
		for i := range frames {
			frames[i].Time -= random.Int64N(999_999) * 1000
		}
		return logOf(t, frames, nil)
	},
	"late frames in the middle": func(t testing.TB, random *rand.Rand, frames []can.Frame) []byte {
		for i := range frames[len(frames)/2:] {
			if random.IntN(50) == 0 {
				frames[len(frames)/2+i].Time -= random.Int64N(9e9) / 1000 * 1000
			}
		}
		return logOf(t, frames, nil)
	},
	"a bus that is 5 s behind": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		for i := range frames {
			if i > len(frames)/3 && frames[i].Bus == 1 {
				frames[i].Time -= 5e9
			}
		}
		return logOf(t, frames, nil)
	},
	"clock set back twice and on": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		for i := range frames {
			switch {
			case i > len(frames)*3/4:
				frames[i].Time += 1000e9
			case i > len(frames)/2:
				frames[i].Time -= 40e9
			case i > len(frames)/3:
				frames[i].Time -= 11e9
			}
		}
		return logOf(t, frames, nil)
	},
	"garbage": func(t testing.TB, random *rand.Rand, frames []can.Frame) []byte {
		return logOf(t, frames, func(i int, line string) string {
			switch random.IntN(300) {
			case 0:
				return "(1533201287.000013) can0 garbage\n" + line
			case 1:
				return line + "\x00\xff\x1b[\n"
			case 2:
				return strings.Replace(line, ".", "x", 1)
			case 3:
				return "# a comment\r\n\n" + strings.TrimSuffix(line, "\n") + "\r\n"
			case 4:
				return "\t\tdetails of no error\n" + line
			}
			return line
		})
	},
	"long lines": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		return logOf(t, frames, func(i int, line string) string {
			switch {
			case i == len(frames)/4 || i == len(frames)/2:
				return strings.Repeat("x", 70<<10) + "\n" + line
			case i == len(frames)/3:
				return line + strings.Repeat("y", 400<<10) + "\n"
			}
			return line
		})
	},
	"a line without time": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		return logOf(t, frames, func(i int, line string) string {
			if i == len(frames)*2/3 || i == len(frames)*2/3+1 {
				_, line, _ = strings.Cut(line, ") ")
			}
			return line
		})
	},
	"a line without interface": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		return logOf(t, frames, func(i int, line string) string {
			if i == len(frames)*2/3 {
				words := strings.Fields(line)
				return words[0] + " " + words[2] + "\n"
			}
			return line
		})
	},
	"no line end at the end": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		return bytes.TrimSuffix(logOf(t, frames, nil), []byte("\n"))
	},
	"late from a chunk's beginning on": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		first := chunkBegin(t, frames, 2)
		for i := range frames {
			if i >= first {
				frames[i].Time -= 2e9
			}
		}
		return logOf(t, frames, nil)
	},
	"a chunk that begins without time": func(t testing.TB, _ *rand.Rand, frames []can.Frame) []byte {
		first := chunkBegin(t, frames, 2)
		return logOf(t, frames, func(i int, line string) string {
			if i == first { // as long as it was, so that the chunks stay
				stamp, rest, _ := strings.Cut(line, ") ")
				line = strings.Repeat(" ", len(stamp)+2) + rest
			}
			return line
		})
	},
	"late, long and garbage": func(t testing.TB, random *rand.Rand, frames []can.Frame) []byte {
		return logOf(t, frames, func(i int, line string) string {
			switch {
			case i == len(frames)/4:
				return strings.Repeat("x", 300<<10) + "\n" + line
			case i == len(frames)/2:
				return lineOf(t, &frames[i/2]) + line
			case random.IntN(1000) == 0:
				return "?\n" + line
			}
			return line
		})
	},
}

// chunkBegin is the first frame of a chunk of a log without damage.
func chunkBegin(t testing.TB, frames []can.Frame, chunk int) (first int) {
	size := 0
	logOf(t, frames, func(i int, line string) string {
		if size += len(line); size > canlog.MinChunkSize {
			size = len(line)
			if chunk--; chunk == 0 {
				first = i
			}
		}
		return line
	})
	return first
}

func randomFrames(seed uint64, n int) []can.Frame {
	return cantest.RandomFrames(seed, n, cantest.RandomOptions{Buses: len(testBuses), IDs: 30, FD: true, Remote: true, Error: true, Sent: true, RawDLC: true})
}
