package canlog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"milepost/can"
)

// sample is a log of several forms and problems.
func sample() []byte {
	return append(syntheticLog(300, " R"), `# a comment
(1533201300.000000) can0 123##5112233
nonsense
(1533201300.000001) can1 20000004#0000000000000000
(1533201300.000002) can1 123#R5
  (1533201300.000003)  can1  TX - -  123   [2]  11 22
`...)
}

func gzipped(t testing.TB, text []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestReaders(t *testing.T) {
	text := sample()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := scan(text, true)
	for title, r := range map[string]io.Reader{
		"at once":      bytes.NewReader(text),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(text)),
		"by halves":    iotest.HalfReader(bytes.NewReader(text)),
		"EOF at once":  iotest.DataErrReader(bytes.NewReader(text)),
		"gzip":         bytes.NewReader(gzipped(t, text)),
		"two gzips":    bytes.NewReader(append(gzipped(t, text[:777]), gzipped(t, text[777:])...)),
		"zstd":         bytes.NewReader(encoder.EncodeAll(text, nil)),
		"CR LF":        bytes.NewReader(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))),
		"CR":           bytes.NewReader(bytes.ReplaceAll(text, []byte("\n"), []byte("\r"))),
	} {
		t.Run(title, func(t *testing.T) {
			var problems []Problem
			log, err := NewReader("log", r, Options{OnProblem: func(p Problem) { problems = append(problems, p) }})
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			got := readAll(t, log)
			if len(got) != len(want.Frames) {
				t.Fatalf("%d frames, want %d", len(got), len(want.Frames))
			}
			for i := range got {
				if w := name(&want.Frames[i], want.Buses); got[i] != w {
					t.Fatalf("frame %d: %+v, want %+v", i, got[i], w)
				}
			}
			stats := log.Stats()
			if title == "CR LF" {
				stats.Bytes -= int64(stats.Lines)
			}
			if diff := cmp.Diff(want.Stats, stats); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(problems) != 1 || problems[0].Line != 303 {
				t.Errorf("problems: %v", problems)
			}
		})
	}
}

func TestLiveInput(t *testing.T) {
	// A pipe: each line is delivered when it is written.
	r, w := io.Pipe()
	opened := make(chan *Log)
	go func() {
		log, err := NewReader("pipe", r, Options{})
		if err != nil {
			t.Error(err)
		}
		opened <- log
	}()
	fmt.Fprint(w, "(1533201287.000013) can0 2C1#00\n(1533201287.0000")
	log := <-opened
	frames := make([]can.Frame, 10)
	if n, err := log.Read(frames); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for i := range 3 {
		go fmt.Fprint(w, "14) can0 2C1#01\n(1533201287.0000")
		if n, err := log.Read(frames); n != 1 || err != nil || frames[0].Data[0] != 1 {
			t.Fatal(i, n, err)
		}
	}
	broken := errors.New("pulled out")
	w.CloseWithError(broken)
	if n, err := log.Read(frames); n != 0 || !errors.Is(err, broken) || !strings.Contains(err.Error(), "pipe") {
		t.Fatal(n, err)
	}
	if s := log.Stats(); s.Frames != 4 || s.Bad != 0 {
		t.Errorf("%+v", s)
	}
}

func TestContinue(t *testing.T) {
	text := sample()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	relative := strings.Repeat(" (000.000002)  can0  123   [1]  11\n (000.000001)  can0  123   [1]  12\n can0  123   [0] \n", 50)
	header := "interface = can7, family = 29, type = 3, proto = 1\n" + strings.Repeat("<0x123> [1] 33\n", 10)
	for title, content := range map[string][]byte{
		"plain": text, "gzip": gzipped(t, text), "zstd": encoder.EncodeAll(text, nil),
		"deltas": []byte(relative), "header": []byte(header),
	} {
		t.Run(title, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.log")
			if err := os.WriteFile(path, content, 0o666); err != nil {
				t.Fatal(err)
			}
			read := func(from Position, most int) (frames []named, at Position, problems []string) {
				log, err := Open(path, Options{From: from, OnProblem: func(p Problem) { problems = append(problems, fmt.Sprint(p, p.Offset)) }})
				if err != nil {
					t.Fatal(err)
				}
				defer log.Close()
				batch := make([]can.Frame, 7)
				for len(frames) < most {
					n, err := log.Read(batch)
					for i := range batch[:n] {
						frames = append(frames, name(&batch[i], log.Buses()))
					}
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				checkBalance(t, log.Stats())
				return frames, log.Position(), problems
			}
			want, end, problems := read(Position{}, 1<<30)
			for most := 1; most < len(want); most += 13 {
				first, at, p1 := read(Position{}, most)
				second, at2, p2 := read(at, 1<<30)
				if !slices.Equal(want, append(first, second...)) {
					t.Fatalf("frames differ when continued at %+v", at)
				}
				if !slices.Equal(problems, append(p1, p2...)) {
					t.Fatalf("problems %q and %q, want %q", p1, p2, problems)
				}
				if at2 != end {
					t.Fatalf("at the end: %+v, want %+v", at2, end)
				}
			}
			if rest, _, _ := read(end, 1<<30); len(rest) != 0 {
				t.Errorf("%d frames behind the end", len(rest))
			}
			beyond := end
			beyond.Offset++
			if _, err := Open(path, Options{From: beyond}); err == nil || !strings.Contains(err.Error(), "replaced") {
				t.Errorf("continued behind the end: %v", err)
			}
		})
	}
}

