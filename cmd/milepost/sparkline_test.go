package main

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestTimeline puts windows in any order on a timeline and checks that each is
// found where it belongs and that nothing is lost.
func TestTimeline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.Int64Range(-200, 200)
		far := rapid.Int64()
		windows := rapid.SliceOfN(rapid.OneOf(near, near, near, far), 1, 40).Draw(t, "windows")
		var axis timeline
		var c curve
		for i, w := range windows {
			at := axis.reach(w, c.follow)
			c[at].add(1, 1)
			weights := make(map[int64]float64)
			for _, w := range windows[:i+1] {
				weights[w>>axis.merged]++
			}
			if axis.used > curveCells {
				t.Fatalf("%d cells", axis.used)
			}
			for i, cell := range c {
				n := axis.first + int64(i)
				want := 0.0
				if i < axis.used {
					want = weights[n]
				}
				if cell.weight != want {
					t.Fatalf("after window %d: cell %d has %v windows, want %v", w, n, cell.weight, want)
				}
				delete(weights, n)
			}
			if len(weights) > 0 {
				t.Fatalf("after window %d: no cells for %v", w, weights)
			}
		}
	})
}

// TestTimelineResolution checks that cells are no longer than they must be.
func TestTimelineResolution(t *testing.T) {
	for windows, want := range map[int64]uint{1: 0, 64: 0, 65: 1, 128: 1, 129: 2, 86400: 11} {
		var axis timeline
		for w := range windows {
			axis.reach(w+1<<20, func(curveChange) {})
		}
		if axis.merged != want {
			t.Errorf("%d windows: merged %d times, want %d", windows, axis.merged, want)
		}
	}
}

func TestSparkline(t *testing.T) {
	for _, c := range [...]struct {
		values []float64
		width  int
		want   string
	}{
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7}, 64, "▁▂▃▄▅▆▇█"},
		{[]float64{7, 0}, 64, "█▁"},
		{[]float64{5, 5, 5}, 64, "▁▁▁"},
		{[]float64{1, math.NaN(), 3}, 64, "▁ █"},
		{[]float64{1, 1, 2, 2, 3, 3}, 3, "▁▅█"},
		{[]float64{-math.MaxFloat64, 0, math.MaxFloat64}, 64, "▁▅█"},
		{[]float64{math.Inf(1), 0, 1}, 64, " ▁█"},
		{[]float64{1e9, 1e9 + 1, 1e9 + 2}, 64, "▁▅█"},
		{nil, 64, ""},
		{[]float64{1, 2}, 0, ""},
	} {
		var drawn curve
		for i, v := range c.values {
			if !math.IsNaN(v) {
				drawn[i].add(v, 1)
			}
		}
		if got := string(drawn.sparkline(nil, len(c.values), c.width)); got != c.want {
			t.Errorf("%v in %d columns: %q, want %q", c.values, c.width, got, c.want)
		}
	}
}
