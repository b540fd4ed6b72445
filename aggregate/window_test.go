package aggregate

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// copyOf is a copy of a window that shares no memory with it.
func copyOf(w *Window) *Window {
	c := &Window{Start: w.Start, Duration: w.Duration, Revision: w.Revision}
	for _, g := range w.Groups {
		copied := GroupSummary{Group: g.Group}
		for i := range g.Summaries {
			var s Summary // with no samples the other fields mean nothing
			if g.Summaries[i].Count != 0 {
				s = g.Summaries[i].clone()
			}
			copied.Summaries = append(copied.Summaries, s)
		}
		c.Groups = append(c.Groups, copied)
	}
	return c
}

// diffWindows tells where two windows differ, empty if nowhere. Groups are the
// same if they are equal in order.
func diffWindows(want, got *Window) string {
	if want.Start != got.Start || want.Duration != got.Duration || want.Revision != got.Revision || len(want.Groups) != len(got.Groups) {
		return fmt.Sprintf("%d, %d, revision %d, %d groups; want %d, %d, revision %d, %d groups", got.Start, got.Duration, got.Revision, len(got.Groups),
			want.Start, want.Duration, want.Revision, len(want.Groups))
	}
	for i, g := range want.Groups {
		o := got.Groups[i]
		if g.Group.Compare(o.Group) != 0 || len(g.Summaries) != len(o.Summaries) {
			return fmt.Sprintf("group %d is %+v, want %+v", i, o.Group, g.Group)
		}
		for j := range g.Summaries {
			if diff := sameSummary(g.Summaries[j], o.Summaries[j]); diff != "" {
				return fmt.Sprintf("group %d, series %d %s", i, j, diff)
			}
		}
	}
	return ""
}

var mergeGroups = func() (groups []*Group) {
	for i := range 8 {
		groups = append(groups, &Group{Bus: fmt.Sprintf("can%d", 3*i), Series: []Series{
			{Name: "a", Bits: 16, Factor: 0.5, Offset: -1}, {Name: "b", Kind: Float, Bits: 64, Factor: 1}, {Name: "c", Kind: Unsigned64, Bits: 64, Factor: -1},
		}})
	}
	return groups
}()

// drawWindow fills a window with some of the groups, in order.
func drawWindow(t *rapid.T, folder *ColumnFolder, only int) *Window {
	w := NewWindow(5e9, 1e9, 0)
	for i, g := range mergeGroups {
		if only >= 0 && i != only || rapid.IntRange(0, 2).Draw(t, "skip") == 0 {
			continue
		}
		summaries := w.AddGroup(g)
		for j := range g.Series {
			var c Column
			for range rapid.IntRange(0, 5).Draw(t, "values") {
				value := edgy.Draw(t, "value")
				if g.Series[j].Bits == 16 {
					value = int64(int16(value))
				}
				c.Values, c.Weights = append(c.Values, value), append(c.Weights, rapid.Uint32Range(1, 9).Draw(t, "weight"))
			}
			folder.Fold(&g.Series[j], c, w, &summaries[j])
		}
	}
	return w
}

func TestWindowMerge(t *testing.T) {
	var folder ColumnFolder
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawWindow(t, &folder, -1), drawWindow(t, &folder, -1)
		wantSamples := a.Samples() + b.Samples()
		want := map[*Group][]Summary{}
		for _, w := range []*Window{a, b} {
			for _, g := range copyOf(w).Groups {
				if want[g.Group] == nil {
					want[g.Group] = make([]Summary, len(g.Summaries))
				}
				for i := range g.Summaries {
					want[g.Group][i].Merge(&g.Group.Series[i], &g.Summaries[i])
				}
			}
		}
		a.Merge(b)
		if got := a.Samples(); got != wantSamples {
			t.Fatalf("%d samples, want %d", got, wantSamples)
		}
		if len(a.Groups) != len(want) {
			t.Fatalf("%d groups, want %d", len(a.Groups), len(want))
		}
		for i, g := range a.Groups {
			if i > 0 && a.Groups[i-1].Group.Compare(g.Group) >= 0 {
				t.Fatalf("%s stands before %s", a.Groups[i-1].Group.Bus, g.Group.Bus)
			}
			for j := range g.Summaries {
				if diff := sameSummary(want[g.Group][j], g.Summaries[j]); diff != "" {
					t.Fatalf("%s, series %d (-want +got):\n%s", g.Group.Bus, j, diff)
				}
			}
		}
		a.Release()
	})
}

// TestReleasedMemory fills, releases and refills windows, several at a time:
// what is in one must never show in another.
func TestReleasedMemory(t *testing.T) {
	var folder ColumnFolder
	rapid.Check(t, func(t *rapid.T) {
		var live, copies []*Window
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch {
			case len(live) > 0 && rapid.Bool().Draw(t, "release"):
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				live[i].Release()
				live, copies = append(live[:i:i], live[i+1:]...), append(copies[:i:i], copies[i+1:]...)
			case len(live) > 1 && rapid.Bool().Draw(t, "merge"):
				last := len(live) - 1
				live[0].Merge(live[last]) // the last one is not to be used, nor released, any more
				copies[0].Merge(copies[last])
				live, copies = live[:last], copies[:last]
			default:
				w := drawWindow(t, &folder, -1)
				if len(w.Groups) > 0 && rapid.IntRange(0, 4).Draw(t, "drop") == 0 {
					w.DropGroup()
				}
				live, copies = append(live, w), append(copies, copyOf(w))
			}
			for i := range live {
				if diff := diffWindows(copies[i], live[i]); diff != "" {
					t.Fatalf("window %d of %d changed (-before +after):\n%s", i, len(live), diff)
				}
			}
		}
		for _, w := range live {
			w.Release()
		}
	})
}
