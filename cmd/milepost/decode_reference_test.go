package main

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"milepost/can"
)

// sharedData gives the path of a file of real data, which lies beside the
// project, and skips the test where there is none.
func sharedData(t *testing.T, path string) string {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(root)
		if parent == root {
			t.Fatal("no go.mod above")
		}
		root = parent
	}
	full := filepath.Join(root, "..", "shared", "data", path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("the real data is not here, so nothing is compared with it: %v", err)
	}
	return full
}

// TestDecodeReference compares every value with what cantools decoded from a
// real drive.
func TestDecodeReference(t *testing.T) {
	log := sharedData(t, "logs/derived/comma2k19_6k.log")
	args := []string{"decode", "--format=jsonl", log}
	for bus, files := range databasesOf(t, "reference/agg/comma2k19_rav4.summary.json") {
		for _, file := range files {
			args = append(args, "--dbc", bus+"="+sharedData(t, file))
		}
	}
	got := milepost(nil, args...)
	if got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	lines := parseLines(t, got.stdout)
	frames, _ := readLog(t, log)
	if len(frames) != len(lines) {
		t.Fatalf("%d lines for %d frames", len(lines), len(frames))
	}

	want := referenceValues(t, "reference/decoded/comma2k19_6k.csv.gz")
	compared, beyond := 0, 0
	for i, line := range lines {
		if at := nanoseconds(t, line.Time); at != frames[i].Time {
			t.Errorf("line %d: time %s, want %d ns", i, line.Time, frames[i].Time)
		}
		reference := want[i]
		if reference == nil {
			// What cantools refuses altogether, milepost decodes as far as it goes.
			beyond += len(line.Signals)
			continue
		}
		id := can.FormatID(reference.id, frames[i].Is(can.Extended))
		if line.Message == nil || *line.Message != reference.message || line.Bus != reference.bus || line.ID != id {
			t.Errorf("line %d: got %s %s %v, want %s %s %s", i, line.Bus, line.ID, line.Message, reference.bus, id, reference.message)
		}
		if len(line.Signals) != len(reference.values) {
			t.Errorf("line %d: %d signals, want %d", i, len(line.Signals), len(reference.values))
		}
		for name, value := range reference.values {
			number, err := line.Signals[name].Float64()
			if err != nil || number != value {
				t.Errorf("line %d: %s is %q, want %v", i, name, line.Signals[name], value)
			}
			compared++
		}
	}
	t.Logf("%d values are equal; %d more are of frames that cantools refuses", compared, beyond)
	if compared < 20000 {
		t.Errorf("only %d values compared", compared)
	}
}

// databasesOf reads which databases belong to which bus.
func databasesOf(t *testing.T, path string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(sharedData(t, path))
	if err != nil {
		t.Fatal(err)
	}
	var summary struct {
		DBC map[string][]struct{ File string }
	}
	if err := json.Unmarshal(text, &summary); err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]string)
	for bus, dbcs := range summary.DBC {
		for _, dbc := range dbcs {
			path, err := filepath.Rel("dev", dbc.File)
			if err != nil {
				t.Fatal(err)
			}
			files[bus] = append(files[bus], path)
		}
	}
	return files
}

// referenceFrame is what cantools made of a frame.
type referenceFrame struct {
	bus, message string
	id           uint32
	values       map[string]float64
}

// referenceValues reads a table with the columns idx, timestamp, channel, id,
// message, signal, value.
func referenceValues(t *testing.T, path string) map[int]*referenceFrame {
	t.Helper()
	file, err := os.Open(sharedData(t, path))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(text)
	if _, err := rows.Read(); err != nil {
		t.Fatal(err)
	}
	frames := make(map[int]*referenceFrame)
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		if row[5] == "__error__" {
			continue // cantools refused the frame
		}
		index, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		value, err := strconv.ParseFloat(row[6], 64)
		if err != nil {
			t.Fatal(err)
		}
		f := frames[index]
		if f == nil {
			f = &referenceFrame{bus: row[2], message: row[4], values: make(map[string]float64)}
			if _, err := fmt.Sscanf(row[3], "%X", &f.id); err != nil {
				t.Fatal(err)
			}
			frames[index] = f
		}
		f.values[row[5]] = value
	}
}
