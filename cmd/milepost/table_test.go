package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"milepost/aggregate"
)

// tableGroups are the series of a small vehicle.
func tableGroups() []*aggregate.Group {
	return []*aggregate.Group{
		{Bus: "can0", ID: 0x100, HasID: true, Name: "Engine", Series: []aggregate.Series{
			{Name: "EngineSpeed", Unit: "rpm", Factor: 0.25},
			{Name: "OilTemperature", Unit: "°C", Factor: 1, Offset: -40},
			{Name: "NeverSeen", Factor: 1},
		}},
		{Bus: "can0", ID: 0x18F00400, HasID: true, Extended: true, Name: "EEC1", Series: []aggregate.Series{
			{Name: "ActualRetarderPercentTorqueOfTheEngine", Unit: "percent of rated", Factor: 1},
		}},
		{Bus: "can1", ID: 0x7, HasID: true, Name: "Silent", Series: []aggregate.Series{{Name: "A", Factor: 1}}},
		{Bus: "gpio", Name: "doors", Series: []aggregate.Series{{Name: "open", Factor: -1e12}}},
	}
}

// drive gives second n of a drive of a length to add.
func drive(groups []*aggregate.Group, n, length int) *aggregate.Window {
	const second = 1_000_000_000
	w := aggregate.NewWindow((1_700_000_000+int64(n))*second, second, 0)
	var folder aggregate.ColumnFolder
	fill := func(g *aggregate.Group, raws ...int64) {
		summaries := w.AddGroup(g)
		for i, raw := range raws {
			column := aggregate.Column{Values: []int64{raw}, Weights: []uint32{uint32(i + 1)}}
			folder.Fold(&g.Series[i], column, w, &summaries[i])
		}
	}
	turn := math.Sin(2 * math.Pi * float64(n) / float64(length))
	fill(groups[0], int64(math.Round(8000+4000*turn)), int64(40+n/2))
	if n%10 < 5 {
		fill(groups[1], int64(n%3))
	}
	if n == 3 {
		fill(groups[3], 1)
	}
	return w
}

func TestTableGolden(t *testing.T) {
	for _, c := range [...]struct{ seconds, width int }{{10, 80}, {60, 120}, {600, 80}, {600, 200}} {
		t.Run(fmt.Sprintf("%ds in %d columns", c.seconds, c.width), func(t *testing.T) {
			table := newSignalTable()
			groups := tableGroups()
			for n := range c.seconds {
				w := drive(groups, n, c.seconds)
				table.add(w)
				w.Release()
			}
			var out bytes.Buffer
			if err := table.writeTo(&out, c.width); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if n := columns(strings.TrimSuffix(line, "\n")); n > c.width {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			golden(t, fmt.Sprintf("table_%d_%d.txt", c.seconds, c.width), out.Bytes())
		})
	}
}

// TestTableOrder checks that the order of windows and the group that stands for
// a series make no difference.
func TestTableOrder(t *testing.T) {
	const seconds = 200
	write := func(order func(n int) int, groups func(n int) []*aggregate.Group) string {
		table := newSignalTable()
		for n := range seconds {
			w := drive(groups(n), order(n), seconds)
			table.add(w)
			w.Release()
		}
		var out bytes.Buffer
		if err := table.writeTo(&out, 120); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	one, other := tableGroups(), tableGroups()
	forward := func(n int) int { return n }
	want := write(forward, func(int) []*aggregate.Group { return one })
	for name, got := range map[string]string{
		"backward": write(func(n int) int { return seconds - 1 - n }, func(int) []*aggregate.Group { return one }),
		"mixed":    write(func(n int) int { return n * 77 % seconds }, func(int) []*aggregate.Group { return one }),
		"workers":  write(forward, func(n int) []*aggregate.Group { return [][]*aggregate.Group{one, other}[n%2] }),
	} {
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestTableEmpty(t *testing.T) {
	table := newSignalTable()
	table.add(aggregate.NewWindow(0, 1_000_000_000, 0))
	var out bytes.Buffer
	if err := table.writeTo(&out, 80); err != nil || out.Len() > 0 {
		t.Errorf("wrote %q, %v", out.String(), err)
	}
}

func TestTableAllocations(t *testing.T) {
	table := newSignalTable()
	groups := tableGroups()
	windows := make([]*aggregate.Window, 200)
	for n := range windows {
		windows[n] = drive(groups, n, len(windows))
	}
	table.add(windows[3]) // has all groups
	allocations := testing.AllocsPerRun(1, func() {
		for _, w := range windows {
			table.add(w)
		}
	})
	if allocations > 0 {
		t.Errorf("%v allocations in %d windows", allocations, len(windows))
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]string{
		"Speed": "Speed", "WheelSpeedFrontLeft": "Wheel…Left", "äöüäöüäöüäöü": "äöüäö…üäöü",
	} {
		if got := cut(text, 10); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func BenchmarkTableAdd(b *testing.B) {
	table := newSignalTable()
	groups := tableGroups()
	w := drive(groups, 0, 100)
	series := 0
	for i := range w.Groups {
		series += len(w.Groups[i].Summaries)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Start += w.Duration
		table.add(w)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*series), "ns/series")
}
