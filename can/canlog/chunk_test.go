package canlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"milepost/can"
)

// part is what a chunk was made of.
type part struct {
	frames   []named
	problems []Problem
	lines    int64
}

// openBoth opens a text as a stream and as a file, which is read in blocks.
func openBoth(t testing.TB, text io.Reader, opts Options) map[string]*Log {
	t.Helper()
	t.Chdir(t.TempDir())
	f, err := os.Create("log") // the name that the stream has, for equal problems
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	logs := make(map[string]*Log)
	if logs["file"], err = Open("log", opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { logs["file"].Close() })
	stream, err := os.Open("log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stream.Close() })
	if logs["stream"], err = NewReader("log", io.MultiReader(stream), opts); err != nil {
		t.Fatal(err)
	}
	return logs
}

// readChunks reads a log by chunks with some workers, and puts the results
// together in the order of the log.
func readChunks(t testing.TB, log *Log, workers int, opts Options) ([]named, Stats) {
	t.Helper()
	splitter, err := log.Split(0, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var stats Stats
	parts := make(map[int64]part)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			var this part
			opts := opts
			opts.OnProblem = func(p Problem) { this.problems = append(this.problems, p) }
			text := NewText("log", opts)
			frames := make([]can.Frame, 100)
			var c Chunk
			for {
				if err := splitter.Next(&c); err != nil {
					if err != io.EOF {
						t.Error(err)
					}
					break
				}
				text.Reset(c)
				this = part{}
				for {
					n, err := text.Read(frames)
					for i := range frames[:n] {
						this.frames = append(this.frames, name(&frames[i], text.Buses()))
					}
					if err != nil {
						break
					}
				}
				if text.Dependent() {
					t.Error("a chunk depends on what precedes it")
				}
				this.lines = text.Lines()
				mu.Lock()
				parts[c.Index] = this
				mu.Unlock()
			}
			mu.Lock()
			stats.Add(text.Stats())
			mu.Unlock()
		})
	}
	wait.Wait()
	stats.Add(log.Stats())
	var all []named
	lines := int64(0)
	for i := range int64(len(parts)) {
		p, ok := parts[i]
		if !ok {
			t.Fatalf("no chunk %d", i)
		}
		all = append(all, p.frames...)
		for _, problem := range p.problems {
			problem.Line += lines
			opts.OnProblem(problem)
		}
		lines += p.lines
	}
	return all, stats
}

func TestChunks(t *testing.T) {
	text := slices.Concat(
		syntheticLog(20_000, " R"),
		[]byte("# in between\nnonsense\n(1533201288.000000) can0 123##5112233\n"),
		syntheticLog(20_000, ""),
		[]byte("more nonsense\n(1533201288.000000) can0 123#1122"),
	)
	for _, test := range []struct {
		name string
		text []byte
	}{
		{"LF", text},
		{"CR LF", bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))},
		{"CR among LF", bytes.ReplaceAll(text, []byte("91\n"), []byte("91\r"))},
		{"gzip", gzipped(t, text)},
		{"short", []byte("(1533201288.000000) can0 123#1122\n")},
		{"empty lines", append([]byte("(1533201288.000000) can0 123#1122\n"), bytes.Repeat([]byte("\n"), 300_000)...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			var problems []string
			opts := Options{OnProblem: func(p Problem) {
				mu.Lock()
				problems = append(problems, fmt.Sprint(p, p.Offset))
				mu.Unlock()
			}}
			log, err := NewReader("log", bytes.NewReader(test.text), opts)
			if err != nil {
				t.Fatal(err)
			}
			want := readAll(t, log)
			wantProblems := problems
			slices.Sort(wantProblems)
			for _, workers := range []int{1, 3} {
				for from, part := range openBoth(t, bytes.NewReader(test.text), opts) {
					problems = nil
					got, stats := readChunks(t, part, workers, opts)
					if !slices.Equal(want, got) {
						t.Errorf("%s, %d workers: frames differ", from, workers)
					}
					if diff := cmp.Diff(log.Stats(), stats); diff != "" {
						t.Errorf("%s, %d workers (-whole +chunks):\n%s", from, workers, diff)
					}
					slices.Sort(problems)
					if diff := cmp.Diff(wantProblems, problems); diff != "" {
						t.Errorf("%s, %d workers (-whole +chunks):\n%s", from, workers, diff)
					}
					if read, total := part.Progress(); total != 0 && read != total {
						t.Errorf("%d of %d bytes were read", read, total)
					}
				}
			}
		})
	}
}

