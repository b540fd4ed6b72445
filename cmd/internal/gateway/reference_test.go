package gateway

import (
	"bytes"
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

// TestRealDrives compares whole replays with what cantools and python-can
// computed: counts exactly, minimum, maximum, first and last bit for bit, sums
// within 1e-9.
func TestRealDrives(t *testing.T) {
	data := sharedData(t)
	for _, pair := range []string{"comma2k19_rav4", "kuksa_dogmode"} {
		t.Run(pair, func(t *testing.T) {
			var summary struct {
				Log  string
				DBC  map[string][]struct{ File string }
				Mode string
			}
			text, err := os.ReadFile(filepath.Join(data, "reference/agg", pair+".summary.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &summary); err != nil {
				t.Fatal(err)
			}
			databases := Databases{}
			for bus, files := range summary.DBC {
				for _, f := range files {
					databases[strings.TrimPrefix(bus, "*")] = append(databases[strings.TrimPrefix(bus, "*")], filepath.Join(data, strings.TrimPrefix(f.File, "dev/")))
				}
			}
			for _, workers := range []int{1, 2} {
				got := replayToCSV(t, filepath.Join(data, summary.Log), databases, workers)
				compareWithReference(t, filepath.Join(data, "reference/agg", pair), got)
			}
		})
	}
}

func replayToCSV(t *testing.T, log string, databases Databases, workers int) []byte {
	t.Helper()
	bindings, err := databases.Bind(dbc.Options{KeepNotAvailable: true}, func(dbc.Problem) {})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := &Replay{
		Options: DefaultOptions(), Bindings: bindings, Logs: []string{log}, Device: "test",
		Targets: func(func(string) []byte) ([]Target, error) {
			target, err := NewTarget(&config.Sink{Name: "csv", Type: config.SinkFile, Format: config.FormatCSV, Path: "-"}, &out, nil, true)
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
	file, err := os.Open(stem + ".signals.tolerant.csv.gz")
	if err != nil {
		if file, err = os.Open(stem + ".signals.strict.csv.gz"); err != nil {
			t.Fatal(err)
		}
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	wantRows, err := csv.NewReader(unzipped).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	gotRows, err := csv.NewReader(bytes.NewReader(got)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if header := strings.Join(gotRows[0], ","); header != "window,bus,id,message,signal,unit,count,min,max,avg,sum,first,last" {
		t.Fatalf("header %s", header)
	}
	id := func(hex string, extended bool) string {
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		if extended {
			return fmt.Sprintf("%08X", n)
		}
		return fmt.Sprintf("%03X", n)
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
		key := strings.Join([]string{want[0], want[1], id(want[2], want[3] == "1"), want[4], want[5]}, " ")
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
