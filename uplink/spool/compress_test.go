package spool

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestCompression mixes entries that shrink with ones that do not, and spools
// with and without: all is read, from memory and from disk.
func TestCompression(t *testing.T) {
	dir := memoryDir(t)
	text := bytes.Repeat([]byte("speed 12.5 km/h; "), 2000)
	payload := func(n int) []byte {
		if n%3 == 0 {
			return randomBytes(n * 7)
		}
		return text[:n*30]
	}
	total := 0
	for life := range 3 {
		s := mustOpen(t, dir, Options{Sync: SyncNever, ChapterBytes: 64 << 10, Compression: Compression(life % 2)})
		c := mustCursor(t, s, "sink", Oldest)
		for range 300 {
			mustAppend(t, s, payload(total))
			total++
		}
		read := func() {
			t.Helper()
			c.Rewind()
			entries := drain(t, c)
			for n, e := range entries {
				if !bytes.Equal(e.Payload, payload(n)) || e.Missing != 0 {
					t.Fatalf("entry %d has %d bytes", n, len(e.Payload))
				}
			}
			if len(entries) != total {
				t.Fatalf("%d entries of %d", len(entries), total)
			}
		}
		read()
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		read()
		st := checkBalance(t, s)
		if smaller := st.SegmentBytes < st.PayloadBytes/2; smaller != (life == 1) {
			t.Errorf("life %d: %d bytes for %d", life, st.SegmentBytes, st.PayloadBytes)
		}
		mustClose(t, s)
	}
	n := 0
	for e, err := range Scan(dir) {
		if err != nil || !bytes.Equal(e.Payload, payload(n)) {
			t.Fatal(n, err)
		}
		n++
	}
	if findings, err := Verify(dir); n != total || err != nil || len(findings) > 0 {
		t.Error(n, findings, err)
	}
}

// TestCompressedLengths: entries of each length are read again, also those that
// are so short that the compressor does not tell their length.
func TestCompressedLengths(t *testing.T) {
	compressed := 0
	for length := range 1200 {
		var c compressor
		want := bytes.Repeat([]byte("door 1; "), length/8+1)[:length]
		payload := c.compress(want)
		if payload == nil {
			continue // stored as it is
		}
		compressed++
		rec := record{payload: payload, compressed: true}
		if got, err := rec.appendPayload(nil); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %q: %v", length, got, err)
		}
	}
	if compressed < 1100 {
		t.Errorf("%d lengths were compressed", compressed)
	}
}

// bombs are compressed entries that are not what they say.
func bombs() [][]byte {
	e := newEncoder()
	zeros := e.EncodeAll(make([]byte, 4<<20), nil)
	w, _ := zstd.NewWriter(nil, zstd.WithSingleSegment(false))
	var unsized bytes.Buffer
	w.Reset(&unsized)
	w.Write(make([]byte, 1<<20))
	w.Close()
	return [][]byte{
		nil,
		{0x80},
		binary.AppendUvarint(nil, MaxEntry+1),
		append(binary.AppendUvarint(nil, 10), zeros...),
		append(binary.AppendUvarint(nil, 10), unsized.Bytes()...),
		append(binary.AppendUvarint(nil, 4<<20), zeros[:len(zeros)/2]...),
		append(binary.AppendUvarint(nil, 5), "hello"...),
	}
}

// TestCompressedDamage: an entry that cannot be decompressed, though its
// checksum is right, is damage like any other.
func TestCompressedDamage(t *testing.T) {
	for i, bomb := range bombs() {
		dir := filepath.Join(memoryDir(t), "spool")
		s := mustOpen(t, dir, Options{Sync: SyncNever})
		mustCursor(t, s, "sink", Oldest)
		for n := uint64(1); n <= 3; n++ {
			mustAppend(t, s, payloadOf(n))
		}
		mustClose(t, s)
		var g group
		g.begin(1)
		g.add(1, payloadOf(1), false)
		g.add(2, bomb, true)
		g.add(3, payloadOf(3), false)
		data := append(binary.AppendUvarint(nil, uint64(len(g.entry()))), g.entry()...)
		if err := os.WriteFile(filepath.Join(dir, "chapters", segmentName(1), segmentName(1)), data, 0o640); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, dir, Options{Sync: SyncNever})
		entries := drain(t, mustCursor(t, s, "sink", Oldest))
		if len(entries) != 2 || entries[1].Index != 3 || entries[1].Missing != 1 {
			t.Errorf("%d: %+v", i, entries)
		}
		if st := checkBalance(t, s); st.Cursors[0].Missing != 1 {
			t.Errorf("%d: %+v", i, st)
		}
		mustClose(t, s)
		if findings, err := Verify(dir); err != nil || len(findings) != 1 {
			t.Errorf("%d: %v, %v", i, findings, err)
		}
		missing := uint64(0)
		for e, err := range Scan(dir) {
			if err != nil {
				t.Fatal(err)
			}
			missing += e.Missing
		}
		if missing != 1 {
			t.Errorf("%d: Scan finds %d missing", i, missing)
		}
	}
}

// FuzzCompressed: whatever a compressed entry holds, reading it ends, within
// bounds.
func FuzzCompressed(f *testing.F) {
	for _, b := range bombs() {
		f.Add(b)
	}
	f.Add(newEncoder().EncodeAll(bytes.Repeat([]byte("abc"), 100), binary.AppendUvarint(nil, 300)))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec := record{payload: data, compressed: true}
		got, err := rec.appendPayload(nil)
		if length, n := binary.Uvarint(data); err == nil && (n <= 0 || uint64(len(got)) != length) {
			t.Fatalf("%d bytes of %d", len(got), length)
		}
	})
}
