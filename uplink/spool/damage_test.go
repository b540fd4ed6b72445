package spool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

const (
	damageEntries = 73   // the last one is short, so that all of it can be damaged
	damageChapter = 2048 // so that there are several
)

// damageOptions have a quota that nothing comes near: chapters do not grow then.
var damageOptions = Options{ChapterBytes: damageChapter, Sync: SyncNever, MaxBytes: 32 * damageChapter}

// writeSpool makes a spool of numbered entries with a cursor at the beginning.
// If crash is set, it is not closed but copied while it is open, as a power cut
// after a sync leaves it.
func writeSpool(t testing.TB, dir string, crash bool) {
	t.Helper()
	work := dir
	if crash {
		work = memoryDir(t)
	}
	s := mustOpen(t, work, damageOptions)
	mustCursor(t, s, "sink", Oldest)
	for n := uint64(1); n <= damageEntries; n++ {
		mustAppend(t, s, payloadOf(n))
		if n%7 <= 1 { // small groups, which tidwall/wal writes, and large ones
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if crash {
		copyTree(t, dir, work)
	}
	mustClose(t, s)
}

func copyTree(t testing.TB, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "chapters", "*", "*"))
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	return names
}

func rewrite(t testing.TB, name string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, change(data), 0o640); err != nil {
		t.Fatal(err)
	}
}

// headerBytes is how many bytes the group header takes that a segment begins
// with.
func headerBytes(t testing.TB, name string) int {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	rec, size, v := parseRecord(data)
	if v == whole && rec.group >= 0 {
		return size
	}
	return 0
}

// offsetOf is where a record begins in a segment.
func offsetOf(t testing.TB, name string, index uint64) (at int) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	scanSegment(data, 1, maxIndex, func(offset int64, rec record) bool {
		at = int(offset)
		return rec.index != index
	})
	return at
}

// survive opens a damaged spool and checks that exactly the entries outside
// lost are read and the others counted, that writing goes on, and that a
// second opening finds nothing to repair.
func survive(t testing.TB, dir string, exact bool, lost ...Span) {
	t.Helper()
	gone := func(n uint64) bool {
		for _, l := range lost {
			if l.From <= n && n <= l.To {
				return true
			}
		}
		return false
	}
	check := func(s *Spool, more ...uint64) {
		t.Helper()
		c := mustCursor(t, s, "sink", Oldest)
		var want []uint64
		var missing uint64
		for n := uint64(1); n <= damageEntries; n++ {
			if gone(n) {
				missing++
			} else {
				want = append(want, n)
			}
		}
		got := drain(t, c)
		var counted uint64
		for i, e := range got {
			counted += e.Missing
			switch {
			case i < len(want):
				if e.Index != want[i] || !bytes.Equal(e.Payload, payloadOf(e.Index)) {
					t.Fatalf("entry %d of %d is %d, not %d", i, len(got), e.Index, want[i])
				}
			case i-len(want) >= len(more) || e.Index != more[i-len(want)] || string(e.Payload) != "more":
				t.Fatalf("entry %d of %d is %d", i, len(got), e.Index)
			}
		}
		if len(got) != len(want)+len(more) {
			t.Fatalf("%d entries, want %d and %d", len(got), len(want), len(more))
		}
		if len(more) > 0 && exact && counted != missing {
			t.Errorf("%d entries were counted as missing, %d are", counted, missing)
		}
		st := checkBalance(t, s)
		if exact && st.Cursors[0].Missing != missing {
			t.Errorf("the cursor counts %d missing entries, %d are", st.Cursors[0].Missing, missing)
		}
		if st.Entries != uint64(len(got)) {
			t.Errorf("Stats counts %d entries, %d were read", st.Entries, len(got))
		}
	}
	s := mustOpen(t, dir, damageOptions)
	check(s)
	mustClose(t, s)

	s = mustOpen(t, dir, damageOptions)
	if r := s.Report(); r.Unclean || len(r.Findings) > 0 || len(r.Missing) > 0 || len(r.Skipped) > 0 || r.BytesQuarantined > 0 {
		t.Errorf("the second opening is not clean: %+v", r)
	}
	more := []uint64{mustAppend(t, s, []byte("more")), mustAppend(t, s, []byte("more"))}
	if more[0] <= damageEntries && !(!exact && gone(more[0])) {
		t.Errorf("index %d is used twice", more[0])
	}
	check(s, more...)
	mustClose(t, s)

	s = mustOpen(t, dir, damageOptions)
	if r := s.Report(); r.Unclean || len(r.Findings) > 0 || len(r.Missing) > 0 || len(r.Skipped) > 0 {
		t.Errorf("the third opening is not clean: %+v", r)
	}
	check(s, more...)
	mustClose(t, s)

	var scanned int
	for _, err := range Scan(dir) {
		if err != nil {
			t.Fatal(err)
		}
		scanned++
	}
	if want := damageEntries + len(more); scanned > want {
		t.Errorf("Scan finds %d entries, more than the %d there ever were", scanned, want)
	}
}

