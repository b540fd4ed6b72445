package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
	"milepost/can"
	"milepost/can/cantest"
	"milepost/cmd/internal/gateway"
	"milepost/uplink"
)

const testDevice = "car"

var testBoot = uplink.BootID{1, 2, 3}

// testAccount is an account of 3 windows of 2 series, and the 6 lines that are
// a faultless delivery of it.
func testAccount(t *testing.T) (*account, []string) {
	t.Helper()
	group := &aggregate.Group{Bus: "can0", ID: 0x123, HasID: true, Name: "Engine", Series: []aggregate.Series{
		{Name: "Speed", Unit: "rpm", Bits: 16, Factor: 0.25},
		{Name: "Temperature", Unit: "°C", Bits: 8, Factor: 1, Offset: -40},
	}}
	a := newAccount(0)
	var lines []string
	for n := range int64(3) {
		w := aggregate.NewWindow(n*1e9, 1e9, 0)
		summaries := w.AddGroup(group)
		for i := range summaries {
			low, high := 100+n, 120+n*n
			s := aggregate.Summary{
				Count: 3, Min: low, Max: high, First: high, Last: low,
				Sum: aggregate.Sum{Low: uint64(2*low + high)}, Histogram: histogram.New(),
			}
			s.Histogram.Add(group.Series[i].Physical(low), 2)
			s.Histogram.Add(group.Series[i].Physical(high), 1)
			summaries[i] = s
			record := uplink.Record{
				Device: testDevice, Boot: testBoot, Sequence: uint64(len(lines) + 1),
				Start: w.Start, Duration: w.Duration, Group: group, Series: &group.Series[i], Summary: s,
			}
			lines = append(lines, string(uplink.JSON.AppendOne(nil, &record)))
		}
		a.add(w)
	}
	return a, lines
}

