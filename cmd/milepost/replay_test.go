package main

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"milepost/uplink"
)

// replayed runs milepost replay, which has to succeed, and gives its output.
func replayed(t testing.TB, stdin io.Reader, args ...string) string {
	t.Helper()
	got := milepost(stdin, append([]string{"replay", "--quiet"}, args...)...)
	if got.code != exitDone {
		t.Fatalf("replay %q: exit code %d: %s", args, got.code, got.stderr)
	}
	return got.stdout
}

// equalText compares texts that are too long to be shown.
func equalText(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		n := commonPrefix(got, want)
		t.Errorf("%s: %d bytes, want %d; from byte %d on %.200q, want %.200q", what, len(got), len(want), n, got[n:], want[n:])
	}
}

// TestReplayReference compares the command's CSV of real drives with what
// cantools computed. (Package gateway's test of the same compares every column.)
func TestReplayReference(t *testing.T) {
	for _, file := range []string{"comma2k19_rav4.log.gz", "kuksa_dogmode.log"} {
		pair, _, _ := strings.Cut(file, ".")
		t.Run(pair, func(t *testing.T) {
			log := sharedData(t, "logs/candump/"+file)
			args := []string{"--to", "csv", "--not-available", "keep", "--match", "exact"}
			for bus, files := range databasesOf(t, "reference/agg/"+pair+".summary.json") {
				for _, file := range files {
					argument := sharedData(t, file)
					if bus != "*" {
						argument = bus + "=" + argument
					}
					args = append(args, "--dbc", argument)
				}
			}
			out := filepath.Join(t.TempDir(), "out.csv")
			replayed(t, nil, append(args, "-o", out, log)...)
			got := readFile(t, filepath.Dir(out), "out.csv")
			equalText(t, "on the standard output", replayed(t, nil, append(args, log)...), got)
			for _, workers := range []string{"1", "2", "5"} {
				equalText(t, workers+" workers", replayed(t, nil, append(args, "--workers", workers, log)...), got)
			}
			file, err := os.Open(log)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			equalText(t, "from the standard input", replayed(t, file, append(args, "-")...), got)
			compareCounts(t, got, pair)
		})
	}
}

