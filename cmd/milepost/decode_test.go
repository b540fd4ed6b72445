package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/dbc"
	"milepost/cmd/internal/gateway"
)

const (
	carDBC   = "testdata/car.dbc"
	driveLog = "testdata/drive.log"
)

func TestDecodeGolden(t *testing.T) {
	for name, args := range map[string][]string{
		"decode.txt":       {"--dbc", carDBC, "--dbc", "can1=testdata/other.dbc", driveLog},
		"decode.jsonl":     {driveLog, carDBC, "--format", "jsonl", "--dbc", "can1=testdata/other.dbc"},
		"decode_known.txt": {"--known", "--not-available", "keep", carDBC, driveLog},
	} {
		t.Run(name, func(t *testing.T) {
			got := milepost(nil, append([]string{"decode"}, args...)...)
			if got.code != exitDone {
				t.Errorf("exit code %d", got.code)
			}
			want := driveLog + `:19: the ID has neither 3 nor 8 digits: "not a frame"` + "\n" +
				driveLog + `:20: the ID has neither 3 nor 8 digits: "(1700000000.120000) can0 1234#00"` + "\n" +
				driveLog + ": 2 of 21 lines left out as senseless\n"
			if diff := cmp.Diff(want, got.stderr); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			golden(t, name, []byte(got.stdout))
		})
	}
}

// decodedLine is a line of decode --format jsonl.
type decodedLine struct {
	Time    json.Number            `json:"time"`
	Bus     string                 `json:"bus"`
	ID      string                 `json:"id"`
	Message *string                `json:"message"`
	Signals map[string]json.Number `json:"signals"`
	Errors  []string               `json:"errors"`
}

func parseLines(t testing.TB, text string) []decodedLine {
	t.Helper()
	var lines []decodedLine
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	for {
		var line decodedLine
		err := decoder.Decode(&line)
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatalf("line %d: %v", len(lines)+1, err)
		}
		if line.Signals == nil || line.Errors == nil {
			t.Fatalf("line %d lacks signals or errors", len(lines)+1)
		}
		lines = append(lines, line)
	}
}

// TestDecodeEqualsPlan compares the lines with what the package dbc decodes.
func TestDecodeEqualsPlan(t *testing.T) {
	got := milepost(nil, "decode", carDBC, driveLog, "--format=jsonl")
	lines := parseLines(t, got.stdout)
	if n := strings.Count(got.stdout, "\n"); n != len(lines) {
		t.Errorf("%d objects in %d lines", len(lines), n)
	}
	frames, buses := readLog(t, driveLog)
	if len(frames) != len(lines) {
		t.Fatalf("%d lines for %d frames", len(lines), len(frames))
	}
	db, err := readDatabase(carDBC)
	if err != nil {
		t.Fatal(err)
	}
	decoder := dbc.Compile([]*dbc.Database{db}, dbc.Options{})
	for i := range frames {
		f, line := &frames[i], lines[i]
		if at := nanoseconds(t, line.Time); at != f.Time {
			t.Errorf("frame %d: time %s, want %d ns", i, line.Time, f.Time)
		}
		if line.Bus != buses[f.Bus] {
			t.Errorf("frame %d: bus %s, want %s", i, line.Bus, buses[f.Bus])
		}
		want := map[string]float64{}
		plan := decoder.Lookup(f.ID, f.Is(can.Extended))
		if plan == nil || f.Stream == can.NoStream {
			if line.Message != nil || len(line.Signals) > 0 {
				t.Errorf("frame %d: decoded, though no message: %+v", i, line)
			}
			continue
		}
		if line.Message == nil || *line.Message != plan.Message.Name {
			t.Errorf("frame %d: message %v, want %s", i, line.Message, plan.Message.Name)
		}
		for _, v := range plan.Decode(f.Payload(), nil) {
			if (v.State == dbc.Present || v.State == dbc.UnknownMultiplexor) && finite(v.Physical) {
				want[v.Signal.Name] = v.Physical
			}
		}
		values := map[string]float64{}
		for name, number := range line.Signals {
			if values[name], err = number.Float64(); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(want, values); diff != "" {
			t.Errorf("frame %d (-want +got):\n%s", i, diff)
		}
	}
}

// nanoseconds reads a decimal exactly.
func nanoseconds(t testing.TB, text json.Number) int64 {
	t.Helper()
	seconds, fraction, _ := strings.Cut(string(text), ".")
	if strings.HasSuffix(fraction, "0") || len(fraction) > 9 {
		t.Errorf("time %s: unneeded digits", text)
	}
	n, err := strconv.ParseInt(seconds+(fraction + "000000000")[:9], 10, 64)
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestDecodeTextReadsBack reads the part of the lines that candump would have
// printed.
func TestDecodeTextReadsBack(t *testing.T) {
	want, wantBuses := readLog(t, driveLog)
	for i := range want {
		want[i].Flags &^= can.Sent | can.BRS | can.ESI // candump -x only
	}
	text := milepost(nil, "decode", carDBC, driveLog).stdout
	var plain strings.Builder
	for line := range strings.Lines(text) {
		frame, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " :: ")
		plain.WriteString(frame + "\n")
	}
	got, gotBuses := readSource(t, strings.NewReader(plain.String()))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantBuses, gotBuses); diff != "" {
		t.Errorf("buses (-want +got):\n%s", diff)
	}
}

