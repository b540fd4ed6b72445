package spool

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInMemory: while the disk takes nothing, entries go through memory, the
// newest are dropped when that is full, and storing resumes with the oldest.
func TestInMemory(t *testing.T) {
	for _, op := range []string{"write log", "open log", "rename", "mkdir", "write"} {
		t.Run(op, func(t *testing.T) {
			fsys := &faulty{}
			dir := memoryDir(t)
			opts := Options{Sync: SyncNever, ChapterBytes: 4 << 10, MemoryBytes: 64 << 10}
			s, err := open(dir, opts, fsys)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { s.Close() }()
			c := mustCursor(t, s, "sink", Oldest)
			n, read := uint64(0), uint64(0)
			add := func(total int) (dropped uint64) {
				for range total {
					index, err := s.Append(payloadOf(n + 1))
					switch {
					case err == nil:
						n++
					case index == 0 && errors.Is(err, ErrFull):
						dropped++
					default:
						t.Fatal(index, err)
					}
				}
				return dropped
			}
			readAll := func() {
				t.Helper()
				for _, e := range drain(t, c) {
					if read++; numberOf(t, e.Payload) != read || e.Missing != 0 {
						t.Fatalf("entry %d is %d, with %d missing before it", read, numberOf(t, e.Payload), e.Missing)
					}
				}
				if read != n {
					t.Fatalf("read up to %d of %d", read, n)
				}
			}
			add(100)
			if st := s.Stats(); st.State != Storing || st.Cause != "" {
				t.Errorf("%+v", st)
			}
			// The rename fails where a chapter takes its place, and the making of a new
			// one, too.
			fsys.set(func(o, name string) bool {
				both := o == op || op == "rename" && o == "mkdir" || op == "mkdir" && o == "rename" ||
					strings.HasSuffix(op, "log") && o == "write" && strings.HasSuffix(name, segmentName(1)) // large groups
				return both && !strings.Contains(name, "cursors")
			})
			if op == "write" {
				fsys.set(func(o, _ string) bool { return o == "write" || o == "write log" }) // all of them
			}
			add(100)
			if err := s.Sync(); !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
			st := checkBalance(t, s)
			if st.State != InMemory || !strings.Contains(st.Cause, "injected") || st.Since.IsZero() {
				t.Errorf("%+v", st)
			}
			readAll()

			// Nobody acknowledges: the newest are dropped.
			dropped := add(2000)
			st = checkBalance(t, s)
			if st.State != Dropping || dropped == 0 || st.Dropped != dropped || st.DroppedUntil.Before(st.DroppedFrom) || st.Bytes > 300<<10 {
				t.Errorf("%d dropped: %+v", dropped, st)
			}
			readAll()
			// What is acknowledged makes room.
			for range 20 {
				if err := c.Ack(s.Stats().Next-1, nil); err != nil {
					t.Fatal(err)
				}
				if more := add(100); more != 0 {
					t.Fatalf("%d of 100 dropped", more)
				}
				readAll()
			}
			before := n
			fsys.set(nil)
			add(100)
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			if st = checkBalance(t, s); st.State != Storing || st.Cause != "" || st.Durable != st.Next-1 {
				t.Errorf("%+v", st)
			}
			readAll()
			mustClose(t, s)
			s = mustOpen(t, dir, opts)
			if r := s.Report(); r.Unclean || len(r.Findings)+len(r.Missing) > 0 {
				t.Errorf("%+v", r)
			}
			entries := drain(t, mustCursor(t, s, "sink", Oldest))
			if first := numberOf(t, entries[0].Payload); first > before || uint64(len(entries)) != n+1-first {
				t.Errorf("%d entries from %d of %d, of which %d were before", len(entries), first, n, before)
			}
			if st := checkBalance(t, s); st.Cursors[0].Missing != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestStrangersInPlace: a directory where a file should be, and the other way
// round, stop no start, and neither do files that cannot be opened.
func TestStrangersInPlace(t *testing.T) {
	template := memoryDir(t)
	writeSpool(t, template, false)
	newest := segments(t, template)
	for _, name := range []string{"meta", "high-water", "cursors/sink", "cursors", "quarantine", "trash", "next", newest[0], newest[len(newest)-1]} {
		for _, stranger := range []string{"directory", "file", "pipe", "refusal"} {
			t.Run(filepath.Base(name)+"/"+stranger, func(t *testing.T) {
				dir := filepath.Join(memoryDir(t), "spool")
				copyTree(t, dir, template)
				place := name
				if !filepath.IsAbs(name) {
					place = filepath.Join(template, name)
				}
				relative, _ := filepath.Rel(template, place)
				place = filepath.Join(dir, relative)
				fsys := &faulty{}
				if stranger == "refusal" {
					fsys.set(func(op, n string) bool { return op == "open" && n == place && !isDir(place) })
				} else if !putStranger(t, place, stranger) {
					t.Skip("no pipes on this system")
				}
				s, err := open(dir, damageOptions, fsys)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { s.Close() }()
				c := mustCursor(t, s, "sink", Oldest)
				var missing uint64
				var got int
				for range damageEntries * 2 {
					e, err := c.TryNext(nil)
					if err == ErrNone {
						break
					}
					if err == nil {
						numberOf(t, e.Payload)
						missing += e.Missing
						got++
					}
				}
				checkBalance(t, s)
				fsys.set(nil)
				index := mustAppend(t, s, payloadOf(damageEntries+1))
				if index <= damageEntries {
					t.Errorf("index %d is used twice", index)
				}
				mustClose(t, s)
				s = mustOpen(t, dir, damageOptions)
				if r := s.Report(); r.Unclean || len(r.Findings) > 0 && !strings.HasPrefix(relative, "chapters") {
					t.Errorf("the second opening is not clean: %+v", r)
				}
				if strings.HasPrefix(relative, "chapters") == (got == damageEntries) {
					t.Errorf("%d entries", got)
				}
				if got+int(missing) > damageEntries {
					t.Errorf("%d read and %d missing", got, missing)
				}
				checkBalance(t, s)
			})
		}
	}
}

// TestQuarantineIsBounded keeps the newest of what is damaged.
func TestQuarantineIsBounded(t *testing.T) {
	dir := memoryDir(t)
	opts := damageOptions
	opts.QuarantineBytes = 1000
	for range 12 {
		s := mustOpen(t, dir, opts)
		for n := range uint64(3) {
			mustAppend(t, s, payloadOf(n))
		}
		mustClose(t, s)
		names, _ := filepath.Glob(filepath.Join(dir, "chapters", "*", "*"))
		slices.Sort(names)
		rewrite(t, names[len(names)-1], func(b []byte) []byte { return append(b, randomBytes(300)...) })
	}
	s := mustOpen(t, dir, opts)
	st := s.Stats()
	if size := treeBytes(filepath.Join(dir, "quarantine")); size > 1000 || size < 600 || st.DiscardedBytes == 0 || st.QuarantinedBytes != st.DiscardedBytes+uint64(size) {
		t.Errorf("%d bytes: %+v", size, st)
	}
}
