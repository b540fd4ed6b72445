package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// thinTest merges entries of numbers: what one is merged from can be read from
// it. A step merges all with the same number divided by 5, then by 25.
var thinTest = &Thinning{Steps: 2, Merge: mergeNumbers}

var mergedMark = []byte("merged")

func mergeNumbers(step int, entries iter.Seq[Entry], put func(uint64, []byte) error) (err error) {
	cell := uint64(5)
	if step == 1 {
		cell = 25
	}
	var index uint64
	var numbers []uint64
	flush := func() {
		if len(numbers) == 0 || err != nil {
			return
		}
		payload := slices.Clone(mergedMark)
		for _, n := range numbers {
			payload = binary.AppendUvarint(payload, n)
		}
		err = put(index, payload)
		numbers = numbers[:0]
	}
	for e := range entries {
		more := numbersOf(e.Payload)
		if len(numbers) > 0 && numbers[0]/cell != more[0]/cell {
			flush()
		}
		if len(numbers) == 0 {
			index = e.Index
		}
		numbers = append(numbers, more...)
	}
	flush()
	return err
}

// numbersOf returns the numbers of the entries that became one; nil if it is none.
func numbersOf(payload []byte) (numbers []uint64) {
	rest, merged := bytes.CutPrefix(payload, mergedMark)
	if !merged {
		if n := binary.LittleEndian.Uint64(payload); bytes.Equal(payload, payloadOf(n)) {
			return []uint64{n}
		}
		return nil
	}
	for len(rest) > 0 {
		n, size := binary.Uvarint(rest)
		numbers = append(numbers, n)
		rest = rest[size:]
	}
	return numbers
}

// thinOptions are those of a small spool that is thinned.
var thinOptions = Options{Sync: SyncNever, ChapterBytes: 2048, MaxBytes: 48 << 10, Thin: thinTest}

// checkThinned reads all that a cursor has left and asserts that it is each of
// the numbers from first to last once, but for those that seen says to have been
// returned before, and that indexes ascend. It returns the number of entries.
func checkThinned(t *testing.T, s *Spool, c *Cursor, first, last uint64, seen map[uint64]bool) int {
	t.Helper()
	entries := drain(t, c)
	n, index := first, uint64(0)
	for _, e := range entries {
		numbers := numbersOf(e.Payload)
		if numbers == nil || e.Index <= index || e.Missing != 0 {
			t.Fatalf("%+v behind %d", e, index)
		}
		index = e.Index
		for _, got := range numbers {
			for seen[n] && n < got {
				n++
			}
			if got != n {
				t.Fatalf("entry %d has %v, %d is due", e.Index, numbers, n)
			}
			n++
		}
	}
	for seen[n] {
		n++
	}
	if n != last+1 {
		t.Fatalf("entries up to %d, not %d", n-1, last)
	}
	return len(entries)
}

func verifyClean(t *testing.T, dir string) {
	t.Helper()
	if findings, err := Verify(dir); err != nil || len(findings) > 0 {
		t.Errorf("%v, %v", findings, err)
	}
}

