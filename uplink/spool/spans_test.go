package spool

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestAckSpan acknowledges a backlog in all orders: what is pending is read, and
// only that, and chapters go as soon as nobody wants them.
func TestAckSpan(t *testing.T) {
	dir := memoryDir(t)
	opts := Options{ChapterBytes: 1, Sync: SyncNever} // an entry a chapter
	s := mustOpen(t, dir, opts)
	c := mustCursor(t, s, "sink", Oldest)
	for n := uint64(1); n <= 100; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	steps := []struct {
		span    Span
		pending []Span
	}{
		{Span{91, 100}, []Span{{1, 90}}},
		{Span{41, 50}, []Span{{1, 40}, {51, 90}}},
		{Span{45, 60}, []Span{{1, 40}, {61, 90}}},
		{Span{31, 40}, []Span{{1, 30}, {61, 90}}},
		{Span{70, 70}, []Span{{1, 30}, {61, 69}, {71, 90}}},
		{Span{62, 80}, []Span{{1, 30}, {61, 61}, {81, 90}}},
		{Span{1, 29}, []Span{{30, 30}, {61, 61}, {81, 90}}},
		{Span{30, 61}, []Span{{81, 90}}},
		{Span{81, 90}, nil},
	}
	for _, step := range steps {
		if err := c.AckSpan(step.span, []byte("n")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			pending := c.Pending(nil)
			if !slices.Equal(pending, step.pending) {
				t.Fatalf("after %v %v is pending, not %v", step.span, pending, step.pending)
			}
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			var entries uint64
			for _, p := range pending {
				entries += p.Len()
			}
			if st := checkBalance(t, s); st.Entries != entries || st.Chapters != int(entries) || st.Cursors[0].Acknowledged != 100-entries {
				t.Fatalf("after %v: %+v", step.span, st)
			}
			c.Rewind()
			got := drain(t, c)
			for _, e := range got {
				if e.Missing != 0 || string(e.Payload) != string(payloadOf(e.Index)) || !slices.ContainsFunc(pending, func(p Span) bool { return p.From <= e.Index && e.Index <= p.To }) {
					t.Fatalf("after %v: %+v", step.span, e)
				}
			}
			if uint64(len(got)) != entries {
				t.Fatalf("after %v: %d entries, not %d", step.span, len(got), entries)
			}
			if findings, err := Verify(dir); err != nil || len(findings) > 0 {
				t.Fatal(findings, err)
			}
			mustClose(t, s)
			s = mustOpen(t, dir, opts)
			if r := s.Report(); len(r.Missing)+len(r.Findings) > 0 || r.Entries != entries {
				t.Fatalf("after %v: %+v", step.span, r)
			}
			c = mustCursor(t, s, "sink", Oldest)
		}
	}
	if index, note := c.Acked(); index != 100 || string(note) != "n" {
		t.Errorf("%d, %q", index, note)
	}
}

