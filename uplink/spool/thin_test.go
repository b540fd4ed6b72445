package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
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
