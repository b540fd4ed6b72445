package dbc

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse: whatever the file, parsing ends without a panic, problems lie in
// the file and in order, and the plans decode without a panic, both ways alike.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob(filepath.Join("testdata", "*.dbc"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range seeds {
		content, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	for _, text := range []string{
		"BO_ 1 A: 8 X\n SG_ S m0M : 7|65@0- (1,5,0,5) [.5|1.#INF] \"a\\\" \n b\" X,Y",
		"BO_ 1 A: 8 X\n SG_ S M : 7|64@0- (-1,1e400) [0|0] \"\"\nSG_MUL_VAL_ 1 S S 0-18446744073709551615;\nSIG_VALTYPE_ 1 S 2;",
		"BU_ A\nB\nC : \"\nCM_ \"\\\"\nBO_ \"\nBA_ \"x\" SG_ 1 S",
		"NS_:\nBS_\nBS_:1\nVERSION\"\";;VAL_ 1 S 1.5 \"x\" -1 \"y\"",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		db, err := Parse("f", content)
		if err != nil {
			return
		}
		last := Problem{}
		for _, p := range db.Problems() {
			if p.Line < 1 || p.Column < 1 || p.Message == "" || p.Line < last.Line || p.Line == last.Line && p.Column < last.Column {
				t.Errorf("problem %v behind %v", p, last)
			}
			last = p
		}
		var s Scratch
		in := newPayloads(64)
		for i := range 9 {
			data := make([]byte, 8*i)
			for j := range data {
				data[j] = byte(i*31 + j*j)
			}
			in.add(data, uint32(i))
		}
		for _, plan := range Compile([]*Database{db}, Options{Match: MatchJ1939}).Plans() {
			checkColumns(t, plan, &s, in.Payloads)
		}
	})
}
