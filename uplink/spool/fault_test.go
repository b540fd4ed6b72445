package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tidwall/wal"
)

var errInjected = errors.New("injected")

// faulty is the disk, but operations fail as fail says.
type faulty struct {
	disk
	mu   sync.Mutex
	fail func(op, name string) bool
}

func (f *faulty) refuse(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil && f.fail(op, name) {
		return &fs.PathError{Op: op, Path: name, Err: errInjected}
	}
	return nil
}

// set replaces fail.
func (f *faulty) set(fail func(op, name string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faulty) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	if err := f.refuse("open", name); err != nil {
		return nil, err
	}
	inner, err := f.disk.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{inner, f, name}, nil
}

func (f *faulty) Mkdir(name string) error {
	if err := f.refuse("mkdir", name); err != nil {
		return err
	}
	return f.disk.Mkdir(name)
}

func (f *faulty) Rename(from, to string) error {
	if err := f.refuse("rename", to); err != nil {
		return err
	}
	return f.disk.Rename(from, to)
}

func (f *faulty) Remove(name string) error {
	if err := f.refuse("remove", name); err != nil {
		return err
	}
	return f.disk.Remove(name)
}

func (f *faulty) RemoveAll(name string) error {
	if err := f.refuse("remove all", name); err != nil {
		return err
	}
	return f.disk.RemoveAll(name)
}

func (f *faulty) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.refuse("read dir", name); err != nil {
		return nil, err
	}
	return f.disk.ReadDir(name)
}

func (f *faulty) OpenLog(path string, opts *wal.Options) (*wal.Log, error) {
	if err := f.refuse("open log", path); err != nil {
		return nil, err
	}
	return f.disk.OpenLog(path, opts)
}

// WriteBatch fails as write(2) does on a full disk: a part is written, and what
// tidwall/wal has in memory is more.
func (f *faulty) WriteBatch(log *wal.Log, batch *wal.Batch, segment string) error {
	fault := f.refuse("write log", segment)
	before, err := os.Stat(segment)
	if err != nil {
		return err
	}
	if err := f.disk.WriteBatch(log, batch, segment); err != nil || fault == nil {
		return err
	}
	after, err := os.Stat(segment)
	if err != nil {
		return err
	}
	if err := os.Truncate(segment, before.Size()+(after.Size()-before.Size())/3); err != nil {
		return err
	}
	return fault
}

func (f *faulty) SyncDir(name string) error {
	if err := f.refuse("syncdir", name); err != nil {
		return err
	}
	return f.disk.SyncDir(name)
}

type faultyFile struct {
	file
	fs   *faulty
	name string
}

