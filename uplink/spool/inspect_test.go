package spool

import (
	"path/filepath"
	"testing"
	"time"
)

// TestInspectChangesNothing looks at spools in all kinds of states.
func TestInspectChangesNothing(t *testing.T) {
	for _, crash := range []bool{false, true} {
		dir := filepath.Join(memoryDir(t), "spool")
		writeSpool(t, dir, crash)
		names := segments(t, dir)
		rewrite(t, names[1], func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
		rewrite(t, names[len(names)-1], func(b []byte) []byte { return b[:len(b)-1] })
		before := snapshot(t, dir)

		info, err := Inspect(dir)
		if err != nil {
			t.Fatal(err)
		}
		var entries uint64
		for _, ch := range info.Chapters {
			entries += ch.Entries
		}
		if entries != damageEntries-2 || len(info.Chapters) != len(names) || len(info.Cursors) != 1 || info.Next == 0 {
			t.Errorf("%d entries: %+v", entries, info)
		}
		var scanned, missing uint64
		for e, err := range Scan(dir) {
			if err != nil || string(e.Payload) != string(payloadOf(e.Index)) {
				t.Fatalf("%+v, %v", e, err)
			}
			scanned++
			missing += e.Missing
		}
		if scanned != entries || missing != 1 {
			t.Errorf("Scan finds %d entries of %d and %d missing", scanned, entries, missing)
		}
		for range Scan(dir) {
			break
		}
		findings, err := Verify(dir)
		if err != nil {
			t.Fatal(err)
		}
		var tails int
		for _, f := range findings {
			if f.Tail {
				tails++
			}
		}
		want := 3
		if !crash {
			want++ // It is known which entry the cut-off one was.
		}
		if len(findings) != want || tails != 1 {
			t.Errorf("%v", findings)
		}
		if after := snapshot(t, dir); after != before {
			t.Error("something was changed")
		}
	}
}

// TestInspectInUse looks at a spool while it is written, read and released.
func TestInspectInUse(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{Sync: time.Millisecond, ChapterBytes: 4096})
	c := mustCursor(t, s, "sink", Oldest)
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if _, err := s.Append(payloadOf(n)); err != nil {
				stopped <- err
				return
			}
			if n%50 != 0 {
				continue
			}
			for range 40 {
				e, err := c.TryNext(nil)
				if err == nil {
					err = c.Ack(e.Index, nil)
				}
				if err != nil {
					stopped <- err
					return
				}
			}
		}
	}()
	for range 20 {
		last := uint64(0)
		for e, err := range Scan(dir) {
			if err != nil {
				t.Error(err)
				break
			}
			if string(e.Payload) != string(payloadOf(e.Index)) || e.Index <= last {
				t.Errorf("%+v behind %d", e, last)
			}
			last = e.Index
		}
		if _, err := Verify(dir); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}
