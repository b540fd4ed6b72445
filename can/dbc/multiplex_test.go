package dbc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// selections writes what selects each signal of the first message: "S<M:0,3-5".
func selections(db *Database) string {
	var out []string
	for _, s := range db.Messages[0].Signals {
		text := s.Name
		if s.IsMultiplexer {
			text = "[" + text + "]"
		}
		if s.Multiplexer != nil {
			var ranges []string
			for _, r := range s.MultiplexerRanges {
				if r.First == r.Last {
					ranges = append(ranges, fmt.Sprint(r.First))
				} else {
					ranges = append(ranges, fmt.Sprintf("%d-%d", r.First, r.Last))
				}
			}
			text += "<" + s.Multiplexer.Name + ":" + strings.Join(ranges, ",")
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestMultiplexing(t *testing.T) {
	tests := []struct {
		name string
		// signals are name and marker of signals of 4 bits, one behind the other.
		signals    string
		statements string
		want       string
		problems   []string
	}{
		{"simple", "M:M A:m0 B:m1 C:", "", "[M] A<M:0 B<M:1 C", nil},
		{"simple with ranges", "M:M A:m0 B:m1", "SG_MUL_VAL_ 1 A M 3-5, 6 - 6,9-9;", "[M] A<M:0,3-6,9 B<M:1", nil},
		{"extended", "M:M N:m1M A:m0 B:m2", "SG_MUL_VAL_ 1 N M 1-1;\nSG_MUL_VAL_ 1 A M 0-0;\nSG_MUL_VAL_ 1 B N 2-2, 7-9;",
			"[M] [N]<M:1 A<M:0 B<N:2,7-9", nil},
		{"extended without statement", "M:M N:m1M A:m0", "SG_MUL_VAL_ 1 N M 1-1;", "[M] [N]<M:1 A",
			[]string{"4:2: signal A is multiplexed and has no multiplexer; it is taken to be in every frame"}},
		{"no multiplexer", "A:m0 B:", "", "A B",
			[]string{"2:2: signal A is multiplexed and has no multiplexer; it is taken to be in every frame"}},
		{"only itself", "A:m0M B:", "", "[A] B",
			[]string{"2:2: signal A is multiplexed, but message X has no other multiplexer; it is taken to be in every frame"}},
		{"two plain", "M:M N:M A:m0", "SG_MUL_VAL_ 1 A N 0-0;", "[M] [N] A<N:0",
			[]string{"3:2: message X has several multiplexers without a condition: M and N"}},
		{"no marker", "M:M A:", "SG_MUL_VAL_ 1 A M 0-0;", "[M] A",
			[]string{"4:1: multiplexer values for signal A, which has no multiplexing marker; it is taken to be in every frame"}},
		{"unmarked multiplexer", "M: A:m0", "SG_MUL_VAL_ 1 A M 0-0;", "[M] A<M:0",
			[]string{"4:1: signal A: its multiplexer M is not marked as one"}},
		{"bare m for M", "M:m A:m0 B:m1 C:", "", "[M] A<M:0 B<M:1 C",
			[]string{"2:2: signal M is marked m without a number; it is taken for the multiplexer (M) of message X, which has no other"}},
		{"bare m for M, with ranges", "M:m A:m0", "SG_MUL_VAL_ 1 A M 0-3;", "[M] A<M:0-3",
			[]string{"2:2: signal M is marked m without a number; it is taken for the multiplexer (M) of message X, which has no other"}},
		{"bare m beside M", "M:M A:m", "", "[M] A",
			[]string{"3:2: signal A is marked m without a number; it is taken to be in every frame"}},
		{"bare m, nothing to select", "A:m B:", "", "A B",
			[]string{"2:2: signal A is marked m without a number; it is taken to be in every frame"}},
		{"unknown multiplexer", "M:M N:M A:m0", "SG_MUL_VAL_ 1 A Q 0-0;", "[M] [N] A", []string{
			"3:2: message X has several multiplexers without a condition: M and N",
			"5:1: signal A: message X has no multiplexer Q; the signal is taken to be in every frame",
		}},
		{"cycle", "M:m0M N:m0M", "SG_MUL_VAL_ 1 M N 0-0;\nSG_MUL_VAL_ 1 N M 0-0;", "[M] [N]<M:0",
			[]string{"2:2: signal M selects itself; it is taken to be in every frame"}},
		{"empty range", "M:M A:m0", "SG_MUL_VAL_ 1 A M 5-4;", "[M] A<M:0", []string{"4:1: signal A: the multiplexer range 5-4 is empty"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := "BO_ 1 X: 8 N\n"
			for i, s := range strings.Fields(test.signals) {
				name, marker, _ := strings.Cut(s, ":")
				text += fmt.Sprintf(" SG_ %s %s : %d|4@1+ (1,0) [0|0] \"\" N\n", name, marker, 4*i)
			}
			db, problems := parseText(t, text+test.statements)
			if got := selections(db); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if diff := cmp.Diff(test.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBadMarker: a marker that is none costs the signal.
func TestBadMarker(t *testing.T) {
	db, problems := parseText(t, "BO_ 1 X: 8 N\n SG_ A n5 : 0|8@1+ (1,0) [0|0] \"\" N\n SG_ B : 0|8@1+ (1,0) [0|0] \"\" N")
	if got := selections(db); got != "B" || len(problems) != 1 {
		t.Errorf("%s, %q", got, problems)
	}
}

// TestNestedPages follows a frame through two levels of multiplexers.
func TestNestedPages(t *testing.T) {
	db := mustParse(t, `BO_ 1 X: 8 N
 SG_ M M : 0|8@1+ (1,0) [0|0] "" N
 SG_ N m1M : 8|8@1+ (1,0) [0|0] "" N
 SG_ A m0 : 8|8@1+ (1,0) [0|0] "" N
 SG_ B m2 : 16|8@1+ (1,0) [0|0] "" N
 SG_ C : 56|8@1+ (1,0) [0|0] "" N
VAL_ 1 M 7 "named, empty" ;
SG_MUL_VAL_ 1 N M 1-1;
SG_MUL_VAL_ 1 A M 0-0;
SG_MUL_VAL_ 1 B N 2-2, 7-9;
`)
	plan := Compile([]*Database{db}, Options{}).Lookup(1, false)
	tests := []struct {
		data string
		want string
	}{
		{"\x00\x05\x09\x00\x00\x00\x00\x63", "M=0 A=5 C=99"},
		{"\x01\x02\x09\x00\x00\x00\x00\x63", "M=1 N=2 B=9 C=99"},
		{"\x01\x08\x09\x00\x00\x00\x00\x63", "M=1 N=8 B=9 C=99"},
		{"\x01\x03\x09\x00\x00\x00\x00\x63", "M=1 N=3(unknown multiplexor) C=99"},
		{"\x07\x03\x09\x00\x00\x00\x00\x63", "M=7 C=99"},
		{"\x09\x03\x09\x00\x00\x00\x00\x63", "M=9(unknown multiplexor) C=99"},
		{"\x01\x02", "M=1 N=2 B=0(short) C=0(short)"},
		{"\x01", "M=1 N=0(short) C=0(short)"},
		{"", "M=0(short) C=0(short)"},
	}
	var s Scratch
	for _, test := range tests {
		var got []string
		for _, v := range plan.Decode([]byte(test.data), nil) {
			text := fmt.Sprintf("%s=%v", v.Signal.Name, v.Physical)
			if v.State != Present {
				text += "(" + v.State.String() + ")"
			}
			got = append(got, text)
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%x: %s, want %s", test.data, got, test.want)
		}
		in := newPayloads(8)
		in.add([]byte(test.data), 3)
		checkColumns(t, plan, &s, in.Payloads)
	}
}

// TestManyConditions: where conditions overlap so much that listing them per
// value would take too much memory, the result is the same.
func TestManyConditions(t *testing.T) {
	text := "BO_ 1 X: 8 N\n SG_ M M : 0|16@1+ (1,0) [0|0] \"\" N\n"
	statements := ""
	const n = 700
	for i := range n {
		text += fmt.Sprintf(" SG_ S%d m%d : 16|8@1+ (1,0) [0|0] \"\" N\n", i, i)
		statements += fmt.Sprintf("SG_MUL_VAL_ 1 S%d M %d-%d;\n", i, i, 60000-i)
	}
	db, _ := parseText(t, text+statements) // overlaps all over
	plan := Compile([]*Database{db}, Options{}).Lookup(1, false)
	if plan.multiplexers[0].listed {
		t.Fatal("the case does not reach what it is for")
	}
	in := newPayloads(8)
	for _, m := range []int{0, 1, 5, n - 1, n, 59000, 59999, 60000, 60001, 65535} {
		in.add([]byte{byte(m), byte(m >> 8), 7}, 1)
	}
	var s Scratch
	checkColumns(t, plan, &s, in.Payloads)
}