// compareCounts compares counts, minima and maxima with the reference.
func compareCounts(t *testing.T, got, pair string) {
	rows := func(text io.Reader) [][]string {
		all, err := csv.NewReader(text).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return all[1:]
	}
	number := func(text string, base int) any {
		if base == 16 {
			n, _ := strconv.ParseUint(text, 16, 32)
			return n
		}
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	var have, want []string
	for _, r := range rows(strings.NewReader(got)) {
		have = append(have, fmt.Sprintln(r[0], r[1], number(r[2], 16), len(r[2]) == 8, r[3], r[4], r[6], number(r[7], 10), number(r[8], 10)))
	}
	var file *os.File
	for _, kind := range []string{"tolerant", "strict"} {
		name := filepath.Join(filepath.Dir(sharedData(t, "reference/agg/"+pair+".summary.json")), pair+".signals."+kind+".csv.gz")
		var err error
		if file, err = os.Open(name); err == nil {
			break
		}
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows(unzipped) {
		want = append(want, fmt.Sprintln(r[0], r[1], number(r[2], 16), r[3] == "1", r[4], r[5], r[6], number(r[7], 10), number(r[8], 10)))
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("%d rows differ from the reference's %d: %s", len(have), len(want), cmp.Diff(want[:min(len(want), 2000)], have[:min(len(have), 2000)]))
	}
}

// TestReplayForms reads one drive in every way there is; all give the same.
func TestReplayForms(t *testing.T) {
	log, database := shortDrive(t)
	dir := t.TempDir()
	text := readFile(t, filepath.Dir(log), filepath.Base(log))
	zipped := gzipped(t, text)
	packed := writeFile(t, dir, "drive.log.gz", zipped)
	half := strings.LastIndex(text[:len(text)/2], "\n") + 1
	first, second := writeFile(t, dir, "1.log", text[:half]), writeFile(t, dir, "2.log", text[half:])
	windows := writeFile(t, dir, "crlf.log", strings.ReplaceAll(text, "\n", "\r\n"))

	for _, to := range []string{"csv", "jsonl"} {
		args := []string{"--dbc", database, "--to", to}
		want := replayed(t, nil, append(args, log)...)
		for what, c := range map[string]struct {
			stdin io.Reader
			args  []string
		}{
			"again":               {nil, []string{log}},
			"one worker":          {nil, []string{"--workers", "1", log}},
			"a worker too many":   {nil, []string{"--workers", "7", log}},
			"packed":              {nil, []string{packed}},
			"CR LF":               {nil, []string{windows}},
			"standard input":      {strings.NewReader(text), []string{"-"}},
			"packed, on stdin":    {strings.NewReader(zipped), []string{"-"}},
			"in two logs":         {nil, []string{second, first}},
			"twice":               {nil, []string{log, packed}},
			"paced":               {nil, []string{"--speed", "100x", log}},
			"paced, with a spool": {nil, []string{"--speed", "200", "--spool", filepath.Join(dir, to), log}},
			"of two databases":    {nil, []string{"--dbc", "can1=" + database, log}},
			"flags behind":        {nil, []string{log, "--match", "exact"}},
		} {
			got := replayed(t, c.stdin, append(args, c.args...)...)
			if to == "jsonl" { // the boot ID is a hash of the logs and options
				got = sameBoot(t, got, want)
			}
			equalText(t, to+" "+what, got, want)
		}
	}
}

// sameBoot puts the boot ID of want's first record into all of got.
func sameBoot(t *testing.T, got, want string) string {
	return strings.ReplaceAll(got, recordKey(t, firstLine(got)).Boot, recordKey(t, firstLine(want)).Boot)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// TestReplayJSON reads what --to jsonl writes with package uplink's own reader
// and compares it with the CSV.
func TestReplayJSON(t *testing.T) {
	log, database := shortDrive(t)
	rows := strings.Split(strings.TrimSuffix(replayed(t, nil, "--dbc", database, "--to", "csv", log), "\n"), "\n")
	lines := strings.Split(strings.TrimSuffix(replayed(t, nil, "--dbc", database, "--to", "jsonl", "--device", "car 1", log), "\n"), "\n")
	if rows[0] != uplink.CSVHeader {
		t.Errorf("the header is %s", rows[0])
	}
	if len(rows)-1 != len(lines) {
		t.Fatalf("%d rows for %d records", len(rows)-1, len(lines))
	}
	for i, line := range lines {
		r, err := uplink.DecodeJSON([]byte(line))
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		if r.Device != "car 1" || r.Sequence != uint64(i+1) {
			t.Fatalf("record %d has the key %s", i+1, r.Key())
		}
		if row := string(uplink.AppendCSV(nil, &r)); row != rows[i+1] {
			t.Fatalf("record %d is %s, its row %s", i+1, row, rows[i+1])
		}
	}
}

// TestReplayConfig has sinks in a configuration, and flags that override it.
func TestReplayConfig(t *testing.T) {
	log, database := shortDrive(t)
	dir := t.TempDir()
	writeFile(t, dir, "demo.dbc", readFile(t, filepath.Dir(database), "demo.dbc"))
	config := writeFile(t, dir, "milepost.yaml", `
device: car
window: 2s
dbc: [demo.dbc]
dedup:
  exception: {enabled: false}
sinks:
  - {name: rows, type: file, path: rows.csv, format: csv}
  - {name: objects, type: file, path: objects.jsonl, format: jsonl}
`)
	replayed(t, nil, "--config", config, log)
	args := []string{"--dbc", database, "--window", "2s", "--device", "car"}
	equalText(t, "rows", readFile(t, dir, "rows.csv"), replayed(t, nil, append(args, "--to", "csv", log)...))
	want := replayed(t, nil, append(args, "--to", "jsonl", log)...)
	equalText(t, "objects", sameBoot(t, readFile(t, dir, "objects.jsonl"), want), want)

	// A file of the configuration is appended to, one of -o is not.
	before := readFile(t, dir, "rows.csv")
	replayed(t, nil, "--config", config, log)
	equalText(t, "appended", readFile(t, dir, "rows.csv"), before+before[len(uplink.CSVHeader)+1:])
	out := filepath.Join(dir, "out.csv")
	for range 2 {
		replayed(t, nil, "--config", config, "--window", "1s", "--to", "csv", "-o", out, log)
	}
	equalText(t, "flags over the configuration", readFile(t, dir, "out.csv"), replayed(t, nil, "--dbc", database, "--to", "csv", log))
}

// TestReplayTable shows a drive on a terminal that is none.
func TestReplayTable(t *testing.T) {
	log, database := shortDrive(t)
	got := milepost(nil, "replay", "--dbc", database, log)
	if got.code != exitDone || got.stderr != "" {
		t.Fatalf("exit code %d, stderr %q", got.code, got.stderr)
	}
	for _, want := range []string{"can0 0A0 EngineSpeedTorque", "rpm", "41,428  frames in", "10s of driving", "the ledger balances"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	if got := milepost(nil, "replay", log); got.code != exitDone || !strings.Contains(got.stdout, "--dbc FILE") {
		t.Errorf("without a database: exit code %d, %s", got.code, got.stdout)
	}
}

// TestReplayClosedPipe has a reader that has seen enough after a line.
func TestReplayClosedPipe(t *testing.T) {
	log, database := longDrive(t)
	for _, args := range [][]string{{}, {"--to", "csv"}, {"--to", "jsonl", "--spool", filepath.Join(t.TempDir(), "spool")}} {
		command, _, stderr := process(t, append([]string{"replay", "--dbc", database, log}, args...)...)
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		command.Stdout = write
		read.Close()
		start(t, command)
		write.Close()
		if code := exitCode(t, command); code != exitDone || stderr.Len() > 0 {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr)
		}
	}
}

// TestReplayInterrupted interrupts a paced replay and goes on at full speed.
func TestReplayInterrupted(t *testing.T) {
	log, database := shortDrive(t)
	dir := t.TempDir()
	spool, out := filepath.Join(dir, "spool"), filepath.Join(dir, "out.csv")
	args := []string{"replay", "--dbc", database, "--to", "csv", "-o", out, "--spool", spool, log}
	command, _, stderr := process(t, append(args, "--speed", "2")...)
	start(t, command)
	waitForFile(t, out, command)
	command.Process.Signal(syscall.SIGINT)
	if code := exitCode(t, command); code != exitFailed || !strings.Contains(stderr.String(), "--resume") || !strings.Contains(stderr.String(), spool) {
		t.Errorf("exit code %d, stderr %s", code, stderr)
	}
	if strings.Contains(stderr.String(), "does not balance") {
		t.Errorf("stderr %s", stderr)
	}
	if got := milepost(nil, append(args, "--resume")...); got.code != exitDone {
		t.Fatalf("exit code %d, stderr %s", got.code, got.stderr)
	}
	want := replayed(t, nil, "--dbc", database, "--to", "csv", log)
	equalText(t, "resumed", readFile(t, dir, "out.csv"), want)

	// Once more, when all is done already.
	if got := milepost(nil, append(args, "--resume")...); got.code != exitDone {
		t.Fatalf("exit code %d, stderr %s", got.code, got.stderr)
	}
	equalText(t, "resumed again", readFile(t, dir, "out.csv"), want)
}

// waitForFile waits until a process has written to a file.
func waitForFile(t testing.TB, path string, command *exec.Cmd) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing is written to %s: %s", path, command.Stderr)
		}
	}
}