// TestThin fills a spool to several times its quota: nothing is evicted as long as
// there is anything to thin, no number is lost or twice, whatever was returned
// keeps its form, and all indexes are accounted for, also after an opening.
func TestThin(t *testing.T) {
	for _, compression := range []Compression{None, Zstd} {
		t.Run(fmt.Sprint(compression), func(t *testing.T) {
			dir := filepath.Join(memoryDir(t), "spool")
			opts := thinOptions
			opts.Compression = compression
			s := mustOpen(t, dir, opts)
			sink := mustCursor(t, s, "sink", Oldest)
			other := mustCursor(t, s, "other", Oldest)
			const total = 1500
			returned := map[uint64]string{}
			for n := uint64(1); n <= total; n++ {
				index := mustAppend(t, s, payloadOf(n))
				if n%61 == 0 {
					// It is tried to send the newest entry.
					sink.Seek(index)
					e, err := sink.TryNext(nil)
					if err != nil || e.Index != index {
						t.Fatal(e, err)
					}
					returned[index] = string(e.Payload)
				}
				if n%10 == 0 {
					if err := errors.Join(s.Sync(), s.thinOut()); err != nil {
						t.Fatal(err)
					}
					checkBalance(t, s)
				}
				if n == total/2 {
					mustClose(t, s)
					verifyClean(t, dir)
					s = mustOpen(t, dir, opts)
					if r := s.Report(); r.Unclean || len(r.Findings)+len(r.Missing) > 0 {
						t.Fatalf("%+v", r)
					}
					checkBalance(t, s)
					sink, other = mustCursor(t, s, "sink", Oldest), mustCursor(t, s, "other", Oldest)
				}
			}
			st := checkBalance(t, s)
			if st.EvictedEntries > 0 || st.ThinnedEntries == 0 || st.Entries+st.ThinnedEntries != total || st.ThinnedFrom.IsZero() {
				t.Errorf("%+v", st)
			}
			mustClose(t, s)
			verifyClean(t, dir)
			s = mustOpen(t, dir, opts)
			if r := s.Report(); r.Unclean || len(r.Findings)+len(r.Missing) > 0 {
				t.Fatalf("%+v", r)
			}
			again := checkBalance(t, s)
			if again.Entries != st.Entries || again.ThinnedEntries != st.ThinnedEntries {
				t.Errorf("before %+v\nafter %+v", st, again)
			}
			for _, c := range again.Cursors {
				if c.Pending != st.Entries || c.Thinned != st.ThinnedEntries {
					t.Errorf("%+v", c)
				}
			}
			sink, other = mustCursor(t, s, "sink", Oldest), mustCursor(t, s, "other", Oldest)
			for index, payload := range returned {
				sink.Seek(index)
				if e, err := sink.TryNext(nil); err != nil || e.Index != index || string(e.Payload) != payload {
					t.Fatalf("entry %d became %+v, %v", index, e, err)
				}
			}
			entries := checkThinned(t, s, other, 1, total, nil)
			if uint64(entries) != st.Entries || st.Entries > total/2 {
				t.Errorf("%d entries were read, %d of %d are left", entries, st.Entries, total)
			}
			scanned := 0
			for e, err := range Scan(dir) {
				if err != nil || e.Missing > 0 {
					t.Fatal(e, err)
				}
				scanned++
			}
			if scanned != entries {
				t.Errorf("Scan finds %d entries", scanned)
			}
			var acked uint64
			for _, e := range drain(t, mustCursor(t, s, "late", Oldest)) {
				if e.Index%7 == 0 && acked < 20 {
					if err := other.AckSpan(Span{e.Index, e.Index}, nil); err != nil {
						t.Fatal(err)
					}
					acked++
				}
			}
			for _, c := range checkBalance(t, s).Cursors {
				if c.Name == "other" && (c.Acknowledged != acked || c.Pending != st.Entries-acked) {
					t.Errorf("%+v", c)
				}
			}
			for _, c := range []*Cursor{sink, other} {
				if err := c.Ack(s.Stats().Next-1, nil); err != nil {
					t.Fatal(err)
				}
			}
			if c := checkBalance(t, s).Cursors[1]; c.Acknowledged != st.Entries || c.Pending != 0 || c.Thinned != st.ThinnedEntries {
				t.Errorf("%+v", c)
			}
		})
	}
}

