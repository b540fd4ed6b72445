package dbc

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const j1939Attributes = `BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_DEF_DEF_ "VFrameFormat" "J1939PG";
`

func named(t *testing.T, name, text string) *Database {
	t.Helper()
	db, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestLookup(t *testing.T) {
	id := func(id uint32) uint32 { return id | extendedFlag }
	group := fmt.Sprintf("BO_ %d EEC1: 8 X\nBO_ %d Request: 3 X\nBO_ 256 Standard: 8 X\n", id(0x0CF004FE), id(0x18EA00FE))
	mixed := group + fmt.Sprintf("BO_ %d Other: 8 X\n", id(0x18FF0102))
	tests := []struct {
		name  string
		text  string
		match Match
		want  map[uint32]string // extended identifier to message
	}{
		{"attributes", mixed + j1939Attributes, MatchAuto, map[uint32]string{
			0x0CF00400: "EEC1", 0x1CF00417: "EEC1", 0x18EA2117: "Request", 0x18F00500: "", 0x18FF0133: "Other",
		}},
		{"null address", group, MatchAuto, map[uint32]string{0x0CF00400: "EEC1", 0x18EA2117: "Request"}},
		{"neither", mixed, MatchAuto, map[uint32]string{0x0CF004FE: "EEC1", 0x0CF00400: "", 0x18EA2117: "", 0x18FF0102: "Other"}},
		{"null address, other attributes", group + `BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN";`, MatchAuto,
			map[uint32]string{0x0CF004FE: "EEC1", 0x0CF00400: ""}},
		{"exact", mixed + j1939Attributes, MatchExact, map[uint32]string{0x0CF004FE: "EEC1", 0x0CF00400: ""}},
		{"forced", mixed, MatchJ1939, map[uint32]string{0x0CF00400: "EEC1", 0x18EA2117: "Request", 0x18FF0133: "Other"}},
	}
	for _, test := range tests {
		d := Compile([]*Database{named(t, "f", test.text)}, Options{Match: test.match})
		for id, want := range test.want {
			got := ""
			if plan := d.Lookup(id, true); plan != nil {
				got = plan.Message.Name
			}
			if got != want {
				t.Errorf("%s: %08X is %q, want %q", test.name, id, got, want)
			}
		}
		if plan := d.Lookup(0x100, false); plan == nil || plan.Message.Name != "Standard" {
			t.Errorf("%s: 100 is not found", test.name)
		}
		for _, id := range []uint32{0x101, 0x7FF, 0x800, 1 << 31} {
			if d.Lookup(id, false) != nil {
				t.Errorf("%s: %X is found", test.name, id)
			}
		}
		if d.Lookup(0x100, true) != nil {
			t.Errorf("%s: the identifier 100 is found as an extended one", test.name)
		}
	}
}

func TestConflicts(t *testing.T) {
	a := named(t, "a", "BO_ 1 A1: 8 X\nBO_ 2 A2: 8 X\nBO_ 2 A2again: 8 X\nBO_ 2364540158 Group: 8 X\nBO_ 2364540160 Exact: 8 X\n"+j1939Attributes)
	b := named(t, "b", "BO_ 1 B1: 8 X\nBO_ 3 B3: 8 X\nBO_ 2364540161 Second: 8 X\n"+j1939Attributes)
	d := Compile([]*Database{a, b}, Options{})
	lookups := []struct {
		id       uint32
		extended bool
		want     string
	}{
		{1, false, "A1"}, {2, false, "A2again"}, {3, false, "B3"},
		{0x0CF00411, true, "Group"}, {0x0CF00500, true, "Exact"}, {0x0CF00501, true, "Second"}, {0x0CF005AA, true, "Exact"},
	}
	for _, l := range lookups {
		if plan := d.Lookup(l.id, l.extended); plan == nil || plan.Message.Name != l.want {
			t.Errorf("%X is %+v, want %s", l.id, plan, l.want)
		}
	}
	var problems []string
	for _, p := range d.Problems() {
		problems = append(problems, p.String())
	}
	want := []string{
		"b:1:1: message B1: the identifier 0x001 is already defined by message A1 of another database, which is used",
		"b:3:1: message Second: PGN 61445 is already defined by message Exact of another database, which is used for all but the identifier 0x0CF00501",
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if n := len(d.Plans()); n != 6 {
		t.Errorf("%d plans, want 6", n)
	}
}

func TestPGN(t *testing.T) {
	for id, want := range map[uint32]uint32{
		0x18FEF117: 0xFEF1, 0x0CF00400: 0xF004, 0x18EA2117: 0xEA00, 0x18EF00FE: 0xEF00,
		0x19F11A09: 0x1F11A, 0x1DEF0102: 0x1EF00, 0x1BFEF100: 0x3FEF1,
	} {
		if got := PGN(id); got != want {
			t.Errorf("PGN of %08X is %X, want %X", id, got, want)
		}
	}
}

// TestNotAvailable walks over the raw values at the borders of SAE J1939-71,
// tables 1 and 2, and of NMEA 2000.
func TestNotAvailable(t *testing.T) {
	const j1939, nmea2000 = 0x0CF004FE, 0x19F112FE
	tests := []struct {
		id     uint32
		layout string // length@order sign, and marker
		number []int64
		none   []int64
	}{
		{j1939, "1@1+", []int64{0, 1}, nil},
		{j1939, "2@1+", []int64{0, 1}, []int64{2, 3}},
		{j1939, "3@1+", []int64{0, 5}, []int64{6, 7}},
		{j1939, "4@1+", []int64{0, 13}, []int64{14, 15}},
		{j1939, "8@1+", []int64{0, 0xFB, 0xFD}, []int64{0xFE, 0xFF}},
		{j1939, "16@1+", []int64{0, 0xFAFF, 0xFDFF}, []int64{0xFE00, 0xFEFF, 0xFF00, 0xFFFF}},
		{j1939, "24@1+", []int64{0xFDFFFF}, []int64{0xFE0000, 0xFFFFFF}},
		{j1939, "32@1+", []int64{0xFDFFFFFF}, []int64{0xFE000000, 0xFFFFFFFF}},
		{j1939, "12@1+", []int64{0xFE0, 0xFFD}, []int64{0xFFE, 0xFFF}},
		{j1939, "64@1+", []int64{0, -3}, []int64{-2, -1}},
		{j1939, "16@1-", []int64{0, -1, 0x7FFF, -0x200}, nil},
		{nmea2000, "2@1+", []int64{0, 2}, []int64{3}},
		{nmea2000, "8@1+", []int64{0xFD}, []int64{0xFE, 0xFF}},
		{nmea2000, "16@1+", []int64{0xFE00, 0xFFFD}, []int64{0xFFFE, 0xFFFF}},
		{nmea2000, "16@1-", []int64{-1, -0x8000, 0x7FFD}, []int64{0x7FFE, 0x7FFF}},
		{nmea2000, "64@1-", []int64{-1, 1<<63 - 3}, []int64{1<<63 - 2, 1<<63 - 1}},
	}
	for _, test := range tests {
		text := fmt.Sprintf("BO_ %d M: 8 X\n SG_ S : 0|%s (1,0) [0|0] \"\" X\nVAL_ %d S 255 \"not available\" 254 \"error\";",
			test.id|extendedFlag, test.layout, test.id|extendedFlag)
		db := mustParse(t, text)
		for _, keep := range []bool{false, true} {
			plan := Compile([]*Database{db}, Options{Match: MatchJ1939, KeepNotAvailable: keep}).Lookup(test.id, true)
			check := func(raw int64, want State) {
				t.Helper()
				data := make([]byte, 8)
				if err := plan.Signals()[0].Pack(data, raw); err != nil {
					t.Fatal(err)
				}
				v := plan.Decode(data, nil)[0]
				if v.State != want || v.Raw != raw {
					t.Errorf("%08X %s: %#x is %v (%#x), want %v", test.id, test.layout, raw, v.State, v.Raw, want)
				}
				in := newPayloads(8)
				in.add(data, 2)
				in.add(make([]byte, 8), 1)
				in.add(data, 1)
				var s Scratch
				checkColumns(t, plan, &s, in.Payloads)
			}
			for _, raw := range test.number {
				check(raw, Present)
			}
			for _, raw := range test.none {
				if keep {
					check(raw, Present)
				} else {
					check(raw, NotAvailable)
				}
			}
		}
	}
}

// TestNotAvailableExempt: multiplexers select, NaN is no number, and what is not
// J1939 keeps all its values.
func TestNotAvailableExempt(t *testing.T) {
	db := mustParse(t, `BO_ 2364540158 M: 8 X
 SG_ Page M : 0|8@1+ (1,0) [0|0] "" X
 SG_ Float m255 : 32|32@1- (1,0) [0|0] "" X
BO_ 5 Plain: 1 X
 SG_ P : 0|8@1+ (1,0) [0|0] "" X
SIG_VALTYPE_ 2364540158 Float : 1;
`)
	d := Compile([]*Database{db}, Options{Match: MatchJ1939})
	group := d.Lookup(0x0CF00400, true)
	ones := []byte{255, 255, 255, 255, 255, 255, 255, 255}
	values := group.Decode(ones, nil)
	if len(values) != 2 || values[0].State != Present || values[1].State != NotAvailable {
		t.Errorf("values are %+v", values)
	}
	if v := d.Lookup(5, false).Decode(ones[:1], nil); v[0].State != Present || v[0].Physical != 255 {
		t.Errorf("value is %+v", v)
	}
	in := newPayloads(8)
	in.add(ones, 5)
	in.add([]byte{255, 0, 0, 0, 0, 0, 0, 0}, 1)
	var s Scratch
	checkColumns(t, group, &s, in.Payloads)
}
