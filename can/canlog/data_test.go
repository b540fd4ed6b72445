package canlog

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"milepost/can"
)

// testData returns a path below the collection of real logs, which is not part
// of the project.
func testData(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
	path := filepath.Join(dir, "..", "shared", "data", name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skipf("the collection of real logs is not here (%s)", path)
	}
	return path
}

var (
	_ can.Source = (*Log)(nil)
	_ can.Source = (*Text)(nil)
	_ can.Source = (*Merge)(nil)
	_ can.Source = (*Replayer)(nil)
)

// named is a frame with the name of its bus: what a log says, without the
// numbers a reader gives.
type named struct {
	Time   int64
	Bus    string
	ID     uint32
	Flags  can.Flags
	Len    uint8
	RawDLC uint8
	Data   string // hex digits
}

func name(f *can.Frame, buses []string) named {
	return named{f.Time, buses[f.Bus], f.ID, f.Flags, f.Len, f.RawDLC, hex.EncodeToString(f.Payload())}
}

// readAll reads all frames and checks what every Source promises.
func readAll(t testing.TB, source can.Source) []named {
	t.Helper()
	frames, err := readChecked(t, source, 200)
	if err != io.EOF {
		t.Fatalf("Read: %v", err)
	}
	return frames
}

func readChecked(t testing.TB, source can.Source, batchSize int) ([]named, error) {
	t.Helper()
	var all []named
	var numbers can.Streams
	batch := make([]can.Frame, batchSize)
	for {
		for i := range batch { // what a Source leaves behind must not matter
			batch[i].Data = [can.MaxDataLen]byte{0: 0xEE, 7: 0xEE, 8: 0xEE, 15: 0xEE, 63: 0xEE}
		}
		n, err := source.Read(batch)
		if n == 0 && err == nil {
			t.Fatal("Read gives neither frames nor an error")
		}
		if n > 0 && err == io.EOF {
			t.Fatal("frames with io.EOF")
		}
		buses := source.Buses()
		for i := range batch[:n] {
			f := &batch[i]
			if int(f.Bus) >= len(buses) {
				t.Fatalf("frame %d: bus %d of %d", len(all), f.Bus, len(buses))
			}
			for k := int(f.Len); k < max(8, (int(f.Len)+7)&^7); k++ {
				if f.Data[k] != 0 {
					t.Fatalf("frame %d: data byte %d behind the payload is not 0", len(all), k)
				}
			}
			if f.Flags&(can.Remote|can.Error) != 0 {
				if f.Stream != can.NoStream {
					t.Fatalf("frame %d: a remote or error frame has a stream", len(all))
				}
			} else {
				if want := numbers.Number(f.Bus, f.ID, f.Is(can.Extended)); f.Stream != want {
					t.Fatalf("frame %d: stream %d, want %d", len(all), f.Stream, want)
				}
			}
			all = append(all, name(f, buses))
		}
		if err != nil {
			return all, err
		}
	}
}

func checkBalance(t testing.TB, s Stats) {
	t.Helper()
	if s.Lines != s.Frames+s.XL+s.Comments+s.Details+s.Bad {
		t.Errorf("the counters do not balance: %+v", s)
	}
	if s.Remote+s.Errors+s.FD > s.Frames || s.NoTime > s.Frames {
		t.Errorf("more frames of a kind than frames: %+v", s)
	}
}

// open opens a log that must have no problems.
func open(t testing.TB, path string, opts Options) *Log {
	t.Helper()
	if opts.OnProblem == nil {
		opts.OnProblem = func(p Problem) { t.Errorf("unexpected problem: %s", p) }
	}
	log, err := Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

// parseTime reads seconds exactly, not by way of a float.
func parseTime(t testing.TB, text string) int64 {
	t.Helper()
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	ns, _, ok := parseSeconds([]byte(text))
	if !ok {
		t.Fatalf("time %q", text)
	}
	return ns
}

// referenceFrames reads the answers that an independent reader gave.
func referenceFrames(t testing.TB, name string) []named {
	t.Helper()
	file, err := os.Open(testData(t, filepath.Join("reference", "frames", name+".csv.gz")))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var frames []named
	// idx,timestamp,channel,id,ext,rtr,err,fd,brs,esi,dlc,data,rx
	for _, row := range rows[1:] {
		id, err := strconv.ParseUint(row[3], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		length, err := strconv.ParseUint(row[10], 10, 8)
		if err != nil {
			t.Fatal(err)
		}
		f := named{Time: parseTime(t, row[1]), Bus: row[2], ID: uint32(id), Len: uint8(length), Data: strings.ToLower(row[11])}
		for i, flag := range []can.Flags{4: can.Extended, can.Remote, can.Error, can.FD, can.BRS, can.ESI} {
			if flag != 0 && row[i] == "1" {
				f.Flags |= flag
			}
		}
		if row[12] == "0" {
			f.Flags |= can.Sent
		}
		frames = append(frames, f)
	}
	return frames
}

// truthFrames reads what the writers of the special logs were given.
func truthFrames(t testing.TB) []named {
	t.Helper()
	text, err := os.ReadFile(testData(t, "logs/derived/special_dev.truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var truth []struct {
		T                           json.Number
		Ch                          string
		ID                          uint32
		Ext, FD, BRS, ESI, RTR, Err bool
		DLC                         uint8
		Rx                          bool
		Data                        string
	}
	if err := json.Unmarshal(text, &truth); err != nil {
		t.Fatal(err)
	}
	var frames []named
	for _, f := range truth {
		var flags can.Flags
		for flag, set := range map[can.Flags]bool{
			can.Extended: f.Ext, can.FD: f.FD, can.BRS: f.BRS, can.ESI: f.ESI,
			can.Remote: f.RTR, can.Error: f.Err, can.Sent: !f.Rx,
		} {
			if set {
				flags |= flag
			}
		}
		frames = append(frames, named{parseTime(t, f.T.String()), f.Ch, f.ID, flags, f.DLC, 0, f.Data})
	}
	return frames
}