// copyLive is copyTree of a spool that is open: files may vanish meanwhile, of
// which the copy has a part then.
func copyLive(t *testing.T, to, from string) {
	t.Helper()
	for {
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		err := os.CopyFS(to, os.DirFS(from))
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// TestCutWhileThinning cuts a life that thins at each of its operations: a copy
// of the directory at that instant holds each number once, in the old entry or in
// the new one, and what was returned before in the form that it had.
func TestCutWhileThinning(t *testing.T) {
	template, dir, copied := filepath.Join(memoryDir(t), "spool"), filepath.Join(memoryDir(t), "spool"), filepath.Join(memoryDir(t), "spool")
	opts := thinOptions
	opts.MaxBytes = 1 << 20 // not yet
	s := mustOpen(t, template, opts)
	sink := mustCursor(t, s, "sink", Oldest)
	const total = 200
	returned := map[uint64]string{}
	for n := uint64(1); n <= total; n++ {
		index := mustAppend(t, s, payloadOf(n))
		if n%53 == 0 {
			sink.Seek(index)
			if _, err := sink.TryNext(nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustClose(t, s)
	opts.MaxBytes = 12 << 10
	stages := map[string]int{}
	step := 2
	if testing.Short() {
		step = 3
	}
	for n := 0; ; n += step {
		copyTree(t, dir, template)
		clear(returned)
		fsys := failNth(-1)
		atCut := map[uint64]string{}
		cut := false
		fsys.set(func(op, name string) bool {
			if fsys.count++; fsys.count-1 == n {
				copyLive(t, copied, dir)
				cut = true
				for index, payload := range returned {
					atCut[index] = payload
				}
				stages[op]++
			}
			return false
		})
		s, err := open(dir, opts, fsys)
		if err != nil {
			t.Fatal(err)
		}
		s.thinOut()
		sink := mustCursor(t, s, "sink", Oldest)
		for range 8 {
			e, err := sink.TryNext(nil)
			if err != nil {
				t.Fatal(err)
			}
			fsys.mu.Lock()
			returned[e.Index] = string(e.Payload)
			fsys.mu.Unlock()
			sink.Seek(e.Index + 25)
		}
		s.thinOut()
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		fsys.set(nil)
		mustClose(t, s)
		if !cut {
			break
		}
		s = mustOpen(t, copied, opts)
		if r := s.Report(); len(r.Findings)+len(r.Missing) > 0 {
			t.Fatalf("cut before operation %d: %+v", n, r)
		}
		if err := s.thinOut(); err != nil {
			t.Fatal(err)
		}
		checkBalance(t, s)
		got := map[uint64]string{}
		c := mustCursor(t, s, "sink", Oldest)
		for _, e := range drain(t, c) {
			got[e.Index] = string(e.Payload)
		}
		for index, payload := range atCut {
			if got[index] != payload {
				t.Fatalf("cut before operation %d: entry %d was %q and is %q", n, index, payload, got[index])
			}
		}
		c.Rewind()
		checkThinned(t, s, c, 1, total, nil)
		mustClose(t, s)
		verifyClean(t, copied)
	}
	if stages["rename"] == 0 || stages["write"] == 0 || stages["remove all"] == 0 {
		t.Errorf("%v", stages)
	}
}

// TestFailWhileThinning fails each operation of a life that thins, once.
func TestFailWhileThinning(t *testing.T) {
	template := filepath.Join(memoryDir(t), "spool")
	opts := thinOptions
	opts.MaxBytes = 1 << 20
	s := mustOpen(t, template, opts)
	mustCursor(t, s, "sink", Oldest)
	const total = 200
	for n := uint64(1); n <= total; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	mustClose(t, s)
	opts.MaxBytes = 12 << 10
	step := 2
	if testing.Short() {
		step = 3
	}
	for n := 0; ; n += step {
		dir := filepath.Join(memoryDir(t), "spool")
		copyTree(t, dir, template)
		fsys := failNth(n)
		if s, err := open(dir, opts, fsys); err == nil {
			s.thinOut()
			s.Sync()
			copyLive(t, dir+".crash", dir)
			if sink, err := s.Cursor("sink", Oldest); err == nil {
				for range 8 {
					sink.TryNext(nil)
				}
			}
			s.thinOut()
			checkBalance(t, s)
			s.Close()
		}
		for _, dir := range []string{dir, dir + ".crash"} {
			if !isDir(dir) {
				continue
			}
			s := mustOpen(t, dir, opts)
			if err := s.thinOut(); err != nil {
				t.Fatal(err)
			}
			checkBalance(t, s)
			checkThinned(t, s, mustCursor(t, s, "sink", Oldest), 1, total, nil)
			if st := checkBalance(t, s); st.EvictedEntries > 0 || st.Missing > 0 {
				t.Errorf("%s: %+v", fsys.what, st)
			}
			mustClose(t, s)
			verifyClean(t, dir)
		}
		if fsys.count <= n {
			t.Logf("%d operations", n)
			break
		}
	}
}

// TestReturnedFromMemory: what was returned before it was written is not thinned
// after a crash.
func TestReturnedFromMemory(t *testing.T) {
	dir, crashed := memoryDir(t), memoryDir(t)
	opts := thinOptions
	opts.MaxBytes = 1 << 20 // not yet
	s := mustOpen(t, dir, opts)
	sink := mustCursor(t, s, "sink", Oldest)
	const total = 200
	for n := uint64(1); n <= total; n++ {
		index := mustAppend(t, s, payloadOf(n))
		if n%53 == 0 {
			sink.Seek(index)
			if e, err := sink.TryNext(nil); err != nil || e.Index != index {
				t.Fatal(e, err)
			}
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	copyLive(t, crashed, dir)
	opts.MaxBytes = 12 << 10
	s = mustOpen(t, crashed, opts)
	if err := s.thinOut(); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.ThinnedEntries == 0 {
		t.Errorf("%+v", st)
	}
	for index, returned := uint64(53), 0; index <= total; index += 53 {
		c := mustCursor(t, s, fmt.Sprint("late", returned), Oldest)
		c.Seek(index)
		if e, err := c.TryNext(nil); err != nil || e.Index != index || !bytes.Equal(e.Payload, payloadOf(index)) {
			t.Errorf("entry %d became %+v, %v", index, e, err)
		}
		returned++
	}
}

// TestDamageThinned flips each byte of a thinned chapter, and cuts it at each: no
// number is read twice or wrongly, and what is not read is counted, the first time
// and the second.
func TestDamageThinned(t *testing.T) {
	golden, dir := filepath.Join(memoryDir(t), "spool"), filepath.Join(memoryDir(t), "spool")
	opts := Options{Sync: SyncNever, ChapterBytes: 1024, Thin: thinTest}
	s := mustOpen(t, golden, opts)
	const total = 60
	for n := uint64(1); n <= total; n++ {
		mustAppend(t, s, payloadOf(n))
	}
	mustCursor(t, s, "sink", Oldest)
	mustClose(t, s)
	thin := opts
	thin.MaxBytes = 7500
	s = mustOpen(t, golden, thin)
	if err := s.thinOut(); err != nil {
		t.Fatal(err)
	}
	var target string
	var steps int
	for _, ch := range s.chapters {
		if ch.step > 0 {
			target, steps = chapterFile(ch), steps+1
			break
		}
	}
	mustClose(t, s)
	if steps == 0 {
		t.Fatal("nothing was thinned")
	}
	whole, err := os.ReadFile(filepath.Join(golden, target))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, damaged []byte) {
		t.Helper()
		copyTree(t, dir, golden)
		if err := os.WriteFile(filepath.Join(dir, target), damaged, 0o640); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s := mustOpen(t, dir, opts)
			c := mustCursor(t, s, "sink", Oldest)
			last := uint64(0)
			var missing, read uint64
			for _, e := range drain(t, c) {
				numbers := numbersOf(e.Payload)
				missing += e.Missing
				for _, n := range numbers {
					if n <= last || n > total {
						t.Fatalf("%s: %d behind %d", what, n, last)
					}
					last = n
					read++
				}
			}
			st := checkBalance(t, s).Cursors[0]
			if last != total || st.Missing != missing || missing == 0 && read < total {
				t.Fatalf("%s: up to %d, %d missing: %+v", what, last, missing, st)
			}
			mustClose(t, s)
		}
	}
	step := 3 // an opening a time: all of them take a while on a busy machine
	if testing.Short() {
		step = 11
	}
	for at := 0; at < len(whole); at += step {
		damaged := slices.Clone(whole)
		damaged[at] ^= 0x41
		check(fmt.Sprintf("byte %d of %d flipped", at, len(whole)), damaged)
		check(fmt.Sprintf("cut at %d of %d", at, len(whole)), whole[:at])
	}
}
