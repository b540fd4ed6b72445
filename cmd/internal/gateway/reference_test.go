package gateway

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"milepost/can"
	"milepost/can/dbc"
	"milepost/cmd/internal/config"
)

// sharedData is the folder of real logs and independent answers beside the
// project; tests that need it skip where it is absent.
func sharedData(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../../shared/data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("needs the real logs and reference answers in ../shared/data beside the project, which are not there")
	}
	return dir
}

// referencePair is a drive with its databases and the answers to it.
type referencePair struct {
	Log  string
	DBC  map[string][]struct{ File string }
	Mode string
}

func readPair(t *testing.T, data, name string) (pair referencePair, databases Databases) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "reference/agg", name+".summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &pair); err != nil {
		t.Fatal(err)
	}
	databases = Databases{}
	for bus, files := range pair.DBC {
		bus = strings.TrimPrefix(bus, "*")
		for _, f := range files {
			databases[bus] = append(databases[bus], filepath.Join(data, strings.TrimPrefix(f.File, "dev/")))
		}
	}
	return pair, databases
}

// TestRealDrives compares whole replays with what cantools and python-can
// computed: counts exactly, minimum, maximum, first and last bit for bit, sums
// within 1e-9.
func TestRealDrives(t *testing.T) {
	data := sharedData(t)
	for _, name := range []string{"comma2k19_rav4", "kuksa_dogmode"} {
		t.Run(name, func(t *testing.T) {
			pair, databases := readPair(t, data, name)
			for _, workers := range []int{1, 2} {
				got := replayToCSV(t, filepath.Join(data, pair.Log), databases, dbc.MatchAuto, workers)
				compareWithReference(t, filepath.Join(data, "reference/agg", name), got)
			}
		})
	}
}

// TestRealDrivesOfOtherFormats does the same with drives that were recorded in
// formats that are not read yet, from the frames that their reference readers
// found: J1939, NMEA 2000 and OBD-II vehicles.
func TestRealDrivesOfOtherFormats(t *testing.T) {
	data := sharedData(t)
	for _, name := range []string{"canboat_PCAN-View", "canboat_can0-2", "css_j1939_gps_11111111", "css_nmea2000_02", "css_obd2_gps_164_05"} {
		t.Run(name, func(t *testing.T) {
			pair, databases := readPair(t, data, name)
			log := candumpOf(t, filepath.Join(data, "reference/frames", strings.TrimPrefix(pair.Log, "logs/")+".csv.gz"))
			match := dbc.MatchExact
			if pair.Mode == "j1939" {
				match = dbc.MatchJ1939
			}
			got := replayToCSV(t, log, databases, match, 2)
			compareWithReference(t, filepath.Join(data, "reference/agg", name), got)
		})
	}
}

// candumpOf writes the frames of a reference file as a candump log.
func candumpOf(t *testing.T, path string) string {
	t.Helper()
	rows := readCSV(t, path)
	var log bytes.Buffer
	for _, row := range rows[1:] {
		// idx,timestamp,channel,id,ext,rtr,err,fd,brs,esi,dlc,data,rx
		if row[5] == "1" || row[6] == "1" {
			continue
		}
		mark := "#"
		if row[7] == "1" {
			mark = "##4"
		}
		seconds, fraction, _ := strings.Cut(row[1], ".")
		fmt.Fprintf(&log, "(%010s.%-6s) %s %s%s%s\n", seconds, strings.ReplaceAll(fmt.Sprintf("%-6s", fraction), " ", "0"), cmp.Or(row[2], "can0"), hexID(t, row[3], row[4] == "1"), mark, row[11])
	}
	out := filepath.Join(t.TempDir(), "drive.log")
	if err := os.WriteFile(out, log.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(unzipped).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// hexID writes an ID as logs and our CSV do.
func hexID(t *testing.T, hex string, extended bool) string {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	return can.FormatID(uint32(n), extended)
}

func replayToCSV(t *testing.T, log string, databases Databases, match dbc.Match, workers int) []byte {
	t.Helper()
	bindings, err := databases.Bind(dbc.Options{Match: match, KeepNotAvailable: true}, func(dbc.Problem) {})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := &Replay{
		Options: DefaultOptions(), Bindings: bindings, Logs: []string{log}, Device: "test",
		Targets: func(TargetOptions, func(string) []byte) ([]Target, error) {
			target, err := NewTarget(&config.Sink{Name: "csv", Type: config.SinkFile, Format: config.FormatCSV, Path: "-"}, TargetOptions{Stdout: &out, Anew: true})
			return []Target{target}, err
		},
	}
	r.Workers = workers
	result, err := r.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := result.Deliveries[0].Sent, result.Ledger.Records; got != want {
		t.Fatalf("%d records delivered of %d", got, want)
	}
	return out.Bytes()
}

func compareWithReference(t *testing.T, stem string, got []byte) {
	t.Helper()
	answers := stem + ".signals.tolerant.csv.gz"
	if _, err := os.Stat(answers); err != nil {
		answers = stem + ".signals.strict.csv.gz"
	}
	wantRows := readCSV(t, answers)
	gotRows, err := csv.NewReader(bytes.NewReader(got)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if header := strings.Join(gotRows[0], ","); header != "window,bus,id,message,signal,unit,count,min,max,avg,sum,first,last" {
		t.Fatalf("header %s", header)
	}
	have := make(map[string][]string)
	for _, row := range gotRows[1:] {
		have[strings.Join([]string{row[0], row[1], row[2], row[3], row[4]}, " ")] = row
	}
	if len(have) != len(gotRows)-1 {
		t.Errorf("%d rows, but %d keys", len(gotRows)-1, len(have))
	}
	bad, compared := 0, 0
	for _, want := range wantRows[1:] {
		// window,channel,id,ext,message,signal,count,min,max,sum,mean,first,last
		key := strings.Join([]string{want[0], cmp.Or(want[1], "can0"), hexID(t, want[2], want[3] == "1"), want[4], want[5]}, " ")
		row, ok := have[key]
		if !ok {
			if bad++; bad < 10 {
				t.Errorf("missing: %s", key)
			}
			continue
		}
		delete(have, key)
		compared++
		problem := ""
		if row[6] != want[6] {
			problem = fmt.Sprintf("count %s, want %s", row[6], want[6])
		}
		for _, c := range []struct{ name, got, want string }{{"min", row[7], want[7]}, {"max", row[8], want[8]}, {"first", row[11], want[11]}, {"last", row[12], want[12]}} {
			if number(t, c.got) != number(t, c.want) {
				problem += fmt.Sprintf(" %s %s, want %s", c.name, c.got, c.want)
			}
		}
		sum, wantSum := number(t, row[10]), number(t, want[9])
		// Where values of both signs cancel, what is left of the reference's sum is
		// the rounding of its order of addition.
		largest := max(math.Abs(number(t, row[7])), math.Abs(number(t, row[8]))) * number(t, row[6])
		if off := math.Abs(sum - wantSum); off > 1e-9*math.Abs(wantSum) && off > 1e-15*largest {
			problem += fmt.Sprintf(" sum %s, want %s", row[10], want[9])
		}
		if problem != "" {
			if bad++; bad < 10 {
				t.Errorf("%s: %s", key, problem)
			}
		}
	}
	for key := range have {
		if bad++; bad < 20 {
			t.Errorf("not in the reference: %s", key)
		}
	}
	t.Logf("%s: %d rows compared, %d differ", filepath.Base(stem), compared, bad)
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