// TestSplitAfterReading goes on by chunks where reading stopped.
func TestSplitAfterReading(t *testing.T) {
	text := syntheticLog(10_000, "")
	log, err := NewReader("log", bytes.NewReader(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	frames := make([]can.Frame, 300)
	if n, err := log.Read(frames); n != 300 || err != nil {
		t.Fatal(n, err)
	}
	splitter, err := log.Split(1<<20, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var c Chunk
	if err := splitter.Next(&c); err != nil {
		t.Fatal(err)
	}
	if c.Index != 0 || !bytes.Equal(c.Data, text[c.Offset:]) {
		t.Errorf("chunk %d at offset %d", c.Index, c.Offset)
	}
	if err := splitter.Next(&c); err != io.EOF {
		t.Errorf("behind the last chunk: %v", err)
	}
}

// TestSplitAlign: where the times ascend, chunks end where intervals do.
func TestSplitAlign(t *testing.T) {
	for _, test := range []struct {
		name    string
		frames  int   // a second
		align   int64 // seconds
		aligned bool
	}{
		{"second", 1000, 1, true},
		{"few lines a second", 3, 1, true},
		{"one line a second", 1, 1, true},
		{"three seconds", 300, 3, true},
		{"chunks shorter than a second", 10_000, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var text []byte
			for i := range 20_000 {
				text = fmt.Appendf(text, "(%d.%06d) can0 123#%016X\n", 1533201288+i/test.frames, i%test.frames*(1e6/test.frames), i)
			}
			for from, log := range openBoth(t, bytes.NewReader(text), Options{}) {
				splitter, err := log.Split(0, time.Duration(test.align)*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				var all []byte
				last, chunks, aligned := int64(-1), 0, 0
				for {
					var c Chunk
					if err := splitter.Next(&c); err == io.EOF {
						break
					} else if err != nil {
						t.Fatal(err)
					}
					if len(c.Data) > MinChunkSize {
						t.Fatalf("%s: a chunk of %d bytes", from, len(c.Data))
					}
					lines := bytes.Split(bytes.TrimSuffix(c.Data, []byte("\n")), []byte("\n"))
					interval := func(line []byte) int64 {
						sec, _ := parseDecimal(line[1:])
						return int64(sec) / test.align
					}
					if interval(lines[0]) != last {
						aligned++
					}
					last = interval(lines[len(lines)-1])
					chunks++
					all = append(all, c.Data...)
				}
				if !bytes.Equal(all, text) {
					t.Errorf("%s: the chunks are not the log", from)
				}
				if chunks < 3 || test.aligned != (aligned == chunks) {
					t.Errorf("%s: %d of %d chunks begin with an interval", from, aligned, chunks)
				}
			}
		})
	}
}

func TestSplitError(t *testing.T) {
	broken := errors.New("broken")
	text := syntheticLog(10_000, "")
	log, err := NewReader("log", io.MultiReader(bytes.NewReader(text[:len(text)-10]), failingReader{broken}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	splitter, err := log.Split(0, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	var c Chunk
	for {
		err := splitter.Next(&c)
		if errors.Is(err, broken) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(c.Data, []byte("\n")) {
			t.Error("a chunk with part of a line")
		}
		lines += bytes.Count(c.Data, []byte("\n"))
	}
	if lines != 9999 {
		t.Errorf("%d lines before the error, want 9999", lines)
	}
	if err := splitter.Next(&c); !errors.Is(err, broken) {
		t.Errorf("after the error: %v", err)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestDependent(t *testing.T) {
	for _, test := range []struct {
		line string
		want bool
	}{
		{"(1533201288.000000) can0 123#1122", false},
		{" (1533201288.000000)  can0  123   [1]  11", false},
		{" (2018-08-02 09:14:47.000013)  can0  123   [1]  11", false},
		{"# comment", false},
		{"nonsense", false},
		{"can0 123#1122", true},
		{" (000.000000)  can0  123   [1]  11", true},
		{"<0x123> [1] 11", true},
		{"interface = can7, family = 29, type = 3, proto = 1", true},
	} {
		text := NewText("log", Options{})
		frames := make([]can.Frame, 4)
		for range 2 { // Reset forgets
			text.Reset(Chunk{Data: []byte("(1533201288.000000) can0 123#1122\n")})
			text.Read(frames)
			if text.Dependent() {
				t.Error("dependent on a line that is not")
			}
			text.Reset(Chunk{Data: []byte(test.line)})
			text.Read(frames)
			if text.Dependent() != test.want {
				t.Errorf("%q: Dependent is %t", test.line, !test.want)
			}
		}
		if log, err := NewReader("log", strings.NewReader(test.line+"\n"), Options{}); err == nil {
			_, err := log.Split(0, 0)
			if wantError := test.want || log.Splittable() == false; wantError != errors.Is(err, ErrNotSplittable) {
				t.Errorf("%q: Split: %v", test.line, err)
			}
		}
	}
}
