package dbc

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dataDir finds the recorded data that the project does not own: shared/data
// beside the project's root.
func dataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the package")
		}
	}
	data := filepath.Join(dir, "..", "shared", "data")
	if _, err := os.Stat(data); err != nil {
		t.Skipf("the reference data is not here (%v); see shared/data/MANIFEST.md", err)
	}
	return data
}

// dbcFiles returns the paths of all databases, below dataDir.
func dbcFiles(t testing.TB, data string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(filepath.Join(data, "dbc"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".dbc" {
			rel, _ := filepath.Rel(data, path)
			paths = append(paths, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func parseFile(t testing.TB, data, path string) *Database {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(data, path))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Parse(path, content)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// reference is what cantools says about a database.
type reference struct {
	Load struct {
		Status string
		Notes  map[string]int
	}
	Messages []refMessage
}

type refMessage struct {
	ID          uint32 `json:"frame_id"`
	Extended    bool   `json:"is_extended"`
	Name        string
	Length      int
	FD          bool `json:"is_fd"`
	Senders     []string
	CycleTime   *float64 `json:"cycle_time"`
	Protocol    *string
	Comment     *string
	Signals     []refSignal
	Vectors     []refVector
	LengthCases []refVector `json:"length_variants"`
}

type refSignal struct {
	Name             string
	Start, Length    int
	ByteOrder        string  `json:"byte_order"`
	Signed           bool    `json:"is_signed"`
	Float            bool    `json:"is_float"`
	Factor           float64 `json:"scale"`
	Offset           float64
	Minimum, Maximum *float64
	Unit             *string
	Multiplexer      bool    `json:"is_multiplexer"`
	IDs              []int64 `json:"multiplexer_ids"`
	MultiplexerName  *string `json:"multiplexer_signal"`
	Choices          map[string]string
	Receivers        []string
	SPN              *float64
	Comment          *string
}

type refVector struct {
	Kind     string
	Data     string
	Phys     map[string]any
	Raw      map[string]any
	Default  map[string]any
	Tolerant map[string]any
}

func readReference(t testing.TB, data, path string) *reference {
	t.Helper()
	f, err := os.Open(filepath.Join(data, "reference", path+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(z)
	decoder.UseNumber()
	var r reference
	if err := decoder.Decode(&r); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return &r
}

// text makes comparable what the reference has as null or with the file's line
// ends.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return strings.ReplaceAll(*s, "\r\n", "\n")
}

// refName is the name that the reference's repaired copy of a file has for a
// signal whose name begins with a digit.
func refName(ref *reference, name string) string {
	if ref.Load.Notes["SG_ name starts with a digit: _ prefixed"] > 0 && name != "" && name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

func TestReferenceModel(t *testing.T) {
	data := dataDir(t)
	files, messages, signals := 0, 0, 0
	for _, path := range dbcFiles(t, data) {
		db := parseFile(t, data, path)
		ref := readReference(t, data, path)
		files++
		if ref.Load.Status == "refused" {
			// cantools has no answer for this file.
			if len(db.Messages) == 0 {
				t.Errorf("%s: no messages", path)
			}
			continue
		}
		if len(db.Messages) != len(ref.Messages) {
			t.Errorf("%s: %d messages, want %d", path, len(db.Messages), len(ref.Messages))
			continue
		}
		for i, want := range ref.Messages {
			got := db.Messages[i]
			messages++
			signals += len(want.Signals)
			compareMessage(t, path, ref, got, want)
		}
	}
	t.Logf("compared %d files, %d messages, %d signals", files, messages, signals)
	if files < 93 || messages < 2840 || signals < 17278 {
		t.Errorf("compared too little")
	}
}

func compareMessage(t *testing.T, path string, ref *reference, got *Message, want refMessage) {
	t.Helper()
	same := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: message %s: %s is %v, want %v", path, want, what, got, want)
		}
	}
	same("ID", got.ID, want.ID)
	same("Extended", got.Extended, want.Extended)
	same("Name", got.Name, want.Name)
	same("Length", got.Length, want.Length)
	same("FD", got.FD, want.FD)
	same("Comment", got.Comment, text(want.Comment))
	cycle := 0.0
	if want.CycleTime != nil {
		cycle = *want.CycleTime
	}
	same("CycleTime", got.CycleTime.Seconds()*1000, cycle)
	if want.Protocol != nil && *want.Protocol == "j1939" {
		same("J1939", got.J1939, true)
	}
	senders := slices.DeleteFunc(slices.Clone(want.Senders), isNoNode)
	if !slices.Equal(got.Transmitters, senders) {
		t.Errorf("%s: message %s: transmitters %q, want %q", path, want.Name, got.Transmitters, senders)
	}
	if len(got.Signals) != len(want.Signals) {
		t.Errorf("%s: message %s: %d signals, want %d", path, want.Name, len(got.Signals), len(want.Signals))
		return
	}
	// The reference is sorted by start bit.
	byName := make(map[string]*Signal)
	for _, s := range got.Signals {
		byName[refName(ref, s.Name)] = s
	}
	for _, w := range want.Signals {
		s := byName[w.Name]
		if s == nil {
			t.Errorf("%s: message %s: no signal %s", path, want.Name, w.Name)
			continue
		}
		compareSignal(t, path+": "+want.Name+"."+w.Name, ref, s, w)
	}
}

func compareSignal(t *testing.T, where string, ref *reference, got *Signal, want refSignal) {
	t.Helper()
	same := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s is %v, want %v", where, what, got, want)
		}
	}
	number := func(f *float64) float64 {
		if f == nil {
			return 0
		}
		return *f
	}
	same("Start", got.Start, want.Start)
	same("Length", got.Length, want.Length)
	same("BigEndian", got.BigEndian, want.ByteOrder == "big_endian")
	same("Signed", got.Signed, want.Signed)
	same("float", got.Kind != Integer, want.Float)
	same("Factor", got.Factor, want.Factor)
	same("Offset", got.Offset, want.Offset)
	same("Min", got.Min, number(want.Minimum))
	same("Max", got.Max, number(want.Maximum))
	same("Unit", got.Unit, text(want.Unit))
	same("IsMultiplexer", got.IsMultiplexer, want.Multiplexer)
	same("SPN", float64(got.SPN), number(want.SPN))
	multiplexer := ""
	if got.Multiplexer != nil {
		multiplexer = got.Multiplexer.Name
	}
	same("Multiplexer", multiplexer, text(want.MultiplexerName))
	var ids []int64
	for _, r := range got.MultiplexerRanges {
		for v := r.First; v <= r.Last; v++ {
			ids = append(ids, v)
		}
	}
	wantIDs := slices.Clone(want.IDs)
	slices.Sort(wantIDs)
	if want.MultiplexerName != nil && !slices.Equal(ids, wantIDs) {
		t.Errorf("%s: selected by %v, want %v", where, ids, wantIDs)
	}
	if receivers := slices.DeleteFunc(slices.Clone(want.Receivers), isNoNode); !slices.Equal(got.Receivers, receivers) {
		t.Errorf("%s: receivers %q, want %q", where, got.Receivers, receivers)
	}
	switch {
	case refName(ref, got.Name) != got.Name:
		return // the repaired copy lacks the descriptions of these signals
	case ref.Load.Notes["BO_ id >11 bit without the 0x80000000 flag: flag added"] > 0 && want.Choices == nil:
		return // the repaired copy has the flag in BO_ and not in VAL_
	case strings.HasSuffix(where, "gm_global_a_powertrain_generated.dbc: ECMPRDNL2.ManualMode"):
		return // cantools loses the last statement of a file if it lacks its semicolon
	}
	same("Comment", got.Comment, text(want.Comment))
	same("number of described values", len(got.Values), len(want.Choices))
	for _, v := range got.Values {
		same("description of "+strconv.FormatInt(v.Value, 10), v.Text, want.Choices[strconv.FormatInt(v.Value, 10)])
	}
}

// refNumber converts a value of the reference, which has exact integers.
func refNumber(t *testing.T, v any) float64 {
	t.Helper()
	s := ""
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = v
	case bool:
		t.Fatalf("unexpected %v", v)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sameBits compares all bits but the payload of NaN and the sign of zero: an
// offset of 0 makes +0 of -0.
func sameBits(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func TestReferenceVectors(t *testing.T) {
	data := dataDir(t)
	vectors, lengthCases, values := 0, 0, 0
	for _, path := range dbcFiles(t, data) {
		db := parseFile(t, data, path)
		ref := readReference(t, data, path)
		// cantools does not know "not available".
		decoder := Compile([]*Database{db}, Options{KeepNotAvailable: true})
		for _, m := range ref.Messages {
			plan := decoder.Lookup(m.ID, m.Extended)
			if plan == nil {
				t.Errorf("%s: no plan for message %s", path, m.Name)
				continue
			}
			compare := func(v refVector, want, raw map[string]any) {
				payload, err := hex.DecodeString(v.Data)
				if err != nil {
					t.Fatal(err)
				}
				got := plan.Decode(payload, nil)
				present := 0
				for _, value := range got {
					if value.State == Short {
						continue
					}
					present++
					name := refName(ref, value.Signal.Name)
					w, ok := want[name]
					if !ok {
						t.Errorf("%s: message %s: %s: %s is decoded, but not by the reference", path, m.Name, v.Data, name)
						continue
					}
					if want := refNumber(t, w); !sameBits(value.Physical, want) {
						t.Errorf("%s: message %s: %s: %s is %v, want %v", path, m.Name, v.Data, name, value.Physical, want)
					}
					if raw != nil {
						if want := refNumber(t, raw[name]); !sameBits(value.Signal.number(value.Raw), want) {
							t.Errorf("%s: message %s: %s: raw %s is %v, want %v", path, m.Name, v.Data, name, value.Raw, want)
						}
					}
					values++
				}
				if present != len(want) {
					t.Errorf("%s: message %s: %s: %d values, want %d", path, m.Name, v.Data, present, len(want))
				}
			}
			for _, v := range m.Vectors {
				vectors++
				if _, refused := v.Phys["__error__"]; refused {
					compare(v, v.Tolerant, nil)
				} else {
					compare(v, v.Phys, v.Raw)
				}
			}
			for _, v := range m.LengthCases {
				lengthCases++
				compare(v, v.Tolerant, nil)
			}
		}
	}
	t.Logf("compared %d payloads, %d of other lengths, %d values", vectors, lengthCases, values)
	if vectors < 25652 || lengthCases < 7263 || values < 168436 {
		t.Errorf("compared too few payloads")
	}
}
