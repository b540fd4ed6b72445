package canlog

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"milepost/can"
)

// TestLines reads lines of all dialects, one at a time.
func TestLines(t *testing.T) {
	const now = 1533201287_000013_000
	const at = "(1533201287.000013) "
	for _, test := range []struct {
		line string
		want named
	}{
		{at + "can0 2C1#0014DF14BBCA3A91", named{now, "can0", 0x2C1, 0, 8, 0, "0014df14bbca3a91"}},
		{at + "can0 2C1#0014DF14BBCA3A91 R", named{now, "can0", 0x2C1, 0, 8, 0, "0014df14bbca3a91"}},
		{at + "can0 2C1#00 T", named{now, "can0", 0x2C1, can.Sent, 1, 0, "00"}},
		{at + "can0 2c1#aaBBcC", named{now, "can0", 0x2C1, 0, 3, 0, "aabbcc"}},
		{at + "  can0 2C1#", named{now, "can0", 0x2C1, 0, 0, 0, ""}},
		{at + "can0 000002C1#00", named{now, "can0", 0x2C1, can.Extended, 1, 0, "00"}},
		{at + "can0 2C1#00.11.22", named{now, "can0", 0x2C1, 0, 3, 0, "001122"}},
		{at + "can0 2C1#.00.11", named{now, "can0", 0x2C1, 0, 2, 0, "0011"}},
		{at + "can0 2C1#0011223344556677_9", named{now, "can0", 0x2C1, 0, 8, 9, "0011223344556677"}},
		{at + "can0 2C1#R", named{now, "can0", 0x2C1, can.Remote, 0, 0, ""}},
		{at + "can0 2C1#r7", named{now, "can0", 0x2C1, can.Remote, 7, 0, ""}},
		{at + "can0 2C1#R8_F T", named{now, "can0", 0x2C1, can.Remote | can.Sent, 8, 15, ""}},
		{at + "can0 20000080#0000000000000001", named{now, "can0", 0x80, can.Error, 8, 0, "0000000000000001"}},
		{at + "can0 2C1##0", named{now, "can0", 0x2C1, can.FD, 0, 0, ""}},
		{at + "can0 2C1##111", named{now, "can0", 0x2C1, can.FD | can.BRS, 1, 0, "11"}},
		{at + "can0 2C1##6.11.22", named{now, "can0", 0x2C1, can.FD | can.ESI, 2, 0, "1122"}},
		{at + "can0 1FFFFFFF##7112233445566778899", named{now, "can0", can.MaxExtendedID, can.Extended | can.FD | can.BRS | can.ESI, 9, 0, "112233445566778899"}},
		// times
		{"(1533201287.000013999) can0 2C1#", named{now + 999, "can0", 0x2C1, 0, 0, 0, ""}},
		{"(0000000000.352000) can0 2C1#", named{352e6, "can0", 0x2C1, 0, 0, 0, ""}},
		{"(166.5) can0 2C1#", named{166.5e9, "can0", 0x2C1, 0, 0, 0, ""}},
		{"(9223372035.999999999) can0 2C1#", named{9223372035_999999999, "can0", 0x2C1, 0, 0, 0, ""}},
		{"(012.000001)  can0  2C1   [0] ", named{12_000001_000, "can0", 0x2C1, 0, 0, 0, ""}},
		{" (2018-08-02 09:14:47.000013)  can0  2C1   [0] ", named{now, "can0", 0x2C1, 0, 0, 0, ""}},
		{" (2018-08-02 09:14:47.000013042)  can0  2C1   [0] ", named{now + 42, "can0", 0x2C1, 0, 0, 0, ""}},
		// without a time, an interface, or both
		{"can1 2C1#0011", named{0, "can1", 0x2C1, 0, 2, 0, "0011"}},
		{at + "2C1#0011", named{now, "can0", 0x2C1, 0, 2, 0, "0011"}},
		{"2C1#0011", named{0, "can0", 0x2C1, 0, 2, 0, "0011"}},
		{"2C1  [2] 00 11", named{0, "can0", 0x2C1, 0, 2, 0, "0011"}},
		{"can0 00001337 [08] 08 07 06 05 04 03 02 01", named{0, "can0", 0x1337, can.Extended | can.FD, 8, 0, "0807060504030201"}},
		// console
		{" " + at + " can0  2C1   [2]  00 11", named{now, "can0", 0x2C1, 0, 2, 0, "0011"}},
		{" " + at + " can0       2C1  [02]  00 11", named{now, "can0", 0x2C1, can.FD, 2, 0, "0011"}},
		{" " + at + " can0  RX B -  2C1  [01]  00", named{now, "can0", 0x2C1, can.FD | can.BRS, 1, 0, "00"}},
		{" " + at + " can0  TX - E  2C1  [01]  00", named{now, "can0", 0x2C1, can.FD | can.ESI | can.Sent, 1, 0, "00"}},
		{" " + at + " can0  TX - -  2C1   [1]  00", named{now, "can0", 0x2C1, can.Sent, 1, 0, "00"}},
		{" " + at + " can0  2C1   {C}  00 11 22 33 44 55 66 77", named{now, "can0", 0x2C1, 0, 8, 12, "0011223344556677"}},
		{" " + at + " can0  2C1   {3}  00 11 22", named{now, "can0", 0x2C1, 0, 3, 0, "001122"}},
		{" " + at + " can0  2C1   [5]  remote request", named{now, "can0", 0x2C1, can.Remote, 5, 0, ""}},
		{" " + at + " can0  2C1   {D}  remote request", named{now, "can0", 0x2C1, can.Remote, 8, 13, ""}},
		{" " + at + " can0  20000004   [8]  00 20 00 00 00 00 00 00   ERRORFRAME", named{now, "can0", 4, can.Error, 8, 0, "0020000000000000"}},
		{" " + at + " can0  2C1   [3]  41 20 23               'A #'", named{now, "can0", 0x2C1, 0, 3, 0, "412023"}},
		{" " + at + " can0  2C1   [3]  41 27 2D               'A'-'", named{now, "can0", 0x2C1, 0, 3, 0, "41272d"}},
		{" " + at + " can0  2C1   [0]                            ''", named{now, "can0", 0x2C1, 0, 0, 0, ""}},
		{" " + at + " can0  2C1   [3]  22`11`00               `\".`", named{}},
		{" " + at + " can0  2C1   [3]  22`11`41               `\".A`", named{now, "can0", 0x2C1, 0, 3, 0, "411122"}},
		{" " + at + " can0  2C1   [2]  00000001 11111110", named{now, "can0", 0x2C1, 0, 2, 0, "01fe"}},
		{" " + at + " can0  2C1   [2]  11111110`00000001", named{now, "can0", 0x2C1, 0, 2, 0, "01fe"}},
		{" " + at + " \x1b[1m\x1b[34mcan0\x1b[0m  2C1   [1]  00", named{now, "can0", 0x2C1, 0, 1, 0, "00"}},
		{" \x1b[34m" + at + " can0  2C1   [1]  00\x1b[0m", named{now, "can0", 0x2C1, 0, 1, 0, "00"}},
		// Angstrom
		{"<0x18eeff01> [8] 05 a0 be 1c 00 a0 a0 c0 ", named{0, "can0", 0x18EEFF01, can.Extended, 8, 0, "05a0be1c00a0a0c0"}},
		{"<0x123> [2] 05 a0 ", named{0, "can0", 0x123, 0, 2, 0, "05a0"}},
		{"<0x123> [2] remote request", named{0, "can0", 0x123, can.Remote, 2, 0, ""}},
		// none of all that
		{at, named{}},
		{at + "can0", named{}},
		{at + "can0 2C1", named{}},
		{at + "can0 2C#00", named{}},
		{at + "can0 2CG#00", named{}},
		{at + "can0 800#00", named{}},
		{at + "can0 80000000#00", named{}},
		{at + "can0 60000000#00", named{}},
		{at + "can0 2C1#0", named{}},
		{at + "can0 2C1#0G", named{}},
		{at + "can0 2C1#00..11", named{}},
		{at + "can0 2C1#001122334455667788", named{}},
		{at + "can0 2C1#00 X", named{}},
		{at + "can0 2C1#00 R T", named{}},
		{at + "can0 2C1#R9", named{}},
		{at + "can0 2C1#R55", named{}},
		{at + "can0 2C1#R8_8", named{}},
		{at + "can0 2C1#R7_9", named{}},
		{at + "can0 2C1#0011_9", named{}},
		{at + "can0 2C1#0011223344556677_8", named{}},
		{at + "can0 2C1#0011223344556677_", named{}},
		{at + "can0 2C1##", named{}},
		{at + "can0 2C1##G", named{}},
		{at + "can0 2C1##40", named{}},
		{at + "can0 2C1##4" + strings.Repeat("00", 65), named{}},
		{at + "can0 20000080##4", named{}},
		{at + "can0 20000080#R", named{}},
		{at + "can0 2E244#80:CA:A26B7F62#", named{}},
		{at + "can0 2E244#80", named{}},
		{at + "c\x01n0 2C1#00", named{}},
		{at + strings.Repeat("x", 65) + " 2C1#00", named{}},
		{"(1533201287.0000130000) can0 2C1#00", named{}},
		{"(1533201287.) can0 2C1#00", named{}},
		{"(1533201287) can0 2C1#00", named{}},
		{"(-153320128.000013) can0 2C1#00", named{}},
		{"(9999999999.000000) can0 2C1#00", named{}},
		{"(1533201287.000013 can0 2C1#00", named{}},
		{"(2018-13-02 09:14:47.000013)  can0  2C1   [0] ", named{}},
		{"(2018-08-02 09:14:47)  can0  2C1   [0] ", named{}},
		{" can0  2C1   [2]  00", named{}},
		{" can0  2C1   [2]  00 11 22", named{}},
		{" can0  2C1   [2]  00 1", named{}},
		{" can0  2C1   [9]  00 11 22 33 44 55 66 77 88", named{}},
		{" can0  2C1   [65]  00", named{}},
		{" can0  2C1   [123]  00", named{}},
		{" can0  2C1   {G}  00", named{}},
		{" can0  2C1   []  00", named{}},
		{" can0  2C1   [2]  22`11 00", named{}},
		{" can0  2C1   [2]  22 11`", named{}},
		{" can0  2C1   [2]  00000001 00000012", named{}},
		{" can0  2C1   [02]  remote request", named{}},
		{" can0  RX -  2C1   [1]  00", named{}},
		{"<0x18eeff01 [1] 05", named{}},
		{"<0x> [1] 05", named{}},
		{"interface = , family = 29", named{}},
		{"hello world", named{}},
		{"\x00\x00\x00", named{}},
	} {
		var problems []Problem
		s := newScanner("x.log", Options{OnProblem: func(p Problem) { problems = append(problems, p) }})
		// What is behind the end must not matter.
		text := append([]byte(test.line), "FFFF R\n(1"...)
		s.setText(text[:len(test.line)], 0)
		frames := make([]can.Frame, 1)
		frames[0].Data = [can.MaxDataLen]byte{0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE}
		var got named
		n := s.read(frames)
		if n > 0 {
			got = name(&frames[0], s.buses)
		}
		if got != test.want {
			t.Errorf("%q:\ngot  %+v %v\nwant %+v", test.line, got, problems, test.want)
		}
		checkBalance(t, s.stats)
		if (len(problems) == 1) != (n == 0) || len(problems) > 1 || uint64(len(problems)) != s.stats.Bad {
			t.Errorf("%q: problems %v", test.line, problems)
		}
		for _, p := range problems {
			if p.File != "x.log" || p.Line != 1 || p.Offset != 0 || p.Reason == "" {
				t.Errorf("%q: problem %+v", test.line, p)
			}
		}
	}
}

