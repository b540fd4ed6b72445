package gateway

import (
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
	"milepost/cmd/internal/config"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// thinAll merges entries as one run.
func thinAll(t *testing.T, thinning *spool.Thinning, step int, entries []spool.Entry) (out []spool.Entry) {
	t.Helper()
	var seq iter.Seq[spool.Entry] = func(yield func(spool.Entry) bool) {
		for _, e := range entries {
			e.Payload = slices.Clone(e.Payload)
			more := yield(e)
			clear(e.Payload) // It is valid until the next one only.
			if !more {
				return
			}
		}
	}
	err := thinning.Merge(step, seq, func(index uint64, payload []byte) error {
		out = append(out, spool.Entry{Index: index, Payload: slices.Clone(payload)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// whole is what all records of a series say together, and its windows.
type whole struct {
	summary aggregate.Summary
	regular []span64
}

type span64 struct{ from, to int64 }

// wholes adds up records by their series. Sequences must not occur twice, nor may
// windows overlap, but for corrections.
func wholes(t *testing.T, entries []spool.Entry, width int64) (map[string]*whole, map[uint64]bool) {
	t.Helper()
	all, sequences := make(map[string]*whole), make(map[uint64]bool)
	var decoder uplink.BatchDecoder
	for _, e := range entries {
		records, err := decoder.Decode(e.Payload, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			r := &records[i]
			if i > 0 && r.Sequence <= records[i-1].Sequence {
				t.Fatalf("sequence %d stands behind %d", r.Sequence, records[i-1].Sequence)
			}
			if sequences[r.Sequence] {
				t.Fatalf("sequence %d occurs twice", r.Sequence)
			}
			sequences[r.Sequence] = true
			key := fmt.Sprint(r.Group.Bus, r.Group.Name, r.Series.Name)
			w := all[key]
			if w == nil {
				w = new(whole)
				all[key] = w
			}
			w.summary.Merge(r.Series, &r.Summary)
			if r.Revision == 0 {
				w.regular = append(w.regular, span64{r.Start, r.Start + r.Duration})
			}
			if r.Start/width != (r.Start+r.Duration-1)/width {
				t.Fatalf("a window from %d to %d crosses a multiple of %d", r.Start, r.Start+r.Duration, width)
			}
		}
	}
	for key, w := range all {
		for i := 1; i < len(w.regular); i++ {
			if w.regular[i].from < w.regular[i-1].to {
				t.Errorf("%s has windows %v", key, w.regular[i-1:i+1])
			}
		}
	}
	return all, sequences
}

// TestThinning merges a drive of two minutes: what is summarised stays the same
// to the bit, in fewer records, whose sequences are among those of the merged
// ones.
func TestThinning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	r := classReplay(t, driveLog(t, 2*time.Minute), dir)
	r.Span = 1
	if _, err := run(t, t.Context(), r); err != nil {
		t.Fatal(err)
	}
	widths := []time.Duration{10 * time.Second, time.Minute}
	thinning := NewThinning(widths)
	if NewThinning(nil) != nil {
		t.Error("thinning without widths")
	}
	for _, f := range SpoolFolders(dir) {
		var entries []spool.Entry
		for e, err := range spool.Scan(f.Dir) {
			if err != nil {
				t.Fatal(err)
			}
			e.Payload = slices.Clone(e.Payload)
			entries = append(entries, e)
		}
		before, numbers := wholes(t, entries, int64(time.Second))
		for step, width := range widths {
			records := len(numbers)
			thinned := thinAll(t, thinning, step, entries)
			after, sequences := wholes(t, thinned, int64(width))
			if len(thinned) > len(entries)/5+2 || len(sequences) > records*2/3 {
				t.Errorf("class %s, step %d: %d entries became %d, %d records %d", f.Priority, step, len(entries), len(thinned), records, len(sequences))
			}
			for n := range sequences {
				if !numbers[n] {
					t.Fatalf("class %s: no merged record had sequence %d", f.Priority, n)
				}
			}
			for i, e := range thinned {
				if i == 0 && e.Index != entries[0].Index || !slices.ContainsFunc(entries, func(old spool.Entry) bool { return old.Index == e.Index }) {
					t.Fatalf("entry %d is none of the old ones", e.Index)
				}
			}
			if len(after) != len(before) {
				t.Fatalf("%d series became %d", len(before), len(after))
			}
			for key, want := range before {
				if got := after[key]; !equal(&got.summary, &want.summary) {
					t.Errorf("%s: %+v became %+v", key, want.summary, got.summary)
				}
			}
			entries, numbers = thinned, sequences
		}
	}
}

// TestThinningCorrections: a correction goes into the window that it corrects
// where that is at hand, and stays one otherwise.
func TestThinningCorrections(t *testing.T) {
	group := &aggregate.Group{Bus: "can0", Name: "M", Series: []aggregate.Series{{Name: "S", Factor: 1, Bits: 8}}}
	encoder := uplink.NewBatchEncoder("car", uplink.BootID{1}, 1)
	var entries []spool.Entry
	add := func(second int64, revision uint32, count uint64) {
		w := aggregate.NewWindow(second*1e9, 1e9, revision)
		s := &w.AddGroup(group)[0]
		*s = aggregate.Summary{}
		s.Constant(&group.Series[0], second, count, new(histogram.Slab))
		encoder.Add(w)
		entries = append(entries, spool.Entry{Index: uint64(len(entries) + 1), Payload: slices.Clone(encoder.Take())})
	}
	for second := range int64(4) {
		add(-2+second, 0, 1)
	}
	add(0, 1, 10)  // of the open window
	add(-2, 1, 20) // of one that is done
	add(2, 0, 1)
	add(12, 0, 1)
	out := thinAll(t, NewThinning([]time.Duration{10 * time.Second}), 0, entries)
	var got []string
	var decoder uplink.BatchDecoder
	for _, e := range out {
		records, err := decoder.Decode(e.Payload, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			got = append(got, fmt.Sprintf("%d: %d-%d r%d n%d s%d", e.Index, r.Start/1e9, (r.Start+r.Duration)/1e9, r.Revision, r.Summary.Count, r.Sequence))
		}
	}
	want := []string{"1: -2-0 r0 n2 s1", "3: -2--1 r1 n20 s3", "3: 0-3 r0 n13 s4", "8: 12-13 r0 n1 s8"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// TestThinnedSpools: a folder with all classes is opened with a quota that is less
// than what it holds: windows are merged in the least important class first, and
// nothing is evicted.
func TestThinnedSpools(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	r := classReplay(t, driveLog(t, 3*time.Minute), dir)
	r.Span = 1
	r.Spool.Thin = NewThinning([]time.Duration{10 * time.Second, time.Minute})
	if _, err := run(t, t.Context(), r); err != nil {
		t.Fatal(err)
	}
	scan := func() (entries map[config.Priority][]spool.Entry) {
		entries = make(map[config.Priority][]spool.Entry)
		for _, f := range SpoolFolders(dir) {
			for e, err := range spool.Scan(f.Dir) {
				if err != nil || e.Missing > 0 {
					t.Fatal(e, err)
				}
				e.Payload = slices.Clone(e.Payload)
				entries[f.Priority] = append(entries[f.Priority], e)
			}
		}
		return entries
	}
	before := scan()
	synctest.Test(t, func(t *testing.T) {
		o := r.Spool
		s, err := OpenSpools(dir, o, classRules)
		if err != nil {
			t.Fatal(err)
		}
		all := s.Stats().Bytes
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		o.ChapterBytes = 32 << 10
		o.MaxBytes = all - all/8
		if s, err = OpenSpools(dir, o, classRules); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until there is nothing to do any more
		st := s.Stats()
		if st.ThinnedEntries == 0 || st.EvictedEntries > 0 || st.Bytes > o.MaxBytes || st.ThinnedFrom.IsZero() {
			t.Errorf("%d bytes of %d: %+v", all, o.MaxBytes, st)
		}
		if high := s.class(config.PriorityHigh).Stats(); high.ThinnedEntries > 0 {
			t.Errorf("of high priority %d entries were merged", high.ThinnedEntries)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	after := scan()
	for priority := range before {
		want, _ := wholes(t, before[priority], int64(time.Second))
		got, _ := wholes(t, after[priority], int64(time.Minute))
		for key := range want {
			if got[key] == nil || !equal(&got[key].summary, &want[key].summary) {
				t.Errorf("class %s: %s: %+v became %+v", priority, key, want[key].summary, got[key])
			}
		}
	}
}

// Windows that were stamped under different clocks are not merged: each has to be
// re-dated by itself. That a series has ended is kept where nothing else is.
func TestThinningClocks(t *testing.T) {
	group := &aggregate.Group{Bus: "can0", Name: "ENGINE", Series: []aggregate.Series{{Name: "Speed", Bits: 16, Factor: 1}, {Name: "Gear", Bits: 8, Factor: 1}}}
	encoder := uplink.NewBatchEncoder("van-17", uplink.BootID{1}, 1)
	for i, stamp := range []aggregate.Stamp{
		{Clock: aggregate.ClockUnset, ClockOffset: 5}, {Clock: aggregate.ClockUnset, ClockOffset: 5},
		{Clock: aggregate.ClockSet, ClockOffset: 9}, {Clock: aggregate.ClockSet, ClockOffset: 9},
	} {
		w := aggregate.NewWindow(int64(i)*1e9, 1e9, 0)
		w.Stamp = stamp
		summaries := w.AddGroup(group)
		summaries[0] = aggregate.Summary{Count: 1, Min: 7, Max: 7, First: 7, Last: 7}
		summaries[1] = aggregate.Summary{Absent: i == 1}
		encoder.Add(w)
		w.Release()
	}
	thinned := thinAll(t, NewThinning([]time.Duration{10 * time.Second}), 0, []spool.Entry{{Index: 1, Payload: slices.Clone(encoder.Take())}})
	if len(thinned) != 1 {
		t.Fatalf("%d entries", len(thinned))
	}
	var decoder uplink.BatchDecoder
	records, err := decoder.Decode(thinned[0].Payload, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		got = append(got, fmt.Sprintf("%s of %d s: %d, %v %d, absent %v", r.Series.Name, r.Duration/1e9, r.Summary.Count, r.Clock, r.Start-r.Uptime, r.Summary.Absent))
	}
	want := []string{
		"Speed of 2 s: 2, unset 5, absent false", "Gear of 2 s: 0, unset 5, absent true",
		"Speed of 2 s: 2, set 9, absent false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