func check(t *testing.T, a *account, lines []string) *checker {
	t.Helper()
	c := newChecker(a, testDevice, testBoot)
	if err := c.read(strings.NewReader(strings.Join(lines, "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestChecker: every kind of damage to a delivery is found and named.
func TestChecker(t *testing.T) {
	a, lines := testAccount(t)
	replaced := func(line int, old, new string) []string {
		t.Helper()
		damaged := slices.Clone(lines)
		damaged[line] = strings.Replace(lines[line], old, new, 1)
		if damaged[line] == lines[line] {
			t.Fatalf("no %s in %s", old, lines[line])
		}
		return damaged
	}
	altered := findings{Delivered: 5, Altered: 1}
	for _, c := range []struct {
		name  string
		lines []string
		want  findings
		says  string
	}{
		{"whole", lines, findings{Delivered: 6}, ""},
		{"sent again", slices.Concat(lines[:4], lines[1:]), findings{Delivered: 6, Copies: 3}, ""},
		{"nothing", nil, findings{Missing: 6, Unexpected: 1}, "record 1 (00:00:00 can0 123 Engine.Speed) is missing"},
		{"one lost", slices.Delete(slices.Clone(lines), 2, 3), findings{Delivered: 5, Missing: 1}, "record 3 (00:00:01 can0 123 Engine.Speed) is missing"},
		{"the last lost", lines[:5], findings{Delivered: 5, Missing: 1}, "record 6 "},
		{"out of order", []string{lines[0], lines[2], lines[1], lines[3], lines[4], lines[5]}, findings{Delivered: 6, Disordered: 1}, "arrived after record 3"},
		{"a copy with another value", append(slices.Clone(lines), replaced(0, `"count":3`, `"count":4`)[0]), findings{Delivered: 6, Altered: 1}, "count is 4, not 3"},
		{"another count", replaced(1, `"count":3`, `"count":4`), altered, "record 2 (00:00:00 can0 123 Engine.Temperature): count is 4, not 3"},
		{"another minimum", replaced(0, `"min":25`, `"min":24`), altered, "min is 24, not 25"},
		{"another maximum", replaced(0, `"max":30`, `"max":30.25`), altered, "max is 30.25, not 30"},
		{"another sum", replaced(0, `"sum":80`, `"sum":81`), altered, "sum is 81, not 80"},
		{"another first", replaced(0, `"first":30`, `"first":29`), altered, "first is 29, not 30"},
		{"another last", replaced(0, `"last":25`, `"last":26`), altered, "last is 26, not 25"},
		{"another bucket", replaced(0, `"hist_pos_offset":`, `"hist_pos_offset":1`), altered, "the histogram is another one"},
		{"another window", replaced(0, `"window":0`, `"window":5`), altered, "window 5000000000+"},
		{"a correction", replaced(0, `"duration":1`, `"duration":1,"revision":1`), altered, "revision 1"},
		{"another bus", replaced(0, `"can0"`, `"can1"`), altered, "is of can1 123 Engine.Speed [rpm], not [rpm]"},
		{"another ID", replaced(0, `"123"`, `"00000123"`), altered, "is of can0 00000123 "},
		{"another signal", replaced(0, `"Speed"`, `"Torque"`), altered, "Engine.Torque"},
		{"another unit", replaced(0, `"rpm"`, `"1/s"`), altered, "[1/s], not [rpm]"},
		{"another sequence", replaced(0, `"seq":1`, `"seq":7`), findings{Delivered: 5, Missing: 1, Unexpected: 1}, "which has 6"},
		{"no sequence", replaced(0, `"seq":1`, `"seq":0`), findings{Delivered: 5, Missing: 1, Unexpected: 1}, "none of this replay"},
		{"the sequence of another", replaced(0, `"seq":1`, `"seq":2`), findings{Delivered: 4, Missing: 1, Altered: 1, Copies: 1}, "record 2 "},
		{"another device", replaced(0, `"car"`, `"van"`), findings{Delivered: 5, Missing: 1, Unexpected: 1}, "van/"},
		{"another boot", replaced(0, `"boot":"01`, `"boot":"ff`), findings{Delivered: 5, Missing: 1, Unexpected: 1}, "/ff"},
		{"a torn line", replaced(0, `"hist_neg":[]}`, ``), findings{Delivered: 5, Missing: 1, Unexpected: 1}, "line 1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := check(t, a, c.lines).found
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(findings{}, "Examples")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if said := strings.Join(got.Examples, "\n"); !strings.Contains(said, c.says) {
				t.Errorf("it says %q, not %q", said, c.says)
			}
			if whole := c.says == ""; got.right() != whole {
				t.Errorf("right: %v", got.right())
			}
		})
	}
}

// TestCheckerNamesTheFirst: the examples are few, whatever there is to find.
func TestCheckerNamesTheFirst(t *testing.T) {
	a, _ := testAccount(t)
	c := newChecker(a, testDevice, testBoot)
	if err := c.read(strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	if c.found.Missing != 6 || len(c.found.Examples) != maxExamples {
		t.Errorf("%d missing, %d named", c.found.Missing, len(c.found.Examples))
	}
}

// TestCompareSent: what was delivered as it was summarised is still wrong where
// the vehicle has sent something else.
func TestCompareSent(t *testing.T) {
	a, lines := testAccount(t)
	sent := func() *vehicle {
		message := &cantest.Message{Name: "Engine", ID: 0x123, Signals: []cantest.Signal{
			{Name: "Speed", Factor: 0.25, Group: cantest.NoGroup},
			{Name: "Temperature", Factor: 1, Offset: -40, Group: cantest.NoGroup},
			{Name: "NeverSent", Factor: 1, Group: 4},
		}}
		all := sentSignal{count: 9, min: 100, max: 124, first: 120, last: 102}
		return &vehicle{frames: 9, sent: []sentMessage{{bus: "can0", message: message, signals: []sentSignal{all, all, {}}}}}
	}
	for _, c := range []struct {
		name string
		sent func(v *vehicle)
		want uint64
		says string
	}{
		{"the same", func(*vehicle) {}, 0, ""},
		{"one sample more", func(v *vehicle) { v.sent[0].signals[0].count++ }, 1, "can0 123 Engine.Speed: 9 samples were delivered, 10 were sent"},
		{"a lower minimum", func(v *vehicle) { v.sent[0].signals[1].min-- }, 1, "Engine.Temperature: min, max, first, last 60,"},
		{"a higher maximum", func(v *vehicle) { v.sent[0].signals[1].max++ }, 1, "Temperature"},
		{"another first", func(v *vehicle) { v.sent[0].signals[1].first++ }, 1, "Temperature"},
		{"another last", func(v *vehicle) { v.sent[0].signals[1].last++ }, 1, "Temperature"},
		{"a signal that did not arrive", func(v *vehicle) { v.sent[0].signals[2].count = 1 }, 1, "NeverSent: 0 samples were delivered, 1 were sent"},
		{"another bus", func(v *vehicle) { v.sent[0].bus = "can1" }, 4, "can0 123 Engine.Speed: 9 samples were delivered, none was sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := sent()
			c.sent(v)
			checker := check(t, a, lines)
			checker.compareSent(v)
			if checker.found.Different != c.want || checker.found.right() != (c.want == 0) {
				t.Errorf("%+v", checker.found)
			}
			if said := strings.Join(checker.found.Examples, "\n"); !strings.Contains(said, c.says) {
				t.Errorf("it says %q, not %q", said, c.says)
			}
		})
	}
}

func TestCompareLedger(t *testing.T) {
	a, lines := testAccount(t)
	v := &vehicle{frames: 9, sent: []sentMessage{{signals: []sentSignal{{count: 9}, {count: 9}}}}}
	balanced := gateway.Ledger{Frames: 9, Decoded: 9, Samples: 18, Records: 6}
	for _, c := range []struct {
		change func(l *gateway.Ledger)
		want   uint64
	}{
		{func(*gateway.Ledger) {}, 0},
		{func(l *gateway.Ledger) { l.Frames-- }, 1},
		{func(l *gateway.Ledger) { l.Decoded--; l.Unknown++ }, 1},
		{func(l *gateway.Ledger) { l.Samples++ }, 1},
		{func(l *gateway.Ledger) { l.Records-- }, 1},
	} {
		ledger := balanced
		c.change(&ledger)
		checker := check(t, a, lines)
		checker.compareLedger(v, &ledger)
		if checker.found.Unbalanced != c.want || checker.found.right() != (c.want == 0) {
			t.Errorf("%+v: %+v", ledger, checker.found)
		}
	}
}

// TestVehicle: multiplexed signals count where the multiplexor selects them.
func TestVehicle(t *testing.T) {
	message := &cantest.Message{Name: "Cells", ID: 0x200, Signals: []cantest.Signal{
		{Name: "Bank", Start: 0, Bits: 8, Role: cantest.Selector, Group: cantest.NoGroup},
		{Name: "Cell1", Start: 8, Bits: 8, Group: 0},
		{Name: "Cell2", Start: 8, Bits: 8, Group: 1, Signed: true},
	}}
	v := &vehicle{sent: []sentMessage{{bus: "can0", message: message, selector: message.Selector(), signals: make([]sentSignal, 3)}}}
	for _, payload := range [][2]byte{{0, 10}, {1, 0xfe}, {0, 5}, {2, 99}, {0, 7}} {
		f := can.Frame{ID: 0x200, Len: 8}
		copy(f.Data[:], payload[:])
		if err := v.note(&f); err != nil {
			t.Fatal(err)
		}
	}
	want := []sentSignal{
		{count: 5, min: 0, max: 2, first: 0, last: 0},
		{count: 3, min: 5, max: 10, first: 10, last: 7},
		{count: 1, min: -2, max: -2, first: -2, last: -2},
	}
	if diff := cmp.Diff(want, v.sent[0].signals, cmp.AllowUnexported(sentSignal{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if v.samples() != 9 {
		t.Errorf("%d samples", v.samples())
	}
}

func TestCurve(t *testing.T) {
	var c curve
	c.add(0, 0, 1)
	c.add(1, 50, 10)
	c.add(1, 30, 10)
	c.add(3, 7, 1)
	c.add(curveColumns, 8, 1) // beyond the end
	if got, want := c.String(), "▁▅ █"+strings.Repeat(" ", curveColumns-5)+"█"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	var flat curve
	flat.add(2, 5, 1)
	if got, want := flat.String(), "  ▁"+strings.Repeat(" ", curveColumns-3); got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
