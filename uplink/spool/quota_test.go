package spool

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
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

// TestSharedQuota fills three spools at once, and reads one of them: the least
// important loses its entries first, and everything is counted.
func TestSharedQuota(t *testing.T) {
	const maxBytes, each = 100 << 10, 600
	quota := NewQuota(maxBytes)
	var spools [3]*Spool
	var writers sync.WaitGroup
	for i := range spools {
		spools[i] = mustOpen(t, memoryDir(t), Options{Sync: time.Millisecond, ChapterBytes: 4 << 10, Quota: quota, Priority: i, MemoryBytes: 16 << 10})
		c := mustCursor(t, spools[i], "sink", Oldest)
		writers.Go(func() {
			for n := uint64(1); n <= each; n++ {
				if _, err := spools[i].Append(payloadOf(n)); err != nil && i == 2 {
					t.Error(err)
				}
				if used := quota.Bytes(); used > maxBytes+3*groupBytes {
					t.Errorf("%d bytes", used)
				}
				if i == 1 && n%3 == 0 {
					if e, err := c.TryNext(nil); err == nil {
						c.Ack(e.Index, nil)
					}
				}
			}
		})
	}
	writers.Wait()
	for i, s := range spools {
		if err := s.Sync(); err != nil && i == 2 {
			t.Error(i, err)
		}
		st := checkBalance(t, s)
		k := st.Cursors[0]
		if k.Acknowledged+k.Evicted+k.Pending+st.Dropped != each || k.Missing != 0 {
			t.Errorf("%d: %+v", i, st)
		}
		if st.EvictedEntries > 0 && (st.EvictedFrom.IsZero() || st.EvictedUntil.Before(st.EvictedFrom) || time.Since(st.EvictedFrom) > time.Hour) {
			t.Errorf("%d: evicted from %v to %v", i, st.EvictedFrom, st.EvictedUntil)
		}
	}
	// 600 entries are 100 KiB: what the important one has left nobody else gets.
	low, high := spools[0].Stats(), spools[2].Stats()
	if low.EvictedEntries+low.Dropped < high.EvictedEntries || low.EvictedEntries+low.Dropped == 0 {
		t.Errorf("the least important lost %d entries, the most important %d", low.EvictedEntries+low.Dropped, high.EvictedEntries)
	}
}

// TestQuotaOrder evicts one chapter after the other, in the order of importance
// and age.
func TestQuotaOrder(t *testing.T) {
	quota := NewQuota(1 << 20)
	at := func(hour int) time.Time { return time.Date(2026, 11, 21, hour, 0, 0, 0, time.UTC) }
	dir := memoryDir(t)
	open := func(name string, priority int, hours ...int) *Spool {
		s := mustOpen(t, filepath.Join(dir, name), Options{Sync: SyncNever, ChapterBytes: 1, Quota: quota, Priority: priority})
		for _, hour := range hours {
			if _, err := s.AppendAt(nil, at(hour), at(hour).Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	spools := map[string]*Spool{"a": open("a", 1, 3, 7), "b": open("b", 1, 4, 5), "c": open("c", 2, 1, 2)}
	// The times of a chapter are known after a restart, too.
	mustClose(t, spools["a"])
	spools["a"] = open("a", 1)
	for i, want := range []string{"a", "b", "b", "a", ""} {
		before := map[string]int{}
		for name, s := range spools {
			before[name] = s.Stats().Chapters
		}
		quota.mu.Lock()
		if done, _ := quota.evictLocked(1); done != (want != "") {
			t.Errorf("%d: evicted: %t", i, done)
		}
		quota.mu.Unlock()
		for name, s := range spools {
			if gone := before[name] - s.Stats().Chapters; gone != 0 && name != want || gone != 1 && name == want {
				t.Errorf("%d: %d chapters of %s are gone, and one of %s should be", i, gone, name, want)
			}
		}
	}
	for range 2 {
		st := spools["a"].Stats()
		if st.EvictedEntries != 2 || !st.EvictedFrom.Equal(at(3)) || !st.EvictedUntil.Equal(at(7).Add(time.Minute)) {
			t.Errorf("%d entries from %v to %v", st.EvictedEntries, st.EvictedFrom, st.EvictedUntil)
		}
		mustClose(t, spools["a"])
		spools["a"] = open("a", 1)
	}
	// The less important one does not get what the more important one has.
	full := NewQuota(2)
	important := mustOpen(t, memoryDir(t), Options{Sync: SyncNever, ChapterBytes: 1, Quota: full, Priority: 2})
	lesser := mustOpen(t, memoryDir(t), Options{Sync: SyncNever, ChapterBytes: 1, Quota: full, Priority: 1, MemoryBytes: 100})
	mustAppend(t, important, nil)
	if err := important.Sync(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, lesser, nil)
	if err := lesser.Sync(); err == nil {
		t.Error("it was stored")
	}
	if st := lesser.Stats(); st.State != InMemory || st.Cause == "" || st.Since.IsZero() {
		t.Errorf("%+v", st)
	}
	for range 10 {
		lesser.Append(nil)
	}
	st := checkBalance(t, lesser)
	if st.State != Dropping || st.Dropped == 0 || st.Dropped+st.Appended != 11 || st.DroppedUntil.Before(st.DroppedFrom) {
		t.Errorf("%+v", st)
	}
}
