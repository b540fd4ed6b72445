package spool

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// nth fails operation n, and only that.
type nth struct {
	faulty
	n, count int
	what     string
}

func failNth(n int) *nth {
	f := &nth{n: n}
	f.fail = func(op, name string) bool {
		f.count++
		if f.count-1 == n {
			f.what = op + " " + name
		}
		return f.count-1 == n
	}
	return f
}

// run is what one life of a spool promised.
type promises struct {
	durable  uint64 // entries, by their numbers, that a Sync or Close covered
	appended uint64
	read     map[uint64]bool // acknowledged by the cursor sink
	crash    uint64          // durable before Close, of which dir.crash is a copy
}

// live opens a spool, appends, reads, acknowledges in and out of order, evicts
// and closes, and takes every error as it comes. Numbers of entries ascend.
func (p *promises) live(t *testing.T, dir string, opts Options, fsys fileSystem) {
	s, err := open(dir, opts, fsys)
	if err != nil {
		return
	}
	crash := func() {
		s.syncing.Lock()
		s.writing.Lock()
		copyTree(t, dir+".crash", dir)
		s.writing.Unlock()
		s.syncing.Unlock()
		p.crash = p.durable
	}
	synced := func(err error) {
		if err == nil {
			p.durable = p.appended
		} else if p.crash == 0 {
			crash() // as a power cut right behind the fault would find it
		}
	}
	defer func() {
		if p.crash == 0 {
			crash()
		}
		synced(s.Close())
	}()
	sink, err := s.Cursor("sink", Oldest)
	if err != nil {
		return
	}
	for round := range 4 {
		for i := range 12 {
			if index, _ := s.Append(payloadOf(p.appended + 1)); index != 0 {
				p.appended++
			}
			if i == 1 { // a small group, for tidwall/wal, between large ones
				synced(s.Sync())
			}
		}
		if round%2 == 0 {
			synced(s.Sync())
		}
		var spans []Span
		for range 8 {
			e, err := sink.TryNext(nil)
			if err != nil {
				continue
			}
			n := numberOf(t, e.Payload)
			if p.read[n] {
				t.Fatalf("entry %d was acknowledged and is read again", n)
			}
			p.read[n] = true
			spans = append(spans, Span{e.Index, e.Index})
		}
		for i := range spans {
			// The later ones first.
			span := spans[len(spans)-1-i]
			if err := sink.AckSpan(span, nil); err != nil && err != ErrSpans {
				t.Fatal(err)
			}
		}
		checkBalance(t, s)
	}
}

func numberOf(t *testing.T, payload []byte) uint64 {
	t.Helper()
	var n uint64
	for i := range 8 {
		n |= uint64(payload[i]) << (8 * i)
	}
	if string(payload) != string(payloadOf(n)) {
		t.Fatalf("entry %d is damaged", n)
	}
	return n
}

// TestFailEachOperation fails operation n of a spool's second life for n from 0
// until it has fewer operations: nothing that was promised is lost, nothing is
// read twice by who has acknowledged it, and all is accounted for.
func TestFailEachOperation(t *testing.T) {
	for _, c := range []struct {
		name string
		opts Options
		step int // all operations take a while on a busy machine
	}{
		{"on request", Options{Sync: SyncNever, ChapterBytes: 1000}, 3},
		{"at intervals", Options{Sync: time.Hour, ChapterBytes: 4000}, 1},
		{"quota, compressed", Options{Sync: time.Hour, ChapterBytes: 1000, MaxBytes: 5000, Compression: Zstd}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			template := filepath.Join(memoryDir(t), "spool")
			before := promises{read: map[uint64]bool{}}
			before.live(t, template, c.opts, disk{})
			if before.durable != 48 {
				t.Fatal(before.durable)
			}
			n := 0
			for ; ; n += c.step {
				dir := filepath.Join(memoryDir(t), "spool")
				copyTree(t, dir, template)
				p := promises{durable: before.durable, appended: before.appended, read: map[uint64]bool{}}
				fsys := failNth(n)
				p.live(t, dir, c.opts, fsys)
				if !t.Run(fmt.Sprint(n), func(t *testing.T) {
					p.keep(t, dir, c.opts, fsys.what)
					if p.crash > 0 {
						p.durable = p.crash
						p.keep(t, dir+".crash", c.opts, fsys.what+", then a crash")
					}
				}) {
					return
				}
				if fsys.count <= n {
					break
				}
				if testing.Short() {
					n += 3
				}
			}
			t.Logf("%d operations", n)
		})
	}
}

// keep checks the promises in a spool that a fault went through.
func (p *promises) keep(t *testing.T, dir string, opts Options, what string) {
	s := mustOpen(t, dir, opts)
	// What a second cursor finds is all that there is.
	c := mustCursor(t, s, "sink", Oldest)
	got := map[uint64]bool{}
	last := uint64(0)
	for _, e := range drain(t, c) {
		n := numberOf(t, e.Payload)
		if got[n] || n <= last || n > p.appended {
			t.Fatalf("%s: entry %d behind %d of %d", what, n, last, p.appended)
		}
		got[n], last = true, n
	}
	st := checkBalance(t, s)
	k := st.Cursors[0]
	if k.Pending != uint64(len(got)) {
		t.Errorf("%s: %d entries read, %+v", what, len(got), k)
	}
	// Each durable entry is read, or was acknowledged, or is counted as evicted.
	var lost uint64
	for n := uint64(1); n <= p.durable; n++ {
		if !got[n] && !p.read[n] {
			lost++
		}
	}
	// The template's own acknowledgements come first.
	acked := k.Acknowledged
	if lost > acked+k.Evicted {
		t.Errorf("%s: %d durable entries are gone: %+v, %+v", what, lost, k, s.Report())
	}
	if opts.MaxBytes == 0 && (k.Evicted > 0 || k.Missing > 0 || uint64(len(got))+acked < p.durable) {
		t.Errorf("%s: %d read and %d acknowledged of %d durable: %+v", what, len(got), acked, p.durable, k)
	}
	mustClose(t, s)
	s = mustOpen(t, dir, opts)
	if r := s.Report(); r.Unclean || len(r.Findings)+len(r.Missing) > 0 {
		t.Errorf("%s: the second opening is not clean: %+v", what, r)
	}
	mustClose(t, s)
	if findings, err := Verify(dir); err != nil || len(findings) > 0 {
		t.Errorf("%s: %v, %v", what, findings, err)
	}
}