// TestTornTail damages the last record in all ways that a power cut is known
// to.
func TestTornTail(t *testing.T) {
	last := Span{damageEntries, damageEntries}
	size := int(recordSize(len(payloadOf(damageEntries))))
	for _, crash := range []bool{false, true} {
		template := memoryDir(t)
		writeSpool(t, template, crash)
		try := func(name string, exact bool, lost []Span, change func([]byte) []byte) {
			t.Helper()
			dir := filepath.Join(memoryDir(t), "spool")
			copyTree(t, dir, template)
			names := segments(t, dir)
			rewrite(t, names[len(names)-1], change)
			if !t.Run(fmt.Sprintf("%s/crash=%t", name, crash), func(t *testing.T) { survive(t, dir, exact, lost...) }) {
				t.FailNow()
			}
		}
		for cut := 1; cut <= size; cut++ {
			// Where the header is gone too, only an orderly close knows that
			// there was an entry.
			exact := !crash || size-cut >= frameHeader+2
			try(fmt.Sprintf("cut/%d", cut), exact, []Span{last}, func(b []byte) []byte { return b[:len(b)-cut] })
		}
		for at := 1; at <= size; at++ {
			for _, bits := range []byte{0x10, 0x01, 0x80} {
				// A bit of the index itself may hide which entry it was.
				try(fmt.Sprintf("flip/%d/%#x", at, bits), !crash, []Span{last}, func(b []byte) []byte { b[len(b)-at] ^= bits; return b })
			}
		}
		for _, n := range []int{1, 2, 4, 5, 100, 4096} {
			try(fmt.Sprintf("zeros/%d", n), true, nil, func(b []byte) []byte { return append(b, make([]byte, n)...) })
			try(fmt.Sprintf("garbage/%d", n), true, nil, func(b []byte) []byte { return append(b, bytes.Repeat([]byte{0xff, 'm', 's', 1, 1}, n)...) })
		}
		try("zeroed", !crash, []Span{last}, func(b []byte) []byte { clear(b[len(b)-size:]); return b })
		try("twice", true, nil, func(b []byte) []byte { return append(b, b[len(b)-size:]...) })
	}
}

// TestDamagedChapters damages chapters other than the newest, and all at once.
func TestDamagedChapters(t *testing.T) {
	template := memoryDir(t)
	writeSpool(t, template, false)
	info, err := Inspect(template)
	if err != nil {
		t.Fatal(err)
	}
	span := func(i int) Span { return Span{info.Chapters[i].First, info.Chapters[i].Last} }
	newest := len(info.Chapters) - 1
	try := func(name string, chapter int, lost []Span, change func(t *testing.T, dir, segment string)) {
		t.Helper()
		t.Run(fmt.Sprintf("%s/%d", name, chapter), func(t *testing.T) {
			dir := filepath.Join(memoryDir(t), "spool")
			copyTree(t, dir, template)
			change(t, dir, segments(t, dir)[chapter])
			survive(t, dir, true, lost...)
		})
	}
	groups := 0
	for i := range info.Chapters {
		all := []Span{span(i)}
		first := []Span{{span(i).From, span(i).From}}
		second := []Span{{span(i).From + 1, span(i).From + 1}}
		at := headerBytes(t, segments(t, template)[i])
		secondAt := offsetOf(t, segments(t, template)[i], span(i).From+1)
		edit := func(change func([]byte) []byte) func(*testing.T, string, string) {
			return func(t *testing.T, _, segment string) { rewrite(t, segment, change) }
		}
		try("chapter missing", i, all, func(t *testing.T, _, segment string) { os.RemoveAll(filepath.Dir(segment)) })
		try("segment missing", i, all, func(t *testing.T, _, segment string) { os.Remove(segment) })
		try("empty", i, all, edit(func(b []byte) []byte { return nil }))
		try("zeros", i, all, edit(func(b []byte) []byte { clear(b); return b }))
		try("garbage", i, all, edit(func(b []byte) []byte { return bytes.Repeat([]byte("ms\x01\x01garbage"), 300) }))
		if at > 0 {
			groups++
			try("group length", i, nil, edit(func(b []byte) []byte { b[0] ^= 0x07; return b }))
			try("group magic", i, nil, edit(func(b []byte) []byte { b[2] ^= 0x07; return b }))
			try("group index", i, nil, edit(func(b []byte) []byte { b[at-8] ^= 0x07; return b }))
		}
		try("first length", i, first, edit(func(b []byte) []byte { b[at] ^= 0x07; return b }))
		try("first magic", i, first, edit(func(b []byte) []byte { b[at+2] ^= 0x07; return b }))
		try("second payload", i, second, edit(func(b []byte) []byte { b[secondAt+frameHeader+3] ^= 0x40; return b }))
		try("record removed", i, second, edit(func(b []byte) []byte {
			return append(b[:secondAt:secondAt], b[secondAt+int(recordSize(len(payloadOf(span(i).From+1)))):]...)
		}))
		try("cut in the second", i, []Span{{span(i).From + 1, span(i).To}}, edit(func(b []byte) []byte { return b[:secondAt+9] }))
		if i != newest {
			both := []Span{span(i), span(i + 1)}
			if i+1 == newest {
				// With the newest chapter gone, what follows the one before counts.
				both = both[:1]
			}
			try("swapped with the next", i, both, func(t *testing.T, dir, segment string) {
				next := segments(t, dir)[i+1]
				for _, move := range [][2]string{{segment, "x"}, {next, segment}, {"x", next}} {
					for j, name := range move {
						if name == "x" {
							move[j] = filepath.Join(dir, "x")
						}
					}
					if err := os.Rename(move[0], move[1]); err != nil {
						t.Fatal(err)
					}
				}
			})
			try("zeros behind", i, nil, edit(func(b []byte) []byte { return append(b, make([]byte, 999)...) }))
		}
		try("a stranger beside", i, nil, func(t *testing.T, _, segment string) {
			os.WriteFile(filepath.Join(filepath.Dir(segment), segmentName(99999)), []byte("hello"), 0o640)
			for _, helper := range []string{".START", ".END", ".TEMP"} {
				os.WriteFile(segment+helper, []byte("hello"), 0o640)
			}
			os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(segment)), "notes.txt"), nil, 0o640)
		})
	}
	if groups == 0 {
		t.Error("no chapter began with a group")
	}
	try("everything", 0, []Span{{1, damageEntries}}, func(t *testing.T, dir, _ string) {
		for _, name := range segments(t, dir) {
			rewrite(t, name, func(b []byte) []byte { clear(b); return b })
		}
	})
}