func TestDetect(t *testing.T) {
	for _, test := range []struct {
		head string
		want Format
		says string
	}{
		{"(1533201287.000013) can0 2C1#0014DF14BBCA3A91\n", FormatCandump, ""},
		{"# comment\n\n  can0  123   [1]  11\n", FormatCandump, ""},
		{"garbage\x00\x00\x00\n(1533201287.000013) can0 2C1#00\n", FormatCandump, ""},
		{"(1533201287.000013) can0 2C", FormatCandump, ""},
		{"(1533201287.0", FormatUnknown, "text that begins with"},
		{"hello\nworld\n", FormatUnknown, `text that begins with "hello"`},
		{"LOGG\x90\x00\x00\x00", FormatUnknown, "BLF"},
		{"MDF     4.10", FormatUnknown, "MDF"},
		{"date Fri May 27 04:09:35.000 pm 2014\nbase hex", FormatUnknown, "ASC"},
		{"\x0a\x0d\x0d\x0a\x1c\x00", FormatUnknown, "pcapng"},
		{"\xff\xfe(\x001\x00", FormatUnknown, "UTF-16"},
		{"\x00\x01\x02\x03", FormatUnknown, "binary"},
		{"caf\xe9 au lait, and more of it", FormatUnknown, "binary"},
		{"caf\xc3", FormatUnknown, "text"},
		{"BZh91AY", FormatUnknown, "bzip2"},
	} {
		if got := Detect([]byte(test.head)); got != test.want {
			t.Errorf("%q: %v", test.head, got)
		}
		_, err := NewReader("x.log", strings.NewReader(test.head), Options{})
		var unknown *UnknownFormatError
		if test.want != FormatUnknown {
			if err != nil {
				t.Errorf("%q: %v", test.head, err)
			}
		} else if !errors.As(err, &unknown) || !strings.Contains(err.Error(), test.says) ||
			!strings.HasPrefix(err.Error(), "x.log: ") || !strings.Contains(err.Error(), "known: candump") {
			t.Errorf("%q: %v", test.head, err)
		}
	}
}

func TestNoFrames(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing happened\n", "  \n#"} {
		log, err := NewReader("log", strings.NewReader(text), Options{})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if frames := readAll(t, log); len(frames) > 0 || log.Stats().Bad > 0 {
			t.Errorf("%q: %v, %+v", text, frames, log.Stats())
		}
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none.log"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil {
		t.Error("a directory was opened")
	}
	if _, err := NewReader("x.gz", strings.NewReader("\x1f\x8b\x00\x00"), Options{}); err == nil || !strings.Contains(err.Error(), "x.gz: gzip") {
		t.Error(err)
	}
}

// TestForeignFiles opens all files of other formats of the collection.
func TestForeignFiles(t *testing.T) {
	root := testData(t, "logs")
	opened := 0
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "candump") || strings.Contains(filepath.Base(path), ".log") {
			return err
		}
		opened++
		log, err := Open(path, Options{})
		var unknown *UnknownFormatError
		if errors.As(err, &unknown) {
			return nil
		}
		if err == nil {
			log.Close()
		}
		t.Errorf("%s: %v", path, err)
		return nil
	})
	if err != nil || opened < 40 {
		t.Errorf("%d files: %v", opened, err)
	}
}

// TestTruncations reads a log that is cut after each byte.
func TestTruncations(t *testing.T) {
	text := sample()
	text = text[len(text)-700:]
	text = text[bytes.IndexByte(text, '\n')+1:]
	whole := scan(text, true)
	for cut := range len(text) {
		sameAsGeneral(t, text[:cut])
		got := scan(text[:cut], false)
		checkBalance(t, got.Stats)
		lines := bytes.Count(text[:cut], []byte("\n"))
		last := text[:cut][bytes.LastIndexByte(text[:cut], '\n')+1:]
		if len(last) > 0 {
			lines++
		}
		if got.Stats.Truncated != (len(last) > 0) || got.Stats.Lines != uint64(lines) {
			t.Errorf("cut at %d: %+v, %d lines", cut, got.Stats, lines)
		}
		// All frames but perhaps the last are those of the whole log.
		for i, f := range got.Frames[:max(0, len(got.Frames)-1)] {
			if f != whole.Frames[i] {
				t.Fatalf("cut at %d: frame %d differs", cut, i)
			}
		}
	}
}

