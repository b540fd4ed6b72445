package aggregate

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestGroupOrder(t *testing.T) {
	ordered := []*Group{
		{Bus: "can0", Name: "a sensor"},
		{Bus: "can0", Name: "b sensor"},
		{Bus: "can0", HasID: true, ID: 5, Name: "M"},
		{Bus: "can0", HasID: true, ID: 0x7FF, Name: "A"},
		{Bus: "can0", HasID: true, Extended: true, ID: 5, Name: "A"},
		{Bus: "can0", HasID: true, Extended: true, ID: 1<<29 - 1, Name: "A"},
		{Bus: "can2"},
		{Bus: "can10"},
		{Bus: "can010"},
		{Bus: "can1x"},
		{Bus: "canx"},
		{Bus: "vcan0"},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := a.Compare(b), i-j; got < 0 != (want < 0) || got > 0 != (want > 0) {
				t.Errorf("%v compared with %v is %d", *a, *b, got)
			}
			same := *b
			if i == j && a.Compare(&same) != 0 {
				t.Errorf("%v differs from its copy", *a)
			}
		}
	}
}

// TestGroupOrderIsOne: whatever buses are called, sorting does not depend on
// where it begins. Windows are merged by it.
func TestGroupOrderIsOne(t *testing.T) {
	name := rapid.StringOfN(rapid.SampledFrom([]rune("cx019")), 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := &Group{Bus: name.Draw(t, "a")}, &Group{Bus: name.Draw(t, "b")}, &Group{Bus: name.Draw(t, "c")}
		if (a.Compare(b) < 0) != (b.Compare(a) > 0) || (a.Compare(b) == 0) != (a.Bus == b.Bus) {
			t.Fatalf("%q and %q: %d and %d", a.Bus, b.Bus, a.Compare(b), b.Compare(a))
		}
		groups := []*Group{a, b, c}
		slices.SortFunc(groups, (*Group).Compare)
		if groups[0].Compare(groups[2]) > 0 || groups[0].Compare(groups[1]) > 0 || groups[1].Compare(groups[2]) > 0 {
			t.Fatalf("no order: %q, %q, %q", groups[0].Bus, groups[1].Bus, groups[2].Bus)
		}
	})
}