func readLog(t testing.TB, path string) ([]can.Frame, []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return readSource(t, file)
}

func readSource(t testing.TB, r io.Reader) (all []can.Frame, buses []string) {
	t.Helper()
	log, err := canlog.NewReader("log", r, canlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		frames := make([]can.Frame, 16)
		n, err := log.Read(frames)
		for _, f := range frames[:n] {
			clear(f.Data[len(f.Payload()):]) // unspecified
			all = append(all, f)
		}
		if err == io.EOF {
			return all, log.Buses()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDecodeLive types frames into a pipe: each must be printed before the next
// one is there.
func TestDecodeLive(t *testing.T) {
	stdin, keyboard := io.Pipe()
	screen, stdout := io.Pipe()
	inv := &invocation{args: []string{"decode", carDBC}, stdin: stdin, stdout: stdout, stderr: io.Discard}
	code := make(chan int)
	go func() {
		code <- inv.run(context.Background())
		stdout.Close()
	}()
	lines := bufio.NewReader(screen)
	for _, c := range [...]struct{ typed, want string }{
		{"  vcan0  103   [0] \n", "  vcan0  103   [0]                          :: Ping()\n"},
		{"  vcan0  7FF   [2]  01 02\n", "  vcan0  7FF   [2]  01 02\n"},
		{"  vcan0  101   [4]  00 E8 03 07\n", "  vcan0  101   [4]  00 E8 03 07             :: Diagnosis(Page: 0, Voltage: 1 V, Status: 7)\n"},
	} {
		if _, err := io.WriteString(keyboard, c.typed); err != nil {
			t.Fatal(err)
		}
		got, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("typed %q\n got %q\nwant %q", c.typed, got, c.want)
		}
	}
	keyboard.Close()
	if c := <-code; c != exitDone {
		t.Errorf("exit code %d", c)
	}
}

// TestDecodeInterrupted ends a run that waits for input.
func TestDecodeInterrupted(t *testing.T) {
	stdin, keyboard := io.Pipe()
	defer keyboard.Close()
	ctx, cancel := context.WithCancel(t.Context())
	typed := make(chan error)
	go func() {
		_, err := io.WriteString(keyboard, "(1.5) can0 103#\n")
		typed <- err
	}()
	screen, stdout := io.Pipe()
	ended := make(chan int)
	go func() {
		inv := &invocation{args: []string{"decode", carDBC}, stdin: stdin, stdout: stdout, stderr: io.Discard}
		ended <- inv.run(ctx)
	}()
	if _, err := bufio.NewReader(screen).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := <-typed; err != nil {
		t.Fatal(err)
	}
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestDecodeClosedPipe has a reader that goes away, like head.
func TestDecodeClosedPipe(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	var stderr bytes.Buffer
	inv := &invocation{args: []string{"decode", carDBC, driveLog}, stdin: strings.NewReader(""), stdout: write, stderr: &stderr}
	if code := inv.run(t.Context()); code != exitDone || strings.Contains(stderr.String(), "pipe") {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestDecodeFullDisk(t *testing.T) {
	var stderr bytes.Buffer
	inv := &invocation{args: []string{"decode", carDBC, driveLog}, stdin: strings.NewReader(""), stdout: fullDisk{}, stderr: &stderr}
	code := inv.run(t.Context())
	if want := "milepost decode: write the decoded frames: no space left on device\n"; code != exitFailed || !strings.HasSuffix(stderr.String(), want) {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}

func TestDecodeFailures(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.log")
	for _, c := range [...]struct {
		name  string
		stdin string
		args  []string
		code  int
		want  []string // in stderr
	}{
		{"no database", "", []string{driveLog}, exitUsage, []string{"no database: name a DBC file", "usage: milepost decode"}},
		{"bad format", "", []string{carDBC, "--format", "xml"}, exitUsage, []string{"--format xml: use text or jsonl"}},
		{"bad match", "", []string{carDBC, "--match", "pgn"}, exitUsage, []string{"use auto, exact or j1939"}},
		{"bad not-available", "", []string{carDBC, "--not-available", "drop"}, exitUsage, []string{"use missing or keep"}},
		{"database absent", "", []string{"absent.dbc"}, exitFailed, []string{"absent.dbc: no such file"}},
		{"log absent", "", []string{carDBC, missing}, exitFailed, []string{"missing.log: no such file"}},
		{"one log of two absent", "", []string{carDBC, missing, driveLog}, exitFailed, []string{"missing.log: no such file"}},
		{"a database as log", "VERSION \"\"\n", []string{carDBC}, exitFailed, []string{"stdin: not a known CAN log, it looks like a DBC file"}},
		{"empty", "", []string{carDBC}, exitFailed, []string{"stdin: none of its 0 lines is a CAN frame"}},
		{"only comments", "# one\n# two\n", []string{carDBC}, exitFailed, []string{"stdin: none of its 2 lines is a CAN frame"}},
		{"only bad frames", "(1.0) can0 1#\n", []string{carDBC}, exitFailed, []string{"stdin:1: the ID has", "none of its 1 line is"}},
		{"damaged gzip", "\x1f\x8b\x08\x00garbage", []string{carDBC}, exitFailed, []string{"stdin: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := milepost(strings.NewReader(c.stdin), append([]string{"decode"}, c.args...)...)
			if got.code != c.code {
				t.Errorf("exit code %d, want %d", got.code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("stderr lacks %q:\n%s", want, got.stderr)
				}
			}
			if c.name == "one log of two absent" && !strings.Contains(got.stdout, "Engine") {
				t.Error("the other log was not decoded")
			}
		})
	}
}

// TestDecodeManyProblems checks that a log of garbage does not flood stderr.
func TestDecodeManyProblems(t *testing.T) {
	log := "(1.0) can0 103#\n" + strings.Repeat("garbage\n", 1000)
	got := milepost(strings.NewReader(log), "decode", carDBC)
	lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
	if len(lines) != mostProblems+2 || lines[len(lines)-1] != "stdin: 1000 of 1001 lines left out as senseless" {
		t.Errorf("stderr:\n%s", got.stderr)
	}
}

// TestDecodeDatabaseNotes checks what is said about faulty databases.
func TestDecodeDatabaseNotes(t *testing.T) {
	got := milepost(strings.NewReader("(1.0) can0 100#\n"), "decode", carDBC, "testdata/other.dbc", "testdata/faulty.dbc")
	for _, want := range []string{
		"testdata/faulty.dbc: 7 problems, `milepost lint testdata/faulty.dbc` lists them\n", // 6 of its own, 1 conflict
		"testdata/other.dbc: 1 problem, ",
	} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, got.stderr)
		}
	}
}

// TestDecodeAllocations checks that a frame costs no memory.
func TestDecodeAllocations(t *testing.T) {
	frames, buses := readLog(t, driveLog)
	db, err := readDatabase(carDBC)
	if err != nil {
		t.Fatal(err)
	}
	decoder := dbc.Compile([]*dbc.Database{db}, dbc.Options{})
	var streams []*decodedStream
	for i := range frames {
		f := &frames[i]
		s := &decodedStream{bus: []byte(buses[f.Bus]), jsonBus: quoted(buses[f.Bus])}
		if plan := decoder.Lookup(f.ID, f.Is(can.Extended)); plan != nil {
			s.message = newDecodedMessage(plan)
		}
		streams = append(streams, s)
	}
	for name, printer := range map[string]framePrinter{"text": &textPrinter{}, "jsonl": &jsonPrinter{}} {
		t.Run(name, func(t *testing.T) {
			printer.begin(true, buses)
			var line []byte
			print := func() {
				for i := range frames {
					line = printer.append(line[:0], &frames[i], streams[i])
				}
			}
			print()
			if n := testing.AllocsPerRun(100, print); n > 0 {
				t.Errorf("%v allocations in %d frames", n, len(frames))
			}
		})
	}
}

// TestDecodeHostileNames checks that names, units and texts of a file cannot
// break the lines.
func TestDecodeHostileNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hostile.dbc")
	text := "VERSION \"\"\nBO_ 1 M: 1 E\n SG_ S : 0|8@1+ (1,0) [0|0] \"\x1b[2J\\\"\n\" E\n\nVAL_ 1 S 1 \"a\nb\x07\" ;\n"
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	const log = "(1.0) can0 001#01\n"
	got := milepost(strings.NewReader(log), "decode", path)
	if strings.Count(got.stdout, "\n") != 1 || strings.ContainsAny(got.stdout, "\x1b\x07") {
		t.Errorf("printed %q", got.stdout)
	}
	parseLines(t, milepost(strings.NewReader(log), "decode", path, "--format=jsonl").stdout)
}

func FuzzDecode(f *testing.F) {
	car, err := os.ReadFile(carDBC)
	if err != nil {
		f.Fatal(err)
	}
	drive, err := os.ReadFile(driveLog)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(car, drive)
	f.Add([]byte("BO_ 1 M: 1 E\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" E\n"), []byte("(1.0) can0 001#01\n"))
	f.Fuzz(func(t *testing.T, database, log []byte) {
		db, err := dbc.Parse("fuzz.dbc", database)
		if err != nil {
			return
		}
		bindings := gateway.NewBindings(dbc.Compile([]*dbc.Database{db}, dbc.Options{}), nil)
		decode := func(format string) (stdout string, failed bool) {
			var out bytes.Buffer
			inv := &invocation{stdin: bytes.NewReader(log), stdout: &out, stderr: io.Discard}
			d, err := newDecoding(inv, format)
			if err != nil {
				t.Fatal(err)
			}
			d.bindings = bindings
			err = d.log(t.Context(), "-")
			return out.String(), err != nil
		}
		object, objectFailed := decode("jsonl")
		text, textFailed := decode("text")
		lines := parseLines(t, object)
		if n := strings.Count(text, "\n"); n != len(lines) {
			t.Errorf("%d lines of text, %d of JSON", n, len(lines))
		}
		if objectFailed != textFailed {
			t.Errorf("text failed: %v, JSON failed: %v", textFailed, objectFailed)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	frames, buses := readLog(b, driveLog)
	db, err := readDatabase(carDBC)
	if err != nil {
		b.Fatal(err)
	}
	message := newDecodedMessage(dbc.Compile([]*dbc.Database{db}, dbc.Options{}).Lookup(0x100, false))
	f := &frames[slices.IndexFunc(frames, func(f can.Frame) bool { return f.ID == 0x100 && f.Len == 8 })]
	s := &decodedStream{bus: []byte(buses[0]), jsonBus: quoted(buses[0]), message: message}
	for name, printer := range map[string]framePrinter{"text": &textPrinter{timed: true}, "jsonl": &jsonPrinter{}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var line []byte
			for b.Loop() {
				line = printer.append(line[:0], f, s)
			}
			b.SetBytes(int64(len(line)))
		})
	}
}
