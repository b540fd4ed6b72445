package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// segmentOf is a segment with the entries from base on.
func segmentOf(base uint64, payloads ...[]byte) (b []byte) {
	for i, p := range payloads {
		frame := appendFrame(nil, frameVersion, kindEntry, base+uint64(i), p)
		for n := uint64(len(frame)); ; n >>= 7 {
			if n < 0x80 {
				b = append(b, byte(n))
				break
			}
			b = append(b, byte(n)|0x80)
		}
		b = append(b, frame...)
	}
	return b
}

func seeds(f *testing.F) {
	whole := segmentOf(1, payloadOf(1), nil, payloadOf(3), []byte("msms"))
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), 0, 0, 0, 0))
	f.Add(segmentOf(1, segmentOf(2, []byte("an entry within an entry"))))
	f.Add(segmentOf(7, nil))
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x01})
	f.Add([]byte{16, 'm', 's', 1, 1})
	damaged := bytes.Clone(whole)
	damaged[5] ^= 1
	f.Add(damaged)
}

// FuzzSegment: scanning and reading record by record agree, find only what is
// under its checksum, in order, and account for each byte.
func FuzzSegment(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		at, last := int64(0), uint64(0)
		var records []record
		found := scanSegment(data, 1, maxIndex, func(offset int64, rec record) bool {
			frame := data[offset:]
			rec2, size, v := parseRecord(frame)
			if v != whole || rec2.index != rec.index || rec.index <= last || offset < at {
				t.Fatalf("a wrong record at %d: %+v", offset, rec)
			}
			at, last = offset+int64(size), rec.index
			records = append(records, rec)
			return true
		})
		if uint64(len(records)) != found.entries || found.seen < found.last || found.end > int64(len(data)) {
			t.Fatalf("%+v", found)
		}
		var missing uint64
		for _, l := range found.lost {
			if l.From > l.To {
				t.Fatalf("%+v", l)
			}
			missing += l.Len()
		}
		if found.entries+missing != found.last {
			t.Fatalf("%d entries and %d missing are not %d", found.entries, missing, found.last)
		}
		for i, d := range found.damage {
			if d.offset >= d.end || d.end > int64(len(data)) || i > 0 && d.offset < found.damage[i-1].end {
				t.Fatalf("damage %+v", found.damage)
			}
		}
		if len(found.damage) == 0 && found.end != int64(len(data)) {
			t.Fatalf("%d of %d bytes are neither read nor damaged", found.end, len(data))
		}

		name := filepath.Join(memoryDir(t), "segment")
		if err := os.WriteFile(name, data, 0o640); err != nil {
			t.Fatal(err)
		}
		file, err := disk{}.OpenFile(name, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		var r segmentReader
		r.open(file)
		defer r.close()
		for _, want := range records {
			got, err := r.next(int64(len(data)))
			if err == errDamaged {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.cause == "" && got.index == want.index && !bytes.Equal(got.payload, want.payload) {
				t.Fatalf("read %+v, want %+v", got, want)
			}
		}
	})
}

// FuzzOpen: whatever stands in a chapter, the spool opens, reads, takes further
// entries, and has nothing left to repair the next time.
func FuzzOpen(f *testing.F) {
	seeds(f)
	template := memoryDir(f)
	s := mustOpen(f, template, Options{Sync: SyncNever})
	mustCursor(f, s, "sink", Oldest)
	mustAppend(f, s, payloadOf(1))
	mustAppend(f, s, payloadOf(2))
	mustClose(f, s)
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := filepath.Join(memoryDir(t), "spool")
		copyTree(t, dir, template)
		segment := filepath.Join(dir, "chapters", segmentName(1), segmentName(1))
		if err := os.WriteFile(segment, data, 0o640); err != nil {
			t.Fatal(err)
		}
		opts := Options{Sync: SyncNever}
		s := mustOpen(t, dir, opts)
		n := len(drain(t, mustCursor(t, s, "sink", Oldest)))
		if entries := s.Report().Entries; uint64(n) != entries {
			t.Fatalf("%d entries read, %d reported", n, entries)
		}
		index := mustAppend(t, s, []byte("more"))
		if index <= 2 {
			t.Fatalf("index %d is used twice", index)
		}
		checkBalance(t, s)
		mustClose(t, s)
		s = mustOpen(t, dir, opts)
		if r := s.Report(); r.Unclean || len(r.Findings) > 0 || len(r.Missing) > 0 {
			t.Fatalf("the second opening is not clean: %+v", r)
		}
		entries := drain(t, mustCursor(t, s, "sink", Oldest))
		if len(entries) != n+1 || entries[n].Index != index {
			t.Fatalf("%d entries, then %d", n, len(entries))
		}
		checkBalance(t, s)
		mustClose(t, s)
		if findings, err := Verify(dir); err != nil {
			t.Fatal(findings, err)
		}
	})
}

func FuzzSlots(f *testing.F) {
	h := highWater{clean: true, last: 5, after: 5, next: 6, reserved: 5}
	h.holes = []Span{{3, 3}}
	p := place{start: 1, acked: 5, accounted: reach{5, []Span{{7, 8}, {10, 10}}}, acknowledged: 5, note: []byte("note")}
	for _, value := range [][]byte{h.encode(), p.encode(), nil} {
		name := filepath.Join(memoryDir(f), "slots")
		s := slotFile{fs: disk{}, name: name}
		s.put(value)
		s.close()
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if value, _, ok := parseSlot(data); ok {
			data = value
		}
		if h, err := parseHighWater(data); err == nil && (h.next == 0 || h.after >= h.next) {
			t.Fatalf("%+v", h)
		}
		var p place
		if err := p.decode(data); err == nil {
			if p.start == 0 || p.acked > p.accounted.floor || len(p.note) > MaxNote || len(p.accounted.islands) > MaxSpans {
				t.Fatalf("%+v", p)
			}
			// What was read is written the same way.
			q := p
			if err := q.decode(p.encode()); err != nil || !bytes.Equal(q.encode(), p.encode()) {
				t.Fatalf("%+v, written and read %+v, %v", p, q, err)
			}
		}
	})
}

// FuzzPosition: the text form is read back as what it was written from, and
// anything else is refused or well formed.
func FuzzPosition(f *testing.F) {
	for _, p := range []Position{{}, {Acked: 5}, {[16]byte{1, 15: 255}, 1 << 40, []Span{{1<<40 + 2, 1<<40 + 2}, {1 << 41, 1 << 42}}}} {
		text, err := p.MarshalText()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("spool2:whatever"))
	f.Add([]byte("spool1:00000000000000000000000000000000:1y2p0ij32e8e7:1y2p0ij32e8e7+1y2p0ij32e8e7"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p Position
		if err := p.UnmarshalText(text); err != nil {
			return
		}
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		again, err := p.MarshalText()
		if err != nil || len(again) >= 1024 {
			t.Fatalf("%q, %v", again, err)
		}
		var q Position
		if err := q.UnmarshalText(again); err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v became %+v, %v", p, q, err)
		}
	})
}
