package spool

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// TestShortWrites lets the kernel cut writes short, at any offset in a record,
// by a limit on the size of files: what tidwall/wal then believes to have
// written is not on disk.
//
// The limit holds for all of a process, so the test runs in one of its own.
func TestShortWrites(t *testing.T) {
	if os.Getenv("SPOOL_SHORT_WRITES") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestShortWrites$", "-test.v")
		cmd.Env = append(os.Environ(), "SPOOL_SHORT_WRITES=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Skip("file size limits are not to be had: ", err)
	}
	limit := func(n uint64) {
		l := before
		l.Cur = min(n, before.Max)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(before.Cur)

	dir := t.TempDir()
	opts := Options{Sync: SyncNever, ChapterBytes: 64 << 10}
	s := mustOpen(t, dir, opts)
	c := mustCursor(t, s, "follower", Oldest)
	mustCursor(t, s, "sink", Oldest).Close()
	var n, read, failures uint64
	for n < 400 {
		// Larger than the second page of a slot file, which is to work.
		limit(5000 + n*3)
		failed := func(err error) bool {
			if err == nil {
				return false
			}
			if !errors.Is(err, syscall.EFBIG) {
				t.Fatal(err)
			}
			failures++
			return true
		}
		if _, err := s.Append(payloadOf(n + 1)); !failed(err) {
			n++
		}
		e, err := c.TryNext(nil)
		if failed(err) || err == ErrNone {
			continue
		}
		if read++; !bytes.Equal(e.Payload, payloadOf(read)) || e.Index != read {
			t.Fatalf("entry %d is %+v", read, e)
		}
		if read%30 == 0 {
			failed(s.Sync())
		}
	}
	limit(before.Cur)
	if failures == 0 {
		t.Fatal("no write failed")
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.WriteErrors == 0 || st.Durable != n {
		t.Errorf("%+v", st)
	}
	mustClose(t, s)
	s = mustOpen(t, dir, opts)
	if r := s.Report(); len(r.Findings)+len(r.Missing) > 0 {
		t.Errorf("%+v", r)
	}
	readAll(t, s, n)
}
