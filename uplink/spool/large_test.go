package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidwall/wal"
)

// TestLargeGroups: what is written beside tidwall/wal is what it would have
// written, in whatever order small and large groups come.
func TestLargeGroups(t *testing.T) {
	const small, large = 100, 10 << 10 // large is from 8 KiB on
	for first, each := range []int{3, 1, 2} {
		dir := memoryDir(t)
		fsys := &faulty{}
		fsys.set(func(op, name string) bool {
			if op == "open log" {
				if info, err := os.Stat(filepath.Join(name, segmentName(1))); err != nil || info.Size() >= 48<<10 {
					t.Errorf("tidwall/wal is to read a chapter that is full for it: %v, %v", info, err)
				}
			}
			return false
		})
		s, err := open(dir, Options{Sync: SyncNever, ChapterBytes: 64 << 10}, fsys)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		cursor := mustCursor(t, s, "sink", Oldest)
		var sizes []int
		for i := range 40 {
			size := small
			if (i/each+first)%2 == 0 {
				size = large
			}
			sizes = append(sizes, size)
			mustAppend(t, s, randomBytes(size))
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			again := i > 0 && sizes[i-1] == size || i == 21
			if ch := s.current; ch != nil && again && (ch.log != nil) != (size == small) {
				t.Errorf("group %d of %d bytes: log %v", i, size, ch.log)
			}
			s.mu.Unlock()
			if i == 20 { // goes on with the chapter that is there
				mustClose(t, s)
				s = mustOpen(t, dir, Options{Sync: SyncNever, ChapterBytes: 64 << 10})
				cursor = mustCursor(t, s, "sink", Oldest)
			}
		}
		for i, e := range drain(t, cursor) {
			if string(e.Payload) != string(randomBytes(sizes[i])) || e.Missing > 0 {
				t.Errorf("entry %d has %d bytes, want %d", i, len(e.Payload), sizes[i])
			}
		}
		if checkBalance(t, s).Next != uint64(len(sizes)+1) {
			t.Error("not all is there")
		}
		mustClose(t, s)
		segments, _ := filepath.Glob(filepath.Join(dir, "chapters", "*", "*"))
		groups := 0
		for _, segment := range segments {
			groups += libraryGroups(t, filepath.Dir(segment))
		}
		if groups != len(sizes) {
			t.Errorf("tidwall/wal finds %d groups, want %d", groups, len(sizes))
		}
		s = mustOpen(t, dir, Options{})
		if r := s.Report(); r.Unclean || len(r.Findings)+len(r.Missing) > 0 {
			t.Errorf("%+v", r)
		}
	}
}

// libraryGroups has tidwall/wal read all of a chapter.
func libraryGroups(t *testing.T, dir string) int {
	t.Helper()
	log, err := wal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	last, err := log.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	for n := range last {
		data, err := log.Read(n + 1)
		if err != nil {
			t.Fatal(err)
		}
		stored := append(binary.AppendUvarint(nil, uint64(len(data))), data...)
		if rec, _, v := parseRecord(stored); v != whole || rec.group != len(data)-groupHeader {
			t.Errorf("group %d is %v, %+v", n+1, v, rec)
		}
	}
	return int(last)
}

// TestLargeChapters: chapters of large groups are larger, unless that would coarsen
// a quota.
func TestLargeChapters(t *testing.T) {
	const chapter = 32 << 10
	for _, c := range []struct {
		name    string
		options Options
		most    int64
	}{
		{"no quota", Options{}, largeChapters * chapter},
		{"much room", Options{MaxBytes: 100 * chapter}, largeChapters * chapter},
		{"a small quota", Options{MaxBytes: 60 * chapter}, chapter},
		{"little room", Options{MaxBytes: 64 * chapter}, chapter}, // for the last ones
		{"a shared quota", Options{Quota: NewQuota(100 * chapter)}, largeChapters * chapter},
		{"little room in a shared one", Options{Quota: NewQuota(64 * chapter)}, chapter},
		{"thinning", Options{Thin: &Thinning{}, MaxBytes: 1000 * chapter}, chapter},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Sync, c.options.ChapterBytes = SyncNever, chapter
			s := mustOpen(t, memoryDir(t), c.options)
			for range 60 * chapter / 4096 {
				mustAppend(t, s, randomBytes(4096))
			}
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			st := checkBalance(t, s)
			s.mu.Lock()
			defer s.mu.Unlock()
			last := s.chapters[len(s.chapters)-2].size
			if last > c.most+chapter/2 || last < c.most-c.most/4 {
				t.Errorf("the last chapter has %d bytes, it may have %d", last, c.most)
			}
			if quota := max(c.options.MaxBytes, 100*chapter); st.Bytes > quota {
				t.Errorf("%d bytes of %d", st.Bytes, quota)
			}
		})
	}
}

// TestLargeGroupBreaksOff: the disk fails in the middle of a large group, which is
// then written whole to another chapter.
func TestLargeGroupBreaksOff(t *testing.T) {
	for n := 1; n <= 4; n++ { // pieces
		dir := memoryDir(t)
		fsys := &faulty{}
		s, err := open(dir, Options{Sync: SyncNever}, fsys)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		mustAppend(t, s, randomBytes(100<<10))
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		writes := 0
		fsys.set(func(op, name string) bool {
			if op == "write" && filepath.Base(name) == segmentName(1) {
				writes++
			}
			return op == "write" && writes == n
		})
		mustAppend(t, s, randomBytes(200<<10))
		if err := s.Sync(); err == nil {
			t.Errorf("piece %d: no error", n)
		}
		fsys.set(nil)
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		entries := drain(t, mustCursor(t, s, "sink", Oldest))
		if len(entries) != 2 || string(entries[1].Payload) != string(randomBytes(200<<10)) || entries[1].Missing > 0 {
			t.Errorf("piece %d: %d entries", n, len(entries))
		}
		checkBalance(t, s)
		mustClose(t, s)
		if findings, err := Verify(dir); err != nil || len(findings) > 0 {
			t.Errorf("piece %d: %v, %v", n, findings, err)
		}
	}
}
