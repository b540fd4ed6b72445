package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// payloadOf is the payload of test entry n: its number, and a length that
// depends on it.
func payloadOf(n uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, n)
	for i := range n * 37 % 300 {
		b = append(b, byte(n+i))
	}
	return b
}

func mustOpen(t testing.TB, dir string, opts Options) *Spool {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustAppend(t testing.TB, s *Spool, payload []byte) uint64 {
	t.Helper()
	index, err := s.Append(payload)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func mustClose(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustCursor(t testing.TB, s *Spool, name string, from Start) *Cursor {
	t.Helper()
	c, err := s.Cursor(name, from)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// drain reads all that there is.
func drain(t testing.TB, c *Cursor) (entries []Entry) {
	t.Helper()
	for {
		e, err := c.TryNext(nil)
		if err == ErrNone || err == ErrEnd {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
}

// checkBalance asserts that all indexes are accounted for in every cursor.
func checkBalance(t testing.TB, s *Spool) Stats {
	t.Helper()
	st := s.Stats()
	for _, c := range st.Cursors {
		if sum := c.Acknowledged + c.Pending + c.Evicted + c.Missing + c.Skipped + c.Thinned; sum != st.Next-c.Start {
			t.Errorf("cursor %s does not balance: %+v, next is %d", c.Name, c, st.Next)
		}
	}
	return st
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	opts := Options{ChapterBytes: 4096, Sync: SyncNever}
	s := mustOpen(t, dir, opts)
	c := mustCursor(t, s, "sink", Oldest)
	const total = 500
	for n := uint64(1); n <= total; n++ {
		if index := mustAppend(t, s, payloadOf(n)); index != n {
			t.Fatalf("entry %d has index %d", n, index)
		}
		if n%100 == 50 {
			mustClose(t, s)
			s = mustOpen(t, dir, opts)
			if r := s.Report(); r.Unclean || len(r.Findings) > 0 || len(r.Missing) > 0 || len(r.Skipped) > 0 {
				t.Fatalf("after an orderly close: %+v", r)
			}
			c = mustCursor(t, s, "sink", Oldest)
		}
		checkBalance(t, s)
	}
	for i, e := range drain(t, c) {
		n := uint64(i + 1)
		if e.Index != n || string(e.Payload) != string(payloadOf(n)) || e.Missing != 0 {
			t.Fatalf("entry %d is %+v", n, e)
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if s.Durable() != total {
		t.Errorf("durable up to %d", s.Durable())
	}
	if err := c.Ack(total, []byte("note")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = mustOpen(t, dir, opts)
	c = mustCursor(t, s, "sink", Oldest)
	if index, note := c.Acked(); index != total || string(note) != "note" {
		t.Errorf("the cursor is at %d, %q", index, note)
	}
	if st := checkBalance(t, s); st.Cursors[0].Acknowledged != total || st.Cursors[0].Pending != 0 || st.Chapters > 1 {
		t.Errorf("%+v", st)
	}
	if index := mustAppend(t, s, nil); index != total+1 {
		t.Errorf("the next index is %d", index)
	}
}

func TestIndexesAreNotUsedTwiceWhenChaptersAreGone(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	for n := uint64(1); n <= 10; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	mustClose(t, s)
	if err := os.RemoveAll(filepath.Join(dir, "chapters")); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, Options{})
	if r := s.Report(); len(r.Missing) != 1 || r.Missing[0] != (Span{1, 10}) {
		t.Errorf("missing: %+v", r.Missing)
	}
	if index := mustAppend(t, s, nil); index != 11 {
		t.Errorf("index %d", index)
	}
}

// TestLargestEntry stores and reads the largest entry between small ones.
func TestLargestEntry(t *testing.T) {
	if testing.Short() {
		t.Skip("half a GiB of memory is not for a short run")
	}
	dir := memoryDir(t)
	s := mustOpen(t, dir, Options{Sync: SyncNever})
	large := make([]byte, MaxEntry)
	large[MaxEntry-1] = 7
	for _, payload := range [][]byte{payloadOf(1), large, payloadOf(3)} {
		mustAppend(t, s, payload)
	}
	if _, err := s.Append(make([]byte, MaxEntry+1)); err == nil {
		t.Error("a larger one was taken")
	}
	mustClose(t, s)
	s = mustOpen(t, dir, Options{Sync: SyncNever})
	entries := drain(t, mustCursor(t, s, "sink", Oldest))
	if len(entries) != 3 || string(entries[0].Payload) != string(payloadOf(1)) || !bytes.Equal(entries[1].Payload, large) || string(entries[2].Payload) != string(payloadOf(3)) {
		t.Errorf("%d entries", len(entries))
	}
	if findings, err := Verify(dir); err != nil || len(findings) > 0 {
		t.Error(findings, err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("a second Open: %v", err)
	}
	if want := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name %s", err, want)
	}
	mustClose(t, s)
	mustOpen(t, dir, Options{})
}

func TestNextWaits(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	c := mustCursor(t, s, "sink", Newest)
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		e   Entry
		err error
	}
	results := make(chan result)
	go func() {
		for {
			e, err := c.Next(ctx, nil)
			results <- result{e, err}
			if err != nil {
				return
			}
		}
	}()
	for n := uint64(1); n <= 100; n++ {
		mustAppend(t, s, payloadOf(n))
		if r := <-results; r.err != nil || r.e.Index != n || string(r.e.Payload) != string(payloadOf(n)) {
			t.Fatalf("%+v", r)
		}
	}
	cancel()
	if r := <-results; r.err != context.Canceled {
		t.Fatalf("%+v", r)
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(t.Context(), nil); err != ErrEnd {
		t.Fatal(err)
	}
	if _, err := s.Append(nil); err != ErrEnd {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}
