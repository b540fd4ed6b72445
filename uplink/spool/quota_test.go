package spool

import (
	"os"
	"path/filepath"
	"testing"
)

// TestQuota: the oldest chapters go, whole and counted, and the rest balances.
func TestQuota(t *testing.T) {
	dir := memoryDir(t)
	opts := Options{Sync: SyncNever, ChapterBytes: 1024, MaxBytes: 8 << 10}
	s := mustOpen(t, dir, opts)
	sink := mustCursor(t, s, "sink", Oldest)
	mustCursor(t, s, "never", Oldest)
	var read, missing, payloadMissing uint64
	const total = 1000
	for n := uint64(1); n <= total; n++ {
		mustAppend(t, s, payloadOf(n))
		if n%10 == 0 {
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		// It follows for a while, falls behind, and follows again.
		for n < 300 || n > 800 {
			e, err := sink.TryNext(nil)
			if err == ErrNone {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(e.Payload) != string(payloadOf(e.Index)) {
				t.Fatalf("wrong entry %d", e.Index)
			}
			read++
			missing += e.Missing
			payloadMissing = e.Index - read
			if err := sink.Ack(e.Index, nil); err != nil {
				t.Fatal(err)
			}
		}
		if st := checkBalance(t, s); st.Bytes > opts.MaxBytes+4*opts.ChapterBytes {
			t.Fatalf("%d bytes", st.Bytes)
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	st := checkBalance(t, s)
	if missing == 0 || missing != payloadMissing || read+missing != total {
		t.Errorf("%d read, %d missing, %d by their indexes", read, missing, payloadMissing)
	}
	for _, c := range st.Cursors {
		if c.Name == "sink" && (c.Acknowledged != read || c.Evicted != missing || c.Pending != 0) ||
			c.Name == "never" && (c.Evicted != st.EvictedEntries || c.Pending != st.Entries) {
			t.Errorf("%+v", c)
		}
	}
	if st.EvictedEntries+st.Entries != total || st.EvictedTo != st.First-1 {
		t.Errorf("%+v", st)
	}
	if size := treeBytes(filepath.Join(dir, "chapters")); size > opts.MaxBytes {
		t.Errorf("%d bytes on disk", size)
	}
	mustClose(t, s)

	s = mustOpen(t, dir, opts)
	if r := s.Report(); len(r.Findings)+len(r.Missing) > 0 {
		t.Errorf("%+v", r)
	}
	again := checkBalance(t, s)
	if again.EvictedEntries != st.EvictedEntries || again.Entries != st.Entries {
		t.Errorf("before %+v\nafter %+v", st, again)
	}
}

// TestRelease: a chapter goes when all cursors have passed it, open or not.
func TestRelease(t *testing.T) {
	dir := memoryDir(t)
	opts := Options{Sync: SyncNever, ChapterBytes: 512}
	s := mustOpen(t, dir, opts)
	a, b := mustCursor(t, s, "a", Oldest), mustCursor(t, s, "b", Oldest)
	for n := uint64(1); n <= 100; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	chapters := func() int {
		t.Helper()
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		names, err := os.ReadDir(filepath.Join(dir, "chapters"))
		if err != nil || len(names) != checkBalance(t, s).Chapters {
			t.Fatal(names, err)
		}
		return len(names)
	}
	all := chapters()
	if err := a.Ack(100, nil); err != nil {
		t.Fatal(err)
	}
	if n := chapters(); n != all {
		t.Errorf("%d chapters of %d are left, though b needs them", n, all)
	}
	if err := b.Ack(50, nil); err != nil {
		t.Fatal(err)
	}
	half := chapters()
	if half >= all || half < 2 {
		t.Errorf("%d chapters of %d are left", half, all)
	}
	if err := s.RemoveCursor("b"); err == nil {
		t.Error("an open cursor was removed")
	}
	b.Close()
	if err := s.RemoveCursor("b"); err != nil {
		t.Fatal(err)
	}
	if n := chapters(); n > 1 {
		t.Errorf("%d chapters are left", n)
	}
	mustClose(t, s)
	s = mustOpen(t, dir, opts)
	if r := s.Report(); len(r.Missing)+len(r.Findings) > 0 {
		t.Errorf("%+v", r)
	}
	if index := mustAppend(t, s, nil); index != 101 {
		t.Errorf("index %d", index)
	}
}

func TestCursorNames(t *testing.T) {
	s := mustOpen(t, memoryDir(t), Options{})
	for _, name := range []string{"", ".", "..", "a/b", "a b", ".hidden", "x.TEMP", string(make([]byte, 65)), "ä"} {
		if _, err := s.Cursor(name, Oldest); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	c := mustCursor(t, s, "kafka.fleet-1_A", Oldest)
	if _, err := s.Cursor("kafka.fleet-1_A", Oldest); err == nil {
		t.Error("opened twice")
	}
	if err := c.Ack(1, nil); err == nil {
		t.Error("an entry that is not there was acknowledged")
	}
	if err := c.Ack(0, make([]byte, MaxNote+1)); err == nil {
		t.Error("a long note was taken")
	}
}
