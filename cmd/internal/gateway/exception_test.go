package gateway

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"milepost/aggregate"
	"milepost/can/cantest"
	"milepost/cmd/internal/config"
	"milepost/uplink/spool"
)

// sent is the summary of a series, as text.
func sent(s *aggregate.Summary) string {
	return fmt.Sprint(s.Count, s.Min, s.Max, s.First, s.Last, s.Sum, s.Histogram)
}

// TestReportByException: a reader who keeps the last summary of each series
// rebuilds every second, and one who comes late does so after a refresh.
func TestReportByException(t *testing.T) {
	const refresh = 10 * time.Second
	type series struct {
		group *aggregate.Group
		i     int
	}
	bindings := bind(t, cantest.DemoDBC())
	drive := cantest.NewDrive(cantest.DriveOptions{Duration: 45 * time.Second})
	filter := newExceptionFilter(int64(refresh))
	reader := map[series]string{}
	late := map[series]string{} // comes at 13 s
	var suppressed, kept, full uint64
	seconds := 0
	seen := map[series]bool{}
	start := cantest.DefaultStart.UnixNano()
	_, err := Summarise(context.Background(), drive, bindings, DefaultOptions(), func(w *aggregate.Window) error {
		want := map[series]string{}
		for _, g := range w.Groups {
			for j := range g.Summaries {
				if g.Summaries[j].Count > 0 {
					want[series{g.Group, j}] = sent(&g.Summaries[j])
				}
			}
		}
		n := filter.apply(w)
		suppressed += n
		if w.Start%int64(refresh) == 0 || seconds == 0 {
			if full++; n != 0 {
				t.Errorf("second %d: %d summaries are left out of a full set", seconds, n)
			}
		}
		for _, g := range w.Groups {
			for j := range g.Summaries {
				if s := &g.Summaries[j]; s.Count > 0 {
					n++
					kept++
					reader[series{g.Group, j}] = sent(s)
					if w.Start >= start+13e9 {
						late[series{g.Group, j}] = sent(s)
					}
				}
			}
		}
		if n != uint64(len(want)) {
			t.Errorf("second %d: %d summaries, %d accounted for", seconds, len(want), n)
		}
		for key, s := range want {
			if reader[key] != s {
				t.Errorf("second %d: %s.%s is rebuilt as\n%s, want\n%s", seconds, key.group.Name, key.group.Series[key.i].Name, reader[key], s)
			}
			if w.Start >= start+20e9 && seen[key] && late[key] != s {
				t.Errorf("second %d: who came late has %s for %s", seconds, late[key], s)
			}
			seen[key] = true
		}
		seconds++
		w.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if suppressed == 0 || kept == 0 || full < 4 || seconds < 45 {
		t.Errorf("%d suppressed, %d kept, %d full windows of %d", suppressed, kept, full, seconds)
	}
	t.Logf("%d of %d summaries left out", suppressed, suppressed+kept)
}

// TestExceptionSteps walks one series through the rules.
func TestExceptionSteps(t *testing.T) {
	group := &aggregate.Group{Series: []aggregate.Series{{Bits: 8, Factor: 1}, {Bits: 8, Factor: 1}}}
	filter := newExceptionFilter(5e9)
	var folder aggregate.ColumnFolder
	f := func(second int64, revision uint32, values []int64, wantSuppressed uint64) {
		t.Helper()
		w := aggregate.NewWindow(second*1e9, 1e9, revision)
		summaries := w.AddGroup(group)
		for i := range summaries {
			if c := (aggregate.Column{Values: values, Weights: []uint32{1, 1, 1, 1}[:len(values)]}); i == 0 {
				folder.Fold(&group.Series[i], c, w, &summaries[i])
			} else {
				summaries[i].Count = 0 // a series without samples
			}
		}
		if got := filter.apply(w); got != wantSuppressed || (summaries[0].Count == 0) != (wantSuppressed == 1) {
			t.Errorf("second %d, revision %d: %d suppressed, want %d", second, revision, got, wantSuppressed)
		}
		w.Release() // what was sent must not be forgotten with it
	}
	f(0, 0, []int64{1, 2}, 0) // the first is sent
	f(1, 0, []int64{1, 2}, 1)
	f(2, 0, []int64{1, 2}, 1)
	f(2, 3, []int64{1, 2}, 0) // corrections are sent
	f(3, 0, []int64{2, 1}, 0) // the same minimum, maximum and sum
	f(4, 0, []int64{2, 1}, 1)
	f(5, 0, []int64{2, 1}, 0) // refresh
	f(6, 0, []int64{2, 1}, 1)
	f(9, 9, []int64{7, 7}, 0) // a correction is not the last one sent
	f(9, 0, []int64{2, 1}, 1)
	f(100, 0, []int64{2, 1}, 0)
	f(101, 0, []int64{1}, 0)
	f(102, 0, []int64{1}, 1)
	f(110, 0, []int64{1, 2, 1, 2}, 0)
	f(111, 0, []int64{2, 1, 1, 2}, 0) // only the first value differs
	f(112, 0, []int64{2, 1, 2, 1}, 0) // only the last
	f(113, 0, []int64{2, 2, 1, 1}, 1)
	if newExceptionFilter(0) != nil {
		t.Error("there is a filter without a refresh time")
	}
}

// TestExceptionsOfClasses: series of a group that are of different classes end
// each in its own class; and all of them at the end, once.
func TestExceptionsOfClasses(t *testing.T) {
	dir := t.TempDir()
	rules := []config.PriorityRule{{Signal: "two", Priority: config.PriorityHigh}}
	spools, err := OpenSpools(dir, spool.Options{Sync: spool.SyncNever}, rules)
	if err != nil {
		t.Fatal(err)
	}
	store := NewStore(spools, StoreOptions{Device: "car", Priorities: rules, Refresh: 60e9})
	m := &aggregate.Group{Bus: "can0", Name: "M", Series: []aggregate.Series{{Name: "one", Bits: 8, Factor: 1}, {Name: "two", Bits: 8, Factor: 1}}}
	n := &aggregate.Group{Bus: "can0", Name: "N", Series: []aggregate.Series{{Name: "three", Bits: 8, Factor: 1}}}
	var folder aggregate.ColumnFolder
	put := func(second int64, groups ...*aggregate.Group) {
		t.Helper()
		w := aggregate.NewWindow(second*1e9, 1e9, 0)
		for _, g := range groups {
			s := w.AddGroup(g)
			for j := range s {
				folder.Fold(&g.Series[j], aggregate.Column{Values: []int64{1}, Weights: []uint32{1}}, w, &s[j])
			}
		}
		if err := store.Put(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	put(0, m, n)
	put(1, n)
	put(2, m, n)
	put(9, n) // nothing for a while
	for range 2 {
		if err := errors.Join(store.End(t.Context()), store.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if err := spools.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[config.Priority][]string{}
	for priority, records := range stored(t, dir) {
		for _, r := range records {
			got[priority] = append(got[priority], fmt.Sprint(r.Start/1e9, " ", r.Series.Name, " ", r.Summary.Count))
		}
	}
	want := map[config.Priority][]string{
		config.PriorityHigh:   {"0 two 1", "1 two 0", "2 two 1", "3 two 0"},
		config.PriorityNormal: {"0 one 1", "0 three 1", "1 one 0", "2 one 1", "3 one 0", "3 three 0", "9 three 1", "10 three 0"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var ledger Ledger
	store.addTo(&ledger)
	if err := ledger.Check(); err != nil || ledger.Records != 12 || ledger.Suppressed != 2 {
		t.Errorf("%v: %d records, %d left out", err, ledger.Records, ledger.Suppressed)
	}
}