func (f *faultyFile) Sync() error {
	if err := f.fs.refuse("sync", f.name); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.fs.refuse("write", f.name); err != nil {
		n, _ := f.file.WriteAt(b[:len(b)/2], at)
		return n, err
	}
	return f.file.WriteAt(b, at)
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.fs.refuse("read", f.name); err != nil {
		return 0, err
	}
	return f.file.ReadAt(b, at)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fs.refuse("truncate", f.name); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

// readAll checks that a new opening of dir finds exactly the entries 1 to n, by
// their payloads.
func readAll(t *testing.T, s *Spool, n uint64) {
	t.Helper()
	var got, last uint64
	for _, e := range drain(t, mustCursor(t, s, "sink", Oldest)) {
		got++
		if string(e.Payload) != string(payloadOf(got)) || e.Missing != 0 || e.Index <= last {
			t.Fatalf("entry %d is %+v", got, e)
		}
		last = e.Index
	}
	if got != n {
		t.Fatalf("%d entries, want %d", got, n)
	}
	checkBalance(t, s)
}

// TestFailedSync: after a failed fsync nothing counts as durable until it was
// written anew, and nothing is lost.
func TestFailedSync(t *testing.T) {
	dir := memoryDir(t)
	fsys := &faulty{}
	s, err := open(dir, Options{Sync: SyncNever, ChapterBytes: 1024, MaxBytes: 32 << 10}, fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustCursor(t, s, "sink", Oldest).Close()
	n := uint64(0)
	add := func() {
		for range 9 {
			n++
			mustAppend(t, s, payloadOf(n))
		}
	}
	add()
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"sync", "syncdir"} {
		add()
		durable := s.Durable()
		rewritten := false
		fsys.set(func(o, name string) bool {
			rewritten = rewritten || strings.HasSuffix(name, ".TEMP")
			return o == op && strings.Contains(name, "chapters")
		})
		if err := s.Sync(); !errors.Is(err, errInjected) {
			t.Fatalf("%s: %v", op, err)
		}
		add()
		if got := s.Durable(); got < durable || got >= n-9 {
			t.Errorf("%s: durable is %d, with %d before and %d entries", op, got, durable, n)
		}
		if st := s.Stats(); st.SyncErrors == 0 {
			t.Error("the error was not counted")
		}
		fsys.set(nil)
		if err := s.Sync(); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		if s.Durable() != n {
			t.Errorf("%s: durable is %d, want %d", op, s.Durable(), n)
		}
		if op == "sync" && !rewritten {
			t.Error("the chapter was not written anew")
		}
	}
	mustClose(t, s)
	readAll(t, mustOpen(t, dir, Options{}), n)
}

// TestFailedFiles fails one kind of operation after the other for a while.
func TestFailedFiles(t *testing.T) {
	for _, c := range []struct{ op, part string }{
		{"mkdir", "chapters"}, {"open", "chapters"}, {"write", "high-water"}, {"sync", "high-water"},
		{"write", "cursors"}, {"sync", "cursors"}, {"rename", "trash"}, {"read", "chapters"},
	} {
		t.Run(c.op+" "+c.part, func(t *testing.T) {
			dir := memoryDir(t)
			fsys := &faulty{}
			opts := Options{Sync: SyncNever, ChapterBytes: 16 << 10}
			s, err := open(dir, opts, fsys)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { s.Close() }()
			sink := mustCursor(t, s, "sink", Oldest)
			other := mustCursor(t, s, "other", Oldest)
			var n, read uint64
			for round := range 6 {
				failing := round%2 == 1
				fsys.set(nil)
				if failing && c.op != "read" {
					fsys.set(func(op, name string) bool {
						return op == c.op && strings.Contains(name, string(filepath.Separator)+c.part)
					})
				}
				for range 1000 {
					if index, err := s.Append(payloadOf(n + 1)); err == nil {
						n++
					} else if index != 0 || !failing {
						t.Fatal(index, err)
					}
				}
				for {
					e, err := other.TryNext(nil)
					if err != nil {
						if err != ErrNone && !failing {
							t.Fatal(err)
						}
						break
					}
					if read++; string(e.Payload) != string(payloadOf(read)) || e.Missing != 0 {
						t.Fatalf("entry %d is %+v", read, e)
					}
					if err := other.Ack(e.Index, nil); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Sync(); err != nil && !failing {
					t.Fatal(err)
				}
				checkBalance(t, s)
			}
			sink.Close()
			fsys.set(nil)
			mustClose(t, s)
			s = mustOpen(t, dir, opts)
			if r := s.Report(); len(r.Findings) > 0 || len(r.Missing) > 0 {
				t.Errorf("%+v", r)
			}
			readAll(t, s, n)
		})
	}
}

// TestUnreadablePage: where the disk refuses to read, only what stands there is
// lost.
func TestUnreadablePage(t *testing.T) {
	fsys := &faulty{}
	s, err := open(memoryDir(t), Options{Sync: SyncNever}, fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := uint64(1); n <= 300; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	c := mustCursor(t, s, "sink", Oldest)
	reads := 0
	fsys.set(func(op, _ string) bool {
		if op == "read" {
			reads++
			// The large reads fail, and of the small ones the third.
			return reads == 1 || reads == 2 || reads == 5
		}
		return false
	})
	var missing uint64
	entries := drain(t, c)
	for _, e := range entries {
		missing += e.Missing
	}
	if missing == 0 || missing > 60 || uint64(len(entries))+missing != 300 {
		t.Errorf("%d entries read, %d missing", len(entries), missing)
	}
	if st := checkBalance(t, s); st.Missing != missing {
		t.Errorf("Stats counts %d, the cursor %d", st.Missing, missing)
	}
}

// TestCursorsComeBeforeRemovals: while a cursor cannot be written, no chapter
// goes that it still wants on disk, so a crash then repeats entries and loses
// none.
func TestCursorsComeBeforeRemovals(t *testing.T) {
	fsys := &faulty{}
	dir, crashed := memoryDir(t), memoryDir(t)
	opts := Options{Sync: SyncNever, ChapterBytes: 1}
	s, err := open(dir, opts, fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := mustCursor(t, s, "sink", Oldest)
	for n := uint64(1); n <= 20; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	fsys.set(func(op, name string) bool { return op == "write" && strings.Contains(name, "cursors") })
	for _, err := range []error{c.AckSpan(Span{8, 12}, nil), c.Ack(5, nil)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	copyTree(t, crashed, dir)
	readAll(t, mustOpen(t, crashed, opts), 20)
	fsys.set(nil)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if st := checkBalance(t, s); st.Chapters != 10 {
		t.Errorf("%+v", st)
	}
}
