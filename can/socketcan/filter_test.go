package socketcan

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"milepost/can"
)

// passes says whether a frame gets through any of the filters.
func passes(filters []Filter, canID uint32) bool {
	return slices.ContainsFunc(filters, func(f Filter) bool { return f.Matches(canID) })
}

// wants says the same of what was wanted, by its definition.
func wants(wanted []Wanted, canID uint32) bool {
	if canID&(remoteFlag|errorFlag) != 0 {
		return false
	}
	return slices.ContainsFunc(wanted, func(w Wanted) bool {
		mask := w.Mask
		if mask == 0 {
			mask = can.MaxExtendedID
		}
		id, extended := canID&can.MaxExtendedID, canID&extendedFlag != 0
		return extended == w.Extended && id&mask == w.ID&mask
	})
}

func drawWanted(t *rapid.T, count int) (wanted []Wanted) {
	for range count {
		w := Wanted{Extended: rapid.Bool().Draw(t, "extended")}
		limit := uint32(can.MaxStandardID)
		if w.Extended {
			limit = can.MaxExtendedID
		}
		w.ID = rapid.OneOf(rapid.Uint32Range(0, limit), rapid.Uint32Range(0, 15)).Draw(t, "id")
		if rapid.IntRange(0, 4).Draw(t, "masked") == 0 {
			w.Mask = rapid.Uint32Range(1, limit).Draw(t, "mask")
		}
		wanted = append(wanted, w)
	}
	return wanted
}

// TestFilters: all that is wanted passes; and only that, unless a filter says that
// it is wide. Joining begins at any limit, and keeps to it.
func TestFilters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wanted := drawWanted(t, rapid.IntRange(0, 60).Draw(t, "count"))
		limit := rapid.IntRange(2, 40).Draw(t, "limit") // one for each kind at least
		var all []Filter
		for _, w := range wanted {
			all = append(all, w.filter())
		}
		filters := join(reduce(all), limit)
		if len(filters) > limit {
			t.Fatalf("%d filters, the limit is %d", len(filters), limit)
		}
		for range 200 {
			id := rapid.Uint32().Draw(t, "can_id")
			if len(wanted) > 0 && rapid.Bool().Draw(t, "near") { // something that is wanted, or nearly
				w := rapid.SampledFrom(wanted).Draw(t, "of")
				f := w.filter()
				id = f.ID | id&^f.Mask&can.MaxExtendedID ^ uint32(1)<<rapid.IntRange(0, 40).Draw(t, "bit")
			}
			if id&extendedFlag == 0 {
				id &= extendedFlag | remoteFlag | can.MaxStandardID
			}
			id &^= errorFlag // error frames have filters of their own
			want := wants(wanted, id)
			if want && !passes(filters, id) {
				t.Fatalf("%08X is wanted and kept away", id)
			}
			if !want && passes(filters, id) {
				if id&remoteFlag != 0 || !slices.ContainsFunc(filters, func(f Filter) bool { return f.Wide && f.Matches(id) }) {
					t.Fatalf("%08X passes and is not wanted", id)
				}
			}
		}
	})
}

// TestFiltersAreExact: without need, nothing is joined, and each filter is one that
// the kernel finds by a table.
func TestFiltersAreExact(t *testing.T) {
	var wanted []Wanted
	for i := range uint32(512) {
		wanted = append(wanted, Wanted{ID: i}, Wanted{ID: i}) // each twice
	}
	filters := CompileFilters(wanted)
	if len(filters) != 512 {
		t.Errorf("%d filters", len(filters))
	}
	for _, f := range filters {
		if f.Wide || f.Mask != extendedFlag|remoteFlag|can.MaxStandardID {
			t.Errorf("%+v", f)
		}
	}
	if filters := CompileFilters([]Wanted{}); filters == nil || len(filters) != 0 {
		t.Errorf("nothing wanted: %v", filters) // nil would let all pass
	}
}

// TestFiltersOfAll: joining IDs that fill their masks lets nothing else in, and is
// not called wide.
func TestFiltersOfAll(t *testing.T) {
	var wanted []Wanted
	for i := range uint32(1024) {
		wanted = append(wanted, Wanted{ID: i})
	}
	filters := CompileFilters(wanted)
	if len(filters) > maxFilters {
		t.Fatalf("%d filters", len(filters))
	}
	for id := range uint32(can.MaxStandardID + 1) {
		if passes(filters, id) != (id < 1024) {
			t.Errorf("%03X passes: %v", id, passes(filters, id))
		}
	}
	for _, f := range filters {
		if f.Wide {
			t.Errorf("%+v is wide", f)
		}
	}
}

func TestFiltersOfGroups(t *testing.T) {
	filters := CompileFilters([]Wanted{
		WantPGN(0xFECA), WantPGN(0xEF00), WantPGN(0x1FECA),
		{ID: 0x18FECA05, Extended: true}, // covered by the first
	})
	if len(filters) != 3 {
		t.Errorf("%+v", filters)
	}
	for _, c := range []struct {
		id   uint32
		want bool
	}{
		{0x18FECA00, true}, {0x00FECAFF, true}, {0x18FECB00, false}, {0x1AFECA00, false},
		{0x18EF1234, true}, {0x0CEF00FE, true}, {0x18EE1234, false}, // to one address or another
		{0x19FECA42, true}, // data page 1
	} {
		if got := passes(filters, c.id|extendedFlag); got != c.want {
			t.Errorf("%08X passes: %v", c.id, got)
		}
		if passes(filters, c.id&can.MaxStandardID) {
			t.Errorf("%03X passes", c.id&can.MaxStandardID)
		}
	}
}
