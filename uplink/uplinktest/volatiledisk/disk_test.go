package volatiledisk

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// newDisk makes a disk of so many sectors, all of them '.', each a block.
func newDisk(t testing.TB, sectors int, opts Options) *Disk {
	t.Helper()
	if opts.BlockSize == 0 {
		opts.BlockSize = SectorSize
	}
	d, err := New(bytes.Repeat([]byte{'.'}, sectors*SectorSize), opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// write writes a letter to each sector from one on.
func write(t testing.TB, d *Disk, sector int, letters string) {
	t.Helper()
	if err := d.Write(sectorsOf(letters), int64(sector)*SectorSize); err != nil {
		t.Fatal(err)
	}
}

func flush(t testing.TB, d *Disk) {
	t.Helper()
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
}

func sectorsOf(letters string) (p []byte) {
	for i := range letters {
		p = append(p, bytes.Repeat([]byte{letters[i]}, SectorSize)...)
	}
	return p
}

// letters reads a disk whose sectors have one letter each.
func letters(t testing.TB, d *Disk) string {
	t.Helper()
	p := make([]byte, d.Size())
	if err := d.Read(p, 0); err != nil {
		t.Fatal(err)
	}
	var s []byte
	for at := 0; at < len(p); at += SectorSize {
		if !bytes.Equal(p[at:at+SectorSize], bytes.Repeat(p[at:at+1], SectorSize)) {
			t.Fatalf("sector %d is torn", at/SectorSize)
		}
		s = append(s, p[at])
	}
	return string(s)
}

// survivors cuts the power and returns what is left.
func survivors(t testing.TB, d *Disk, seed uint64) string {
	t.Helper()
	d.Cut(seed)
	d, err := d.Restart(Options{BlockSize: SectorSize})
	if err != nil {
		t.Fatal(err)
	}
	return letters(t, d)
}

func TestReadsBack(t *testing.T) {
	d := newDisk(t, 8, Options{})
	write(t, d, 1, "abc")
	write(t, d, 2, "XY")
	if got := letters(t, d); got != ".aXY...." {
		t.Errorf("%q from the cache", got)
	}
	flush(t, d)
	write(t, d, 7, "z")
	if got := letters(t, d); got != ".aXY...z" {
		t.Errorf("%q from cache and medium", got)
	}
	if s := d.Stats(); s.Writes != 3 || s.Flushes != 1 || s.CachedBlocks != 1 {
		t.Errorf("%+v", s)
	}
}

func TestFlushedSurvives(t *testing.T) {
	for seed := range uint64(200) {
		d := newDisk(t, 8, Options{})
		write(t, d, 0, "ab")
		write(t, d, 1, "B")
		flush(t, d)
		write(t, d, 2, "c")
		if err := d.WriteForced(sectorsOf("DE"), 2*SectorSize); err != nil {
			t.Fatal(err)
		}
		if got := survivors(t, d, seed); got != "aBDE...." {
			t.Fatalf("seed %d: %q survives", seed, got)
		}
	}
}

// TestForcedCoversItself: FUA is about one write and no other.
func TestForcedCoversItself(t *testing.T) {
	lost := false
	for seed := range uint64(50) {
		d := newDisk(t, 4, Options{})
		write(t, d, 0, "a")
		if err := d.WriteForced(sectorsOf("B"), SectorSize); err != nil {
			t.Fatal(err)
		}
		got := survivors(t, d, seed)
		if got[1] != 'B' {
			t.Fatalf("seed %d: %q survives", seed, got)
		}
		lost = lost || got[0] == '.'
	}
	if !lost {
		t.Error("a write with FUA has flushed another")
	}
}

// TestCutTakesItsChoice: without a flush all that is possible happens, and
// nothing else.
func TestCutTakesItsChoice(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(3000) {
		d := newDisk(t, 3, Options{})
		write(t, d, 0, "ab")
		write(t, d, 1, "c")
		seen[survivors(t, d, seed)]++
	}
	want := []string{
		"...", "a..", ".b.", "ab.", ".c.", "ac.", // kept, lost, torn, stale, out of order
	}
	for _, w := range want {
		if seen[w] == 0 {
			t.Errorf("%q never survives", w)
		}
		delete(seen, w)
	}
	if len(seen) > 0 {
		t.Errorf("never written like this: %v", seen)
	}
}

// TestPatterns: each pattern keeps what it says.
func TestPatterns(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(500) {
		d := newDisk(t, 26, Options{})
		for i := range 26 {
			write(t, d, i, string(rune('a'+i)))
		}
		report := d.Cut(seed)
		if sum := report.Kept + report.Stale + report.Lost; sum != 26 || report.Stale != 0 {
			t.Fatalf("seed %d: %v", seed, report)
		}
		seen[report.Pattern]++
		after, err := d.Restart(Options{BlockSize: SectorSize})
		if err != nil {
			t.Fatal(err)
		}
		got := letters(t, after)
		kept := bytes.Count([]byte(got), []byte(".")) // lost, so far
		kept = 26 - kept
		switch report.Pattern {
		case "nothing is kept":
			if kept != 0 {
				t.Errorf("seed %d: %q", seed, got)
			}
		case "in order up to one":
			if got[:kept] != "abcdefghijklmnopqrstuvwxyz"[:kept] {
				t.Errorf("seed %d: %q", seed, got)
			}
		case "the late ones only":
			if got[26-kept:] != "abcdefghijklmnopqrstuvwxyz"[26-kept:] {
				t.Errorf("seed %d: %q", seed, got)
			}
		}
		if kept != report.Kept {
			t.Errorf("seed %d: %q, %v", seed, got, report)
		}
	}
	if len(seen) != 4 {
		t.Errorf("the patterns are %v", seen)
	}
}

func TestSameSeedSameCut(t *testing.T) {
	different := map[string]bool{}
	for seed := range uint64(20) {
		var first string
		for range 3 {
			d := newDisk(t, 64, Options{})
			random := rand.New(rand.NewPCG(1, 1))
			for range 100 {
				write(t, d, random.IntN(64), string(rune('a'+random.IntN(26))))
			}
			got := survivors(t, d, seed)
			if first == "" {
				first = got
			}
			if got != first {
				t.Fatalf("seed %d: %q and %q", seed, first, got)
			}
		}
		different[first] = true
	}
	if len(different) < 10 {
		t.Errorf("20 seeds make only %d different cuts", len(different))
	}
}

// TestLyingDisk: what such a disk has flushed is lost all the same.
func TestLyingDisk(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		d := newDisk(t, 4, Options{IgnoreFlush: true})
		write(t, d, 0, "a")
		flush(t, d)
		if err := d.WriteForced(sectorsOf("b"), SectorSize); err != nil {
			t.Fatal(err)
		}
		if survivors(t, d, seed)[:2] != "ab" {
			lost++
		}
	}
	if lost < 10 {
		t.Errorf("only %d of 50 cuts lose anything", lost)
	}
}

func TestDeadDisk(t *testing.T) {
	d := newDisk(t, 4, Options{})
	write(t, d, 0, "a")
	if _, err := d.Restart(Options{}); err == nil {
		t.Error("a disk is restarted while the power is on")
	}
	report := d.Cut(1)
	if again := d.Cut(2); again.String() != report.String() {
		t.Errorf("the second cut reports %v, the first %v", again, report)
	}
	<-d.Gone()
	p := make([]byte, SectorSize)
	for _, err := range []error{d.Read(p, 0), d.Write(p, 0), d.WriteForced(p, 0), d.Flush()} {
		if !errors.Is(err, ErrCut) {
			t.Errorf("a dead disk says %v", err)
		}
	}
	next, err := d.Restart(Options{BlockSize: SectorSize})
	if err != nil {
		t.Fatal(err)
	}
	write(t, next, 0, "zzzz")
	flush(t, next)
	if err := d.Write(p, 0); !errors.Is(err, ErrCut) || letters(t, next) != "zzzz" {
		t.Errorf("the dead disk is alive: %v, %q", err, letters(t, next))
	}
}

func TestCutAfter(t *testing.T) {
	for requests := range 6 {
		d := newDisk(t, 4, Options{})
		d.CutAfter(requests, 7)
		var done int
		for i := range 6 {
			var err error
			if i%2 == 0 {
				err = d.Write(sectorsOf("a"), 0)
			} else {
				err = d.Flush()
			}
			if err != nil {
				break
			}
			done++
		}
		if done != requests {
			t.Errorf("cut after %d requests instead of %d", done, requests)
		}
		select {
		case <-d.Gone():
		default:
			t.Errorf("after %d requests the power is on", requests)
		}
	}
}

func TestCutBeforeFlush(t *testing.T) {
	d := newDisk(t, 4, Options{})
	d.CutBeforeFlush(2, 1)
	for i := range 4 {
		write(t, d, i, "a")
	}
	if err := d.Flush(); !errors.Is(err, ErrCut) {
		t.Errorf("the flush after the second request says %v", err)
	}
	if r := d.Report(); r.Kept+r.Lost != 4 {
		t.Errorf("the flush was served: %v", r)
	}
}

// TestTornAtTheCut: the write that meets the cut may be there in part.
func TestTornAtTheCut(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(500) {
		d := newDisk(t, 2, Options{})
		d.CutAfter(0, seed)
		if err := d.WriteForced(sectorsOf("ab"), 0); !errors.Is(err, ErrCut) {
			t.Fatal(err)
		}
		seen[survivors(t, d, 0)] = true
	}
	for _, want := range []string{"..", "a.", ".b", "ab"} {
		if !seen[want] {
			t.Errorf("%q never survives", want)
		}
	}
}

// TestBlocks: a block is as a write has left it, and not torn; what lies in two
// blocks may be.
func TestBlocks(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(500) {
		d := newDisk(t, 8, Options{BlockSize: 4 * SectorSize})
		write(t, d, 1, "ab")
		write(t, d, 2, "CD")
		write(t, d, 3, "xy") // in two blocks
		if got := letters(t, d); got != ".aCxy..." {
			t.Fatalf("%q is read back", got)
		}
		seen[survivors(t, d, seed)] = true
	}
	for _, first := range []string{"....", ".ab.", ".aCD", ".aCx"} {
		for _, second := range []string{"....", "y..."} {
			if !seen[first+second] {
				t.Errorf("%q never survives", first+second)
			}
			delete(seen, first+second)
		}
	}
	if len(seen) > 0 {
		t.Errorf("a block was never like this: %v", seen)
	}
}

// TestForcedBlock: a forced write makes its blocks durable and no others.
func TestForcedBlock(t *testing.T) {
	for seed := range uint64(100) {
		d := newDisk(t, 8, Options{BlockSize: 4 * SectorSize})
		write(t, d, 0, "a")
		write(t, d, 7, "z")
		if err := d.WriteForced(sectorsOf("f"), 2*SectorSize); err != nil {
			t.Fatal(err)
		}
		if got := survivors(t, d, seed); got[:4] != "a.f." {
			t.Fatalf("seed %d: %q survives", seed, got)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, size := range []int{0, 1, SectorSize, BlockSize + SectorSize} {
		if _, err := New(make([]byte, size), Options{}); err == nil {
			t.Errorf("a disk of %d bytes", size)
		}
	}
	for _, size := range []int{-SectorSize, 1, SectorSize + 1} {
		if _, err := New(make([]byte, BlockSize), Options{BlockSize: size}); err == nil {
			t.Errorf("blocks of %d bytes", size)
		}
	}
	d := newDisk(t, 4, Options{})
	for _, r := range []struct {
		length int
		offset int64
	}{{1, 0}, {SectorSize, 1}, {SectorSize, -SectorSize}, {SectorSize, 4 * SectorSize}, {5 * SectorSize, 0}, {SectorSize, 1<<63 - SectorSize}} {
		if d.Read(make([]byte, r.length), r.offset) == nil || d.Write(make([]byte, r.length), r.offset) == nil {
			t.Errorf("%d bytes at offset %d are taken", r.length, r.offset)
		}
	}
}
