package canlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"milepost/can"
)

// readChunks reads a log by chunks with some workers, and puts the results
// together in the order of the log.
func readChunks(t testing.TB, r io.Reader, workers int, opts Options) ([]named, Stats) {
	t.Helper()
	log, err := NewReader("log", r, opts)
	if err != nil {
		t.Fatal(err)
	}
	splitter, err := log.Split(0)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var stats Stats
	parts := make(map[int64][]named)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
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
				var part []named
				for {
					n, err := text.Read(frames)
					for i := range frames[:n] {
						part = append(part, name(&frames[i], text.Buses()))
					}
					if err != nil {
						break
					}
				}
				if text.Dependent() {
					t.Error("a chunk depends on what precedes it")
				}
				mu.Lock()
				parts[c.Index] = part
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
	for i := range int64(len(parts)) {
		part, ok := parts[i]
		if !ok {
			t.Fatalf("no chunk %d", i)
		}
		all = append(all, part...)
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
			for _, workers := range []int{1, 3} {
				problems = nil
				got, stats := readChunks(t, bytes.NewReader(test.text), workers, opts)
				if !slices.Equal(want, got) {
					t.Errorf("%d workers: frames differ", workers)
				}
				if diff := cmp.Diff(log.Stats(), stats); diff != "" {
					t.Errorf("%d workers (-whole +chunks):\n%s", workers, diff)
				}
				slices.Sort(wantProblems)
				slices.Sort(problems)
				if diff := cmp.Diff(wantProblems, problems); diff != "" {
					t.Errorf("%d workers (-whole +chunks):\n%s", workers, diff)
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
	splitter, err := log.Split(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	var c Chunk
	if err := splitter.Next(&c); err != nil {
		t.Fatal(err)
	}
	if c.Line != 300 || c.Index != 0 || !bytes.Equal(c.Data, text[c.Offset:]) {
		t.Errorf("chunk %d at line %d, offset %d", c.Index, c.Line, c.Offset)
	}
	if err := splitter.Next(&c); err != io.EOF {
		t.Errorf("behind the last chunk: %v", err)
	}
}

func TestSplitError(t *testing.T) {
	broken := errors.New("broken")
	text := syntheticLog(10_000, "")
	log, err := NewReader("log", io.MultiReader(bytes.NewReader(text[:len(text)-10]), failingReader{broken}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	splitter, err := log.Split(0)
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
			_, err := log.Split(0)
			if wantError := test.want || log.Splittable() == false; wantError != errors.Is(err, ErrNotSplittable) {
				t.Errorf("%q: Split: %v", test.line, err)
			}
		}
	}
}