// TestHolesAndANewCursor: what was released before a cursor was made does not
// concern it, and is not missing.
func TestHolesAndANewCursor(t *testing.T) {
	s := mustOpen(t, memoryDir(t), Options{ChapterBytes: 1, Sync: SyncNever, MaxBytes: 100 << 10})
	c := mustCursor(t, s, "sink", Oldest)
	for n := uint64(1); n <= 10; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	for _, err := range []error{s.Sync(), c.AckSpan(Span{3, 5}, nil), s.Sync()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	late := mustCursor(t, s, "late", Oldest)
	if got := late.Pending(nil); !slices.Equal(got, []Span{{1, 10}}) {
		t.Errorf("%v", got)
	}
	var missing uint64
	got := drain(t, late)
	for _, e := range got {
		missing += e.Missing
	}
	if len(got) != 7 || missing != 0 {
		t.Errorf("%d entries, %d missing", len(got), missing)
	}
	st := checkBalance(t, s)
	if l := st.Cursors[0]; l.Name != "late" || l.Skipped != 3 || l.Pending != 7 || l.Missing != 0 {
		t.Errorf("%+v", l)
	}
	// Evicting what is before the hole, and then all of it.
	for i, evicted := range []uint64{1, 2, 3} {
		s.mu.Lock()
		s.evictOldestLocked()
		s.mu.Unlock()
		st := checkBalance(t, s)
		if st.EvictedEntries != evicted || st.Cursors[0].Evicted != evicted || st.Cursors[0].Skipped != 3 || st.Cursors[1].Evicted != evicted {
			t.Errorf("%d: %+v", i, st)
		}
	}
}

func TestMaxSpans(t *testing.T) {
	s := mustOpen(t, memoryDir(t), Options{Sync: SyncNever})
	c := mustCursor(t, s, "sink", Oldest)
	for n := uint64(1); n <= 4*MaxSpans; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	for i := range uint64(MaxSpans) {
		if err := c.AckSpan(Span{2 + 2*i, 2 + 2*i}, nil); err != nil {
			t.Fatal(err)
		}
	}
	before := c.Position()
	if len(before.Done) != MaxSpans {
		t.Fatalf("%+v", before)
	}
	last := uint64(4 * MaxSpans)
	if err := c.AckSpan(Span{last, last}, []byte("x")); err != ErrSpans {
		t.Fatal(err)
	}
	if err := c.Advance(Position{s.ID(), 0, []Span{{last, last}}}, []byte("x")); err != ErrSpans {
		t.Fatal(err)
	}
	if after := c.Position(); !slices.Equal(after.Done, before.Done) || after.Acked != before.Acked {
		t.Errorf("%+v became %+v", before, after)
	}
	if _, note := c.Acked(); len(note) != 0 {
		t.Errorf("note %q", note)
	}
	if err := c.AckSpan(Span{3, 3}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.AckSpan(Span{last, last}, nil); err != nil {
		t.Error(err)
	}
	if err := c.AckSpan(Span{last, last + 1}, nil); err == nil {
		t.Error("an entry that is not there was acknowledged")
	}
	if err := c.AckSpan(Span{5, 4}, nil); err == nil {
		t.Error("an empty span was acknowledged")
	}
	checkBalance(t, s)
}

// TestPosition takes the place of one spool's cursor through text back to an
// older copy of the directory, as a restart with exactly-once delivery does.
func TestPosition(t *testing.T) {
	dir, older := memoryDir(t), filepath.Join(memoryDir(t), "older")
	opts := Options{Sync: SyncNever, ChapterBytes: 512}
	s := mustOpen(t, dir, opts)
	c := mustCursor(t, s, "sink", Oldest)
	for n := uint64(1); n <= 50; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	copyTree(t, older, dir)
	for _, span := range []Span{{1, 3}, {40, 50}, {20, 29}} {
		if err := c.AckSpan(span, nil); err != nil {
			t.Fatal(err)
		}
	}
	text, err := c.Position().MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)

	s = mustOpen(t, older, opts)
	c = mustCursor(t, s, "sink", Oldest)
	var p Position
	if err := p.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Advance(p, []byte("note")); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Pending(nil); !slices.Equal(got, []Span{{4, 19}, {30, 39}, {51, s.Stats().Next - 1}}) && !slices.Equal(got, []Span{{4, 19}, {30, 39}}) {
		t.Errorf("%v", got)
	}
	if err := c.Ack(10, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Advance(p, nil); err != nil {
		t.Fatal(err)
	}
	if index, _ := c.Acked(); index != 10 {
		t.Errorf("it moved back to %d", index)
	}
	checkBalance(t, s)

	other := p
	other.Spool[0]++
	if err := c.Advance(other, nil); err == nil || !strings.Contains(err.Error(), "this is spool") {
		t.Error(err)
	}
	ahead := p
	ahead.Acked = 1 << 30
	ahead.Done = nil
	if err := c.Advance(ahead, nil); err == nil || !strings.Contains(err.Error(), "older copy") {
		t.Error(err)
	}
	if err := c.Advance(Position{p.Spool, 5, []Span{{6, 7}}}, nil); err == nil {
		t.Error("spans that touch are no position")
	}
	if err := p.UnmarshalText([]byte("spool2:0")); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}

	// The longest there is.
	long := Position{Acked: 1 << 61}
	at := long.Acked
	for range MaxSpans {
		long.Done = append(long.Done, Span{at + 1<<55, at + 1<<56})
		at += 1 << 56
	}
	if text, err := long.MarshalText(); err != nil || len(text) >= 1024 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// TestReady waits with one goroutine for several spools, which others fill: each
// entry arrives, so no wake-up was lost, or the test would not end.
func TestReady(t *testing.T) {
	const each = 3000
	var writers sync.WaitGroup
	var cursors [2]*Cursor
	var spools [2]*Spool
	for i := range cursors {
		spools[i] = mustOpen(t, memoryDir(t), Options{Sync: SyncNever})
		cursors[i] = mustCursor(t, spools[i], "sink", Oldest)
		writers.Go(func() {
			for n := uint64(1); n <= each; n++ {
				if _, err := spools[i].Append(payloadOf(n)); err != nil {
					t.Error(err)
				}
			}
			var err error
			if i == 0 {
				err = spools[i].End()
			} else {
				err = spools[i].Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	var got [2]int
	var ended [2]error
	for ended[0] == nil || ended[1] == nil {
		waiting := true
		for i, c := range cursors {
			if ended[i] != nil {
				continue
			}
			switch _, err := c.TryNext(nil); err {
			case nil:
				got[i]++
				waiting = false
			case ErrNone:
			default:
				ended[i] = err
				waiting = false
			}
		}
		if waiting {
			select {
			case <-cursors[0].Ready():
			case <-cursors[1].Ready():
			}
		}
	}
	writers.Wait()
	if got[0] != each || ended[0] != ErrEnd || ended[1] != ErrClosed {
		t.Error(got, ended)
	}
}