// TestDamagedSmallFiles damages what stands beside the chapters.
func TestDamagedSmallFiles(t *testing.T) {
	for _, name := range []string{"meta", "high-water", "cursors/sink"} {
		for what, change := range map[string]func([]byte) []byte{
			"empty":   func([]byte) []byte { return nil },
			"zeros":   func(b []byte) []byte { clear(b); return b },
			"garbage": func(b []byte) []byte { return bytes.Repeat([]byte("garbage"), 1000) },
			"cut":     func(b []byte) []byte { return b[:5] },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				dir := filepath.Join(memoryDir(t), "spool")
				writeSpool(t, dir, false)
				s := mustOpen(t, dir, damageOptions)
				c := mustCursor(t, s, "sink", Oldest)
				entries := drain(t, c)
				if err := c.Ack(entries[9].Index, nil); err != nil {
					t.Fatal(err)
				}
				id := s.ID()
				mustClose(t, s)

				rewrite(t, filepath.Join(dir, name), change)
				s = mustOpen(t, dir, damageOptions)
				if r := s.Report(); len(r.Findings) != 1 || r.Findings[0].File != filepath.FromSlash(name) {
					t.Errorf("%+v", r)
				}
				if changed := s.ID() != id; changed != (name != "cursors/sink") {
					t.Errorf("a new ID: %t", changed)
				}
				c = mustCursor(t, s, "sink", Newest)
				first := uint64(11)
				if name == "cursors/sink" {
					first = s.Stats().First
				}
				got := drain(t, c)
				if got[0].Index != first || got[len(got)-1].Index != damageEntries {
					t.Errorf("read %d to %d", got[0].Index, got[len(got)-1].Index)
				}
				if index := mustAppend(t, s, nil); index <= damageEntries {
					t.Errorf("index %d is used twice", index)
				}
				checkBalance(t, s)
				mustClose(t, s)
				s = mustOpen(t, dir, damageOptions)
				if r := s.Report(); r.Unclean || len(r.Findings) > 0 {
					t.Errorf("the second opening is not clean: %+v", r)
				}
			})
		}
	}
}

// TestSlotIsTorn damages the newer slot: the value before it counts.
func TestSlotIsTorn(t *testing.T) {
	name := filepath.Join(memoryDir(t), "slots")
	f := slotFile{fs: disk{}, name: name}
	defer f.close()
	for write := uint64(1); write <= 5; write++ {
		if err := f.put([]byte{byte(write)}); err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := int64(1-write%2) * slotPage
		for i := int64(0); i < slotHeader+5; i++ {
			torn := bytes.Clone(whole)
			torn[at+i] ^= 0x20
			os.WriteFile(name, torn, 0o640)
			value, n, err := readSlots(disk{}, name)
			if write > 1 && (err != nil || n != write-1 || value[0] != byte(write-1)) || write == 1 && err == nil {
				t.Fatalf("write %d, byte %d: %v, %d, %v", write, i, value, n, err)
			}
		}
		os.WriteFile(name, whole, 0o640)
	}
}

func TestNewerFormatIsLeftAlone(t *testing.T) {
	dir := memoryDir(t)
	writeSpool(t, dir, false)
	m := newMeta().encode(formatVersion)
	m[8] = formatVersion + 1
	m = append(m[:len(m)-4], "of the future"...)
	m = appendSum(m)
	if err := os.WriteFile(filepath.Join(dir, "meta"), m, 0o640); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	_, err := Open(dir, Options{})
	if !isNewer(err) {
		t.Fatal(err)
	}
	if _, err := Inspect(dir); !isNewer(err) {
		t.Fatal(err)
	}
	if after := snapshot(t, dir); after != before {
		t.Error("something was changed")
	}
}