func TestTruncatedGzip(t *testing.T) {
	text := syntheticLog(3000, "")
	packed := gzipped(t, text)
	for _, cut := range []int{30, 1000, len(packed) / 2, len(packed) - 1} {
		var problems []Problem
		log, err := NewReader("x.gz", bytes.NewReader(packed[:cut]), Options{OnProblem: func(p Problem) { problems = append(problems, p) }})
		if err != nil {
			if cut > 1000 {
				t.Errorf("cut at %d: %v", cut, err)
			}
			continue
		}
		frames := readAll(t, log)
		s := log.Stats()
		checkBalance(t, s)
		if !s.Truncated || len(problems) == 0 || s.Bad > 1 || len(frames) < 2900*cut/len(packed)-100 {
			t.Errorf("cut at %d of %d: %+v, problems %v", cut, len(packed), s, problems)
		}
	}
	// A bit that flips is an error, not an end.
	packed[len(packed)-5] ^= 1
	log, err := NewReader("x.gz", bytes.NewReader(packed), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if frames, err := readChecked(t, log, 100); err == io.EOF || len(frames) < 2000 || !strings.Contains(err.Error(), "x.gz: at byte") {
		t.Errorf("%d frames, %v", len(frames), err)
	}
}

// longLine is a log with a line of a gigabyte.
func longLine(length int64, c byte) io.Reader {
	return io.MultiReader(
		strings.NewReader("(1533201287.000013) can0 2C1#00\n"),
		io.LimitReader(repeat(c), length),
		strings.NewReader("\r\n(1533201287.000014) can0 2C1#01\nnonsense\n"),
	)
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

func TestLongLine(t *testing.T) {
	lengths := []int64{maxLine, maxLine + 1, readBufferSize - 1, readBufferSize, MinChunkSize - 34, MinChunkSize - 33, MinChunkSize - 1, MinChunkSize, 1 << 20}
	if !testing.Short() {
		lengths = append(lengths, 1<<30)
	}
	for _, length := range lengths {
		var problems, splitProblems []Problem
		log, err := NewReader("log", longLine(length, 'x'), Options{OnProblem: func(p Problem) { problems = append(problems, p) }})
		if err != nil {
			t.Fatal(err)
		}
		frames := readAll(t, log)
		s := log.Stats()
		checkBalance(t, s)
		if len(frames) != 2 || s.Bad != 2 || s.Bytes != 32+length+2+32+9 || s.Truncated ||
			problems[0].Line != 2 || problems[0].Offset != 32 || problems[1].Line != 4 {
			t.Errorf("length %d: %d frames, %+v, problems %v", length, len(frames), s, problems)
		}
		opts := Options{OnProblem: func(p Problem) { splitProblems = append(splitProblems, p) }}
		logs := make(map[string]*Log)
		if length <= 1<<20 {
			logs = openBoth(t, longLine(length, 'x'), opts)
		} else if logs["stream"], err = NewReader("log", longLine(length, 'x'), opts); err != nil {
			t.Fatal(err)
		}
		for from, log := range logs {
			splitProblems = nil
			got, sum := readChunks(t, log, 3, opts)
			if diff := cmp.Diff(frames, got); diff != "" {
				t.Errorf("length %d: %s by chunks (-whole +chunks):\n%s", length, from, diff)
			}
			if diff := cmp.Diff(problems, splitProblems); diff != "" {
				t.Errorf("length %d: %s by chunks (-whole +chunks):\n%s", length, from, diff)
			}
			if diff := cmp.Diff(s, sum); diff != "" {
				t.Errorf("length %d: %s by chunks (-whole +chunks):\n%s", length, from, diff)
			}
		}
	}
	if _, err := NewReader("log", io.LimitReader(repeat(0), 1<<20), Options{}); err == nil {
		t.Error("a megabyte of zeros was opened")
	}
}

func TestManyInterfaces(t *testing.T) {
	var text strings.Builder
	for i := range maxBuses + 10 {
		fmt.Fprintf(&text, "(1533201287.000013) bus%d 2C1#00\n", i)
	}
	log, err := NewReader("log", strings.NewReader(text.String()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if frames := readAll(t, log); len(frames) != maxBuses || log.Stats().Bad != 10 {
		t.Errorf("%d frames, %+v", len(frames), log.Stats())
	}
}

func ExampleNewReader() {
	log, err := NewReader("drive.log", strings.NewReader("(1533201287.000013) can0 2C1#0014DF14BBCA3A91\nscrambled\n"), Options{
		OnProblem: func(p Problem) { fmt.Println(p) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	frames := make([]can.Frame, 256)
	for {
		n, err := log.Read(frames)
		for _, f := range frames[:n] {
			fmt.Println(f.Time, log.Buses()[f.Bus], can.FormatID(f.ID, f.Is(can.Extended)), f.Payload())
		}
		if err != nil {
			break
		}
	}
	// Output:
	// drive.log:2: no frame behind the interface: "scrambled"
	// 1533201287000013000 can0 2C1 [0 20 223 20 187 202 58 145]
}
