package spool

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden spool of the present format in testdata anew")

// openGolden opens a copy of a spool that is checked in, twice: what was made
// of it the first time is of the present format.
func openGolden(t *testing.T, name string, check func(*Spool)) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	copyTree(t, dir, filepath.Join("testdata", name))
	for range 2 {
		if findings, err := Verify(dir); err != nil || len(findings) > 0 {
			t.Error(findings, err)
		}
		s := mustOpen(t, dir, Options{})
		if r := s.Report(); r.Created || r.Unclean || len(r.Findings)+len(r.Missing) > 0 {
			t.Errorf("%+v", r)
		}
		check(s)
		mustClose(t, s)
		m, err := readMeta(disk{}, filepath.Join(dir, "meta"))
		if err != nil || m.version != plainVersion || m.id != s.ID() {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

// TestGolden1 opens the spool that version 1 of the format wrote, as every later
// version will have to: three entries, the first acknowledged, and a gap.
func TestGolden1(t *testing.T) {
	openGolden(t, "v1", func(s *Spool) {
		if n := s.Report().Entries; n != 3 {
			t.Errorf("%d entries", n)
		}
		c := mustCursor(t, s, "sink", Newest)
		if index, note := c.Acked(); index != 1 || string(note) != "a note" {
			t.Errorf("the cursor is at %d, %q", index, note)
		}
		entries := drain(t, c)
		if len(entries) != 2 || entries[0].Index != 2 || len(entries[0].Payload) != 0 ||
			entries[1].Index != 4097 || string(entries[1].Payload) != "three" || entries[1].Missing != 0 {
			t.Errorf("%+v", entries)
		}
		if st := checkBalance(t, s).Cursors[0]; st.Skipped != 4094 {
			t.Errorf("%+v", st)
		}
	})
}

// goldenText is the compressed entry of the golden spool.
var goldenText = strings.Repeat("a compressed entry; ", 20)

// TestGolden2 opens the spool that version 2 wrote: of nine entries, a chapter
// each, the first and the last are pending, chapters between others are gone,
// and another cursor wants a part. Behind the last one is a group of two
// compressed entries of a known time.
func TestGolden2(t *testing.T) {
	golden := filepath.Join("testdata", "v2")
	if *update {
		if err := os.RemoveAll(golden); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, golden, Options{ChapterBytes: 1})
		a, b := mustCursor(t, s, "a", Oldest), mustCursor(t, s, "b", Oldest)
		for n := uint64(1); n <= 9; n++ {
			mustAppend(t, s, payloadOf(n))
		}
		for _, err := range []error{s.Sync(), a.AckSpan(Span{2, 8}, []byte("a note")), b.AckSpan(Span{4, 5}, nil), b.AckSpan(Span{7, 7}, nil)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, s)
		s = mustOpen(t, golden, Options{Compression: Zstd})
		for range 2 {
			if _, err := s.AppendAt([]byte(goldenText), time.Unix(1000, 0), time.Unix(2000, 0)); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, s)
		for _, empty := range []string{"LOCK", "quarantine", "trash"} {
			os.Remove(filepath.Join(golden, empty))
		}
	}
	openGolden(t, "v2", func(s *Spool) {
		if st := s.Stats(); st.Chapters != 6 || st.Entries != 8 {
			t.Errorf("%+v", st)
		}
		for name, want := range map[string][]uint64{"a": {1, 9, 10, 11}, "b": {1, 2, 3, 6, 8, 9, 10, 11}} {
			var got []uint64
			for _, e := range drain(t, mustCursor(t, s, name, Newest)) {
				want := string(payloadOf(e.Index))
				if e.Index > 9 {
					want = goldenText
				}
				if string(e.Payload) != want || e.Missing != 0 {
					t.Errorf("%+v", e)
				}
				got = append(got, e.Index)
			}
			if !slices.Equal(got, want) {
				t.Errorf("cursor %s: %v", name, got)
			}
		}
		newest := s.chapters[len(s.chapters)-1]
		if from, until := newest.times.times(); !from.Equal(time.Unix(1000, 0)) || until.Year() < 2026 || newest.size > 300 {
			t.Errorf("the newest chapter has %d bytes, from %v to %v", newest.size, from, until)
		}
		if st := checkBalance(t, s).Cursors[0]; st.Acknowledged != 7 || st.Pending != 4 || !slices.Equal(st.Done, []Span{{2, 8}}) {
			t.Errorf("%+v", st)
		}
	})
}

// TestGolden3 opens the spool that version 3 wrote: of forty entries some were
// merged, by fives and by twenty-fives, one of them was returned before, and the
// newest are as they were appended.
func TestGolden3(t *testing.T) {
	golden := filepath.Join("testdata", "v3")
	opts := Options{Sync: SyncNever, ChapterBytes: 1024, Thin: thinTest}
	if *update {
		if err := os.RemoveAll(golden); err != nil {
			t.Fatal(err)
		}
		opts := opts
		opts.MaxBytes = 5500
		s := mustOpen(t, golden, opts)
		sink := mustCursor(t, s, "sink", Oldest)
		for n := uint64(1); n <= 40; n++ {
			mustAppend(t, s, payloadOf(n))
			if n == 13 {
				sink.Seek(13)
				if _, err := sink.TryNext(nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(s.Sync(), s.thinOut()); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, s)
		for _, empty := range []string{"LOCK", "quarantine", "trash"} {
			os.Remove(filepath.Join(golden, empty))
		}
	}
	dir := filepath.Join(t.TempDir(), "spool")
	copyTree(t, dir, golden)
	for range 2 {
		verifyClean(t, dir)
		s := mustOpen(t, dir, opts)
		if r := s.Report(); r.Created || r.Unclean || len(r.Findings)+len(r.Missing) > 0 {
			t.Errorf("%+v", r)
		}
		c := mustCursor(t, s, "sink", Newest)
		if n := checkThinned(t, s, c, 1, 40, nil); n != goldenEntries {
			t.Errorf("%d entries", n)
		}
		c.Seek(13)
		if e, err := c.TryNext(nil); err != nil || e.Index != 13 || string(e.Payload) != string(payloadOf(13)) {
			t.Errorf("%+v, %v", e, err)
		}
		if st := checkBalance(t, s).Cursors[0]; st.Pending != goldenEntries || st.Thinned != 40-goldenEntries {
			t.Errorf("%+v", st)
		}
		mustClose(t, s)
		if m, err := readMeta(disk{}, filepath.Join(dir, "meta")); err != nil || m.version != formatVersion {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

// goldenEntries are left of the forty.
const goldenEntries = 15
