package dbc

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parseText parses a text and returns its problems without the file name.
func parseText(t testing.TB, text string) (*Database, []string) {
	t.Helper()
	db, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	for _, p := range db.Problems() {
		problems = append(problems, strings.TrimPrefix(p.String(), "f:"))
	}
	return db, problems
}

// outline lists what a database has, in a line a message.
func outline(db *Database) string {
	var lines []string
	for _, m := range db.Messages {
		line := messageKey{m.ID, m.Extended}.String() + " " + m.Name
		for _, s := range m.Signals {
			line += fmt.Sprintf(" %s:%d|%d", s.Name, s.Start, s.Length)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestFaults: each fault costs what is said here and nothing else. The message
// and the signal behind it are always read.
func TestFaults(t *testing.T) {
	const behind = `
BO_ 2 Behind: 8 X
 SG_ B : 0|8@1+ (1,0) [0|0] "" X
`
	const behindOutline = "\n0x002 Behind B:0|8"
	tests := []struct {
		name, text string
		outline    string
		problems   []string
	}{
		{"clean", `BO_ 1 A: 8 X
 SG_ S : 0|8@1+ (1,0) [0|0] "" X`, "0x001 A S:0|8", nil},
		{"no blanks", `BO_ 1 A:8 X
SG_ S:0|8@1+(1,0)[0|0]""X`, "0x001 A S:0|8", nil},
		{"blanks everywhere", "BO_\t1  A :\t8  X\n\tSG_  S  : 0 | 8 @ 1 + ( 1 , 0 ) [ 0 | 0 ]\t\"\"  X , Y", "0x001 A S:0|8", nil},
		{"one line", `BO_ 1 A: 8 X SG_ S : 0|8@1+ (1,0) [0|0] "" X SG_ T : 8|8@1+ (1,0) [0|0] "" X`, "0x001 A S:0|8 T:8|8", nil},
		{"no transmitter", `BO_ 1 A: 8
 SG_ S : 0|8@1+ (1,0) [0|0] "" X`, "0x001 A S:0|8", nil},
		{"no receivers", `BO_ 1 A: 8 X
 SG_ S : 0|8@1+ (1,0) [0|0] ""
 SG_ T : 8|8@1+ (1,0) [0|0] ""`, "0x001 A S:0|8 T:8|8", nil},
		{"carriage returns", "BO_ 1 A: 8 X\r SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\r", "0x001 A S:0|8", nil},
		{"byte order mark", "\xEF\xBB\xBFBO_ 1 A: 8 X", "0x001 A", nil},
		{"comment line", "// BO_ 9 No: 8 X\nBO_ 1 A: 8 X // BO_ 9 No: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"//\" X", "0x001 A S:0|8", nil},
		{"numbers", `BO_ 01 A: 08 X
 SG_ S : +0|08@1+ (.25,+1) [-1.#INF|1.#INF] "" X`, "0x001 A S:0|8", nil},
		{"decimal comma", `BO_ 1 A: 8 X
 SG_ S : 0|8@1+ (0,125,-40) [-1,5|1] "" X`, "0x001 A S:0|8", []string{
			"2:17: signal S: decimal comma: read as (0.125,-40)",
			"2:30: decimal comma: read as -1.5",
		}},
		{"decimal commas", `BO_ 1 A: 8 X
 SG_ S : 0|8@1+ (0,125,-40,5) [0|1] "" X`, "0x001 A S:0|8", []string{"2:17: signal S: decimal comma: read as (0.125,-40.5)"}},
		{"extended without flag", `BO_ 2048 A: 8 X
 SG_ S : 0|8@1+ (1,0) [0|0] "" X
CM_ BO_ 2048 "text";`, "0x00000800 A S:0|8", []string{
			"1:5: message A: the identifier 2048 (0x800) has more than 11 bits and lacks the flag 0x80000000; it is taken as extended",
		}},
		{"too many bits", `BO_ 1073741824 A: 8 X
 SG_ S : 0|8@1+ (1,0) [0|0] "" X
CM_ SG_ 1073741824 S "text";
VAL_ 1073741824 S 0 "text";`, "", []string{
			"1:5: message A: the identifier 1073741824 (0x40000000) has more than 29 bits; the message is left out",
		}},
		{"unassigned signals", `BO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX
 SG_ S : 0|8@1+ (1,0) [0|0] "" X
BA_DEF_ SG_ "x" INT 0 1;
BA_ "x" SG_ 3221225472 S 1;`, "", nil},
		{"odd names", `BO_ 1 1-A: 8 X
 SG_ -S.1 : 0|8@1+ (1,0) [0|0] "" X
 SG_ VERSION : 8|8@1+ (1,0) [0|0] "" X`, "0x001 1-A -S.1:0|8 VERSION:8|8", []string{
			`1:1: message "1-A": the name is not a C identifier`,
			`2:2: signal "-S.1" of message 1-A: the name is not a C identifier`,
		}},
		{"bad signal", `BO_ 1 A: 8 X
 SG_ S : 0|x@1+ (1,0) [0|0] "" X
 SG_ T : 8|8@1+ (1,0) [0|0] "" X`, "0x001 A T:8|8", []string{
			`2:12: SG_: expected the length in bits, found "x@1+"; the statement is left out`,
		}},
		{"bad message", `BO_ one A: 8 X
 SG_ S : 0|8@1+ (1,0) [0|0] "" X`, "", []string{
			`1:5: BO_: expected a message identifier, found "one"; the statement is left out`,
		}},
		{"signal without message", ` SG_ S : 0|8@1+ (1,0) [0|0] "" X`, "", []string{
			"1:2: SG_: signal S belongs to no message; the statement is left out",
		}},
		{"incomplete signal", `BO_ 1 A: 8 X
 SG_ S : 0|8@1`, "0x001 A S:0|8", []string{
			"2:15: signal S: expected + or - behind the byte order; taken as unsigned",
			"2:15: signal S has no (factor,offset); taken as (1,0)",
			"2:15: signal S has no [minimum|maximum]",
			"2:15: signal S has no unit in quotes",
		}},
		{"unit not closed", `BO_ 1 A: 8 X
 SG_ S : 0|8@1+ (1,0) [0|0] "km X
 SG_ T : 8|8@1+ (1,0) [0|0] "km" X`, "0x001 A S:0|8 T:8|8", []string{"2:29: the string is not closed; it ends with the line"}},
		{"comment not closed", `BO_ 1 A: 8 X
CM_ BO_ 1 "text;
CM_ "other";`, "0x001 A", []string{"2:11: the string is not closed; it ends with the line", "2:17: missing semicolon"}},
		{"missing semicolons", `BO_ 1 A: 8 X
 SG_ S : 0|8@1+ (1,0) [0|0] "" X
CM_ SG_ 1 S "text"
VAL_ 1 S 0 "off" 1 "on"
BA_DEF_ BO_ "x" INT 0 1
BA_ "x" BO_ 1 1`, "0x001 A S:0|8", []string{
			"3:19: missing semicolon", "4:24: missing semicolon", "5:24: missing semicolon", "6:16: missing semicolon",
		}},
		{"comments of something", `BO_ 1 A: 8 X
CM_ SG_ 1 "no name";
CM_ 145 "no kind";
CM_ SG_ 7 S "no message";
CM_ SG_ 1 S "no signal";
CM_ BU_ N "no node";
CM_ EV_ E "environment";`, "0x001 A", []string{
			`2:11: CM_: expected the name of a signal, found "\"no"; the statement is left out`,
			`3:5: CM_: expected BU_, BO_, SG_, EV_ or a comment in quotes, found "145"; the statement is left out`,
			"4:1: comment of an unknown message, 0x007",
			"5:1: comment of an unknown signal, S of message A",
			"6:1: comment of an unknown node, N",
		}},
		{"attributes", `BO_ 1 A: 8 X
BA_DEF_ BO_ "b" BOOL False True;
BA_DEF_DEF_ "b" False;
BA_DEF_ BO_ "h" HEX 0x0 0xFF;
BA_ "h" BO_ 1 0x10;
BA_ "b" BO_ 1 True;
BA_ "undefined" BO_ 1 "x";
BA_DEF_ BO_ "e" ENUM "a","","c";
BA_ "e" BO_ 1 3;
BA_DEF_DEF_ "none" 1;
BA_ "e" SG_ 1 S 1;`, "0x001 A", []string{
			`2:17: attribute "b" has the unknown type BOOL; taken as STRING`,
			`7:1: the attribute "undefined" is not defined`,
			`9:1: attribute "e": "3" is not one of its values`,
			`10:1: default of the undefined attribute "none"`,
			"11:1: attribute of an unknown signal, S of message A",
		}},
		{"passed over", `NS_ :
	CM_
	BA_DEF_
	SG_MUL_VAL_

BS_: 500 : 1,2
BU_: A B
  C
ENVVAR_DATA_ E: 10;
SGTYPE_ T : 8@1+ (1,0) [0|0] "a;b" 0, T;
EV_ E: 0 [0|1] "" 0 6 DUMMY_NODE_VECTOR8000 A;
BA_DEF_REL_ BU_SG_REL_ "r" INT 0 1;
BA_REL_ "r" BU_SG_REL_ A SG_ 1 S 1;
VAL_ E 0 "off";
SIG_GROUP_ 1 G 1 : S T;
CAT_DEF_ 1 x;
BO_ 1 A: 8 X`, "0x001 A", nil},
		{"unknown statements", `HELLO_ 1 2 3;
  more "of
it";
BO_ 1 A: 8 X
NEW_ x`, "0x001 A", []string{
			`1:1: expected a statement, found "HELLO_": skipped up to the next statement`,
			`5:1: expected a statement, found "NEW_": skipped up to the next statement`,
		}},
		{"value types", `BO_ 1 A: 8 X
 SG_ S : 0|32@1- (1,0) [0|0] "" X
 SG_ T : 32|20@1- (1,0) [0|0] "" X
SIG_VALTYPE_ 1 S : 2;
SIG_VALTYPE_ 1 T 1;
SIG_VALTYPE_ 1 T : 9;
SIG_VALTYPE_ 1 U : 1;`, "0x001 A S:0|32 T:32|20", []string{
			"4:20: signal S is declared a 64-bit float and has 32 bits; taken as a 32-bit float",
			"5:18: signal T is declared a 32-bit float and has 20 bits; taken as an integer",
			"6:20: signal T: unknown value type 9; taken as an integer",
			"7:1: the value type of an unknown signal, U of message A",
		}},
		{"duplicates", `BO_ 1 A: 8 X
 SG_ S : 0|8@1+ (1,0) [0|0] "" X
 SG_ S : 8|8@1+ (1,0) [0|0] "" X
BO_ 1 A: 4 X`, "0x001 A S:0|8 S:8|8\n0x001 A", []string{
			"3:2: signal S of message A has the name of the one in line 2",
			"4:1: message A has the name of the one in line 1",
			"4:1: message A has the identifier 0x001 of A in line 1; the last one is used",
		}},
		{"layout", `BO_ 1 A: 2 X
 SG_ S : 0|8@1+ (0,5) [0|0] "" X
 SG_ T : 12|8@1+ (1,0) [2|1] "" X
 SG_ U : 0|65@1+ (1,0) [0|0] "" X
 SG_ V : 3|4@0+ (1,0) [0|0] "" X
 SG_ W : 7|1@0+ (1,0) [0|0] "" X
 SG_ Z : 0|0@1+ (1,0) [0|0] "" X`, "0x001 A S:0|8 T:12|8 U:0|65 V:3|4 W:7|1 Z:0|0", []string{
			"2:2: signal S of message A has the factor 0: all its values are 5",
			"3:2: signal T of message A does not fit: it ends in byte 3 of 2; it is never decoded",
			"3:2: signal T of message A has a minimum above its maximum: [2|1]",
			"4:2: signal U of message A has 65 bits; only 1 to 64 can be decoded",
			"5:2: signals V and S of message A overlap in byte 0",
			"6:2: signals W and S of message A overlap in byte 0",
			"7:2: signal Z of message A has 0 bits; only 1 to 64 can be decoded",
		}},
		{"J1939 with 11 bits", `BO_ 1 A: 8 X
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_DEF_DEF_ "VFrameFormat" "J1939PG";`, "0x001 A", []string{
			"1:1: message A is a J1939 parameter group and has an 11-bit identifier",
			"4:1: message Behind is a J1939 parameter group and has an 11-bit identifier",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, problems := parseText(t, test.text+behind)
			if diff := cmp.Diff(strings.TrimPrefix(test.outline+behindOutline, "\n"), outline(db)); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSignalFields(t *testing.T) {
	db := mustParse(t, `VERSION "1.2"
BU_: ECU Gateway
BO_ 2566844926 Short: 8 ECU
 SG_ Temp : 23|16@0- (0.03125,-273) [-273|1735] "`+"\xB0"+`C" Gateway,ECU
BO_TX_BU_ 2566844926 : ECU,Gateway;
CM_ "one ";
CM_ "and \"two\"";
CM_ BO_ 2566844926 "line
line BO_";
CM_ SG_ 2566844926 Temp "hot?";
VAL_ 2566844926 Temp -1 "error" 0x2 "two" ;
VAL_TABLE_ T 1 "b" 0 "a" ;
BA_DEF_ BO_ "SystemMessageLongSymbol" STRING ;
BA_DEF_ SG_ "SystemSignalLongSymbol" STRING ;
BA_DEF_ BU_ "SystemNodeLongSymbol" STRING ;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ SG_ "SPN" INT 0 524287;
BA_DEF_ "ProtocolType" STRING ;
BA_DEF_DEF_ "GenMsgCycleTime" 100;
BA_ "ProtocolType" "J1939";
BA_ "SPN" SG_ 2566844926 Temp 110;
BA_ "SystemMessageLongSymbol" BO_ 2566844926 "AVeryLongNameOfMoreThanThirtyTwoCharacters";
BA_ "SystemSignalLongSymbol" SG_ 2566844926 Temp "EngineTemperature";
BA_ "SystemNodeLongSymbol" BU_ Gateway "CentralGateway";
`)
	m := db.Messages[0]
	got := *m.Signals[0]
	want := Signal{
		Name: "EngineTemperature", Start: 23, Length: 16, BigEndian: true, Signed: true,
		Factor: 0.03125, Offset: -273, Min: -273, Max: 1735, Unit: "°C",
		Receivers: []string{"CentralGateway", "ECU"}, Comment: "hot?",
		Values: []ValueDescription{{-1, "error"}, {2, "two"}}, SPN: 110, Line: 4,
		Attributes: Attributes{
			{Name: "SPN", Text: "110", Number: 110, Numeric: true},
			{Name: "SystemSignalLongSymbol", Text: "EngineTemperature"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("signal (-want +got):\n%s", diff)
	}
	if m.Name != "AVeryLongNameOfMoreThanThirtyTwoCharacters" || m.Comment != "line\nline BO_" ||
		m.CycleTime.Milliseconds() != 100 || !m.J1939 || m.FD || !slices.Equal(m.Transmitters, []string{"ECU", "CentralGateway"}) {
		t.Errorf("message is %+v", m)
	}
	if db.Version != "1.2" || db.Comment != `one and "two"` || len(db.ValueTables) != 1 || db.ValueTables[0].Values[1].Text != "a" {
		t.Errorf("database is %+v", db)
	}
	if text, ok := m.Signals[0].Describe(2); !ok || text != "two" {
		t.Errorf("2 is described as %q", text)
	}
}

func TestFrameFormat(t *testing.T) {
	const enum = `BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG","StandardCAN_FD","ExtendedCAN_FD";` + "\n"
	tests := []struct {
		name, text string
		fd, j1939  bool
	}{
		{"nothing", "", false, false},
		{"default as text", enum + `BA_DEF_DEF_ "VFrameFormat" "J1939PG";`, false, true},
		{"default as index", enum + `BA_DEF_DEF_ "VFrameFormat" 3;`, false, true},
		{"index", enum + `BA_ "VFrameFormat" BO_ 2364540158 3;`, false, true},
		{"text", enum + `BA_ "VFrameFormat" BO_ 2364540158 "ExtendedCAN_FD";`, true, false},
		{"the message knows better", enum + `BA_DEF_DEF_ "VFrameFormat" "J1939PG"; BA_ "VFrameFormat" BO_ 2364540158 1;`, false, false},
		{"number", `BA_DEF_ BO_ "VFrameFormat" INT 0 15; BA_ "VFrameFormat" BO_ 2364540158 15;`, true, false},
		{"number of a group", `BA_DEF_ BO_ "VFrameFormat" INT 0 15; BA_DEF_DEF_ "VFrameFormat" 3;`, false, true},
		{"protocol", `BA_DEF_ "ProtocolType" STRING; BA_DEF_DEF_ "ProtocolType" "J1939";`, false, true},
		{"protocol, message differs", enum + `BA_DEF_ "ProtocolType" STRING; BA_ "ProtocolType" "J1939"; BA_ "VFrameFormat" BO_ 2364540158 1;`, false, false},
		{"other protocol", `BA_DEF_ "ProtocolType" STRING; BA_ "ProtocolType" "GMLAN";`, false, false},
	}
	for _, test := range tests {
		m := mustParse(t, "BO_ 2364540158 EEC1: 8 X\n"+test.text).Messages[0]
		if m.FD != test.fd || m.J1939 != test.j1939 {
			t.Errorf("%s: FD %v, J1939 %v", test.name, m.FD, m.J1939)
		}
	}
}

func TestParseNothing(t *testing.T) {
	for _, text := range []string{
		"", "\x00\x01\x02binary", "<html><body>404 not found</body></html>",
		"PK\x03\x04", `{"version": "1"}`, strings.Repeat("\"", 1000),
	} {
		if db, err := Parse("f", []byte(text)); err == nil {
			t.Errorf("%q: parsed as %+v", text, db)
		} else if !strings.HasPrefix(err.Error(), "f: ") {
			t.Errorf("error %q does not name the file", err)
		}
	}
	if db, err := Parse("f", []byte(`VERSION ""`)); err != nil || len(db.Messages) != 0 {
		t.Errorf("a file without messages: %v", err)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	db, problems := parseText(t, "VERSION \"\"\n"+strings.Repeat("BO_ x\n", 5000))
	if len(problems) != maxProblems+1 || problems[maxProblems] != "5002:1: 4000 more problems, not listed" {
		t.Errorf("%d problems, the last %q", len(problems), problems[len(problems)-1])
	}
	_ = db
}

// TestHostileFiles: the work grows with the size of the file and not with its
// square, or this test would take minutes.
func TestHostileFiles(t *testing.T) {
	const n = 30000
	many := func(format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	const message = "BO_ 1 A: 8 X\n SG_ M M : 0|64@1+ (1,0) [0|0] \"\" X\n"
	for name, text := range map[string]string{
		"escaped quotes":   message + many("CM_ \\\"x\n") + `"x`,
		"open strings":     message + many("CM_ \"x\n"),
		"one line":         message + many("BO_ x "),
		"signals":          message + many(" SG_ S# : 0|8@1+ (1,0) [0|0] \"\" X\n"),
		"pages":            message + many(" SG_ S# m# : 0|8@1+ (1,0) [0|0] \"\" X\nSG_MUL_VAL_ 1 S# M #-99999999999;\n"),
		"nested pages":     message + many(" SG_ S# m#M : 0|8@1+ (1,0) [0|0] \"\" X\nSG_MUL_VAL_ 1 S# S1# 0-9;\n"),
		"attributes":       message + many("BA_DEF_ BO_ \"a#\" INT 0 1;\nBA_ \"a#\" BO_ 1 1;\n"),
		"values":           message + "VAL_ 1 M " + many("# \"x\" "),
		"nodes":            message + "BU_: " + many("N#\n"),
		"messages":         many("BO_ 2# A#: 8 X\n"),
		"same identifiers": many("BO_ 1 A#: 8 X\n"),
	} {
		db, err := Parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if plan := Compile([]*Database{db}, Options{}).Lookup(1, false); plan != nil {
			plan.Decode(make([]byte, 8), nil)
		}
	}
}

func TestNumbers(t *testing.T) {
	tests := map[string]float64{
		"1": 1, "+1": 1, "-1": -1, "08": 8, ".25": 0.25, "-.5": -0.5, "5.": 5, "1e3": 1000, "1.5E-3": 0.0015,
		"0x10": 16, "1.#INF": math.Inf(1), "-1.#INF": math.Inf(-1), "1.#QNAN": math.NaN(), "inf": math.Inf(1),
		"1e999": math.Inf(1), "18446744073709551615": 18446744073709551615, "9007199254740993": 9007199254740992,
	}
	for text, want := range tests {
		s := newScanner(text + "|")
		read := s.number()
		got, ok := float(read)
		if read != text || !ok || !sameBits(got, want) {
			t.Errorf("%s: read %q, value %v, want %v", text, read, got, want)
		}
	}
	for _, text := range []string{"", "+", ".", "-.", "e5", "x"} {
		s := newScanner(text)
		if read := s.number(); read != "" || s.pos != 0 {
			t.Errorf("%q: read %q", text, read)
		}
	}
}

func TestEncoding(t *testing.T) {
	tests := map[string]string{
		"a\r\nb\rc\n":          "a\nb\nc\n",
		"\xEF\xBB\xBF°":        "°",
		"\xB0C \x80 \x81 \xFF": "°C € \u0081 ÿ",
		"\xC2\xB0 valid":       "° valid",
	}
	for data, want := range tests {
		if got := decodeText([]byte(data)); got != want {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}
