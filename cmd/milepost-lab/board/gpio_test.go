package board_test

import (
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
)

// TestBoardGPIO: lines have names, the host's edges arrive on all of them, each
// once and in order, and the guest's outputs are seen.
func TestBoardGPIO(t *testing.T) {
	const edges = 500
	names := []string{"ignition", "door", "wheel", "panic", "in4", "in5", "relay0", "relay1"}
	onMachines(t, func(t *testing.T, m board.Machine) {
		b := boardtest.Start(t, board.Options{Machine: m, Lines: names})
		infos, err := b.LineInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(infos) != board.GPIOLines {
			t.Fatalf("there are %d lines: %+v", len(infos), infos)
		}
		for i, info := range infos {
			if info.Name != names[i] || info.Consumer != "" {
				t.Errorf("line %d is %+v, want %s, free", i, info, names[i])
			}
		}
		checkEdges(t, b, edges)
		checkOutputs(t, m)
	})
}

func checkEdges(t *testing.T, b *board.Board, edges int) {
	t.Helper()
	var lines []int
	for line := range board.GPIOLines {
		lines = append(lines, line)
	}
	w, err := b.WatchLines(t.Context(), 0, lines...)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	// A line changes again only when its last edge was seen: edges that a busy
	// machine merges would not be the guest's fault.
	rising := func(i int) bool { return i/board.GPIOLines%2 == 0 }
	for i := range edges {
		if err := b.SetLine(i%board.GPIOLines, rising(i)); err != nil {
			t.Fatal(err)
		}
		if i%board.GPIOLines == board.GPIOLines-1 {
			if _, err := w.Edges(t.Context(), 0, i+1, patience); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := w.Edges(t.Context(), 0, edges, patience)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != edges {
		t.Errorf("%d of %d edges were seen", len(got), edges)
	}
	seen := map[int]int{} // by line
	for i, e := range got {
		if int(e.Sequence) != i+1 {
			t.Fatalf("edge %d is %+v: one is missing", i, e)
		}
		if want := seen[e.Line]%2 == 0; e.Rising != want {
			t.Fatalf("edge %d is %+v, want rising = %v", i, e, want)
		}
		if i > 0 && e.At < got[i-1].At-time.Second {
			t.Errorf("edge %d is of %v, the one before of %v", i, e.At, got[i-1].At)
		}
		seen[e.Line]++
	}
	if len(seen) != board.GPIOLines {
		t.Errorf("edges by line: %v", seen)
	}
	t.Logf("%d edges on %d lines in %.1f s", len(got), len(seen), time.Since(begin).Seconds())
}

func checkOutputs(t *testing.T, m board.Machine) {
	t.Helper()
	b := boardtest.Start(t, board.Options{Machine: m})
	o, err := b.DriveLines(t.Context(), []int{6, 7}, []int{1, 0})
	if err != nil {
		t.Fatal(err)
	}
	for i, levels := range [][2]bool{{true, false}, {false, true}, {true, true}, {false, false}} {
		if i > 0 {
			if err := o.Set(t.Context(), level(levels[0]), level(levels[1])); err != nil {
				t.Fatal(err)
			}
		}
		for j, high := range levels {
			if err := b.WaitOutput(t.Context(), 6+j, high); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func level(high bool) int {
	if high {
		return 1
	}
	return 0
}