// TestCounters reads a log that has one of everything.
func TestCounters(t *testing.T) {
	text := strings.Join([]string{
		"\xef\xbb\xbf# written by hand",
		"",
		"   ",
		"(1000000000.000000) can0 123#11",
		"(1000000001.000000) can0 123#11",
		"(1000000002.000000) can0 123##4",
		"(1000000003.000000) can0 2E244#80:CA:A26B7F62#4D",
		"can0 123#22",
		"DROPCOUNT: dropped 17 CAN frames on 'can0' socket (total drops 17)",
		"nonsense",
		"(1000000004.000000) can1 123#R",
		" (1000000005.000000)  can1  20000004   [8]  00 20 00 00 00 00 00 00   ERRORFRAME",
		"\tcontroller-problem{tx-error-passive}",
		"\terror-counter-tx-rx{{128}{0}}",
		" (1000000006.000000)  can1  123   [0] ",
		"\tan indented line",
		"interface = can7, family = 29, type = 3, proto = 1",
		"<0x123> [1] 33",
		"(1000000009.000000) can0 123#2",
	}, "\r\n")
	var problems []string
	log, err := NewReader("x.log", strings.NewReader(text), Options{
		OnProblem: func(p Problem) { problems = append(problems, p.String()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	got := readAll(t, log)
	want := []named{
		{1000000000e9, "can0", 0x123, 0, 1, 0, "11"},
		{1000000001e9, "can0", 0x123, 0, 1, 0, "11"},
		{1000000002e9, "can0", 0x123, can.FD, 0, 0, ""},
		{1000000003e9, "can0", 0x123, 0, 1, 0, "22"}, // that of the CAN XL frame
		{1000000004e9, "can1", 0x123, can.Remote, 0, 0, ""},
		{1000000005e9, "can1", 4, can.Error, 8, 0, "0020000000000000"},
		{1000000006e9, "can1", 0x123, 0, 0, 0, ""},
		{1000000006e9, "can7", 0x123, 0, 1, 0, "33"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stats := Stats{
		Bytes: int64(len(text)), Lines: 19, Frames: 8, Remote: 1, Errors: 1, FD: 1, NoTime: 2,
		XL: 1, Comments: 5, Details: 2, Bad: 3, RecorderDrops: 17, Truncated: true, CutOff: true,
	}
	if diff := cmp.Diff(stats, log.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		`x.log:10: no frame behind the interface: "nonsense"`,
		`x.log:16: the ID is not hexadecimal: "\tan indented line"`,
		`x.log:19: half a data byte: "(1000000009.000000) can0 123#2"`,
	}, problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOptions(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones here: ", err)
	}
	base := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	at := func(d time.Duration) int64 { return base.Add(d).UnixNano() }
	const ms = time.Millisecond
	deltas := " (000.000000)  can0  123   [0] \n (000.010000)  can0  123   [0] \n (000.005000)  can0  123   [0] \n (000.010000)  can0  123   [0] \n"
	zeroBased := " (000.000000)  can0  123   [0] \n (000.010000)  can0  123   [0] \n (000.015000)  can0  123   [0] \n"
	for _, test := range []struct {
		name string
		opts Options
		text string
		want []int64
	}{
		{"local time", Options{Location: berlin},
			" (2018-08-02 11:14:47.000013)  can0  123   [0] \n (2018-12-02 10:14:47.000000)  can0  123   [0] \n",
			[]int64{1533201287_000013_000, time.Date(2018, 12, 2, 9, 14, 47, 0, time.UTC).UnixNano()}},
		{"no time", Options{Base: base}, "can0 123#11\ncan0 123#22\n", []int64{at(0), at(0)}},
		{"deltas", Options{Base: base}, deltas, []int64{at(0), at(10 * ms), at(15 * ms), at(25 * ms)}},
		{"not deltas", Options{Base: base, Relative: RelativeToStart}, deltas, []int64{at(0), at(10 * ms), at(5 * ms), at(10 * ms)}},
		{"times since the start", Options{Base: base}, zeroBased, []int64{at(0), at(10 * ms), at(15 * ms)}},
		{"seconds since 1970", Options{Base: base}, "(166.000000) can0 123#11\n", []int64{166e9}},
	} {
		t.Run(test.name, func(t *testing.T) {
			log, err := NewReader("log", strings.NewReader(test.text), test.opts)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, f := range readAll(t, log) {
				got = append(got, f.Time)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	log, err := NewReader("log", strings.NewReader("123#11\n"), Options{DefaultBus: "powertrain"})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, log); got[0].Bus != "powertrain" {
		t.Errorf("DefaultBus: %+v", got)
	}
}
