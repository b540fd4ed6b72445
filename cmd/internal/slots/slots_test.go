package slots

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
)

// memory is a device that takes every write.
type memory struct {
	body     []byte
	failSync bool
}

func newMemory() *memory { return &memory{body: make([]byte, 32*512)} }

func (m *memory) ReadAt(p []byte, off int64) (int, error)  { return copy(p, m.body[off:]), nil }
func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy(m.body[off:], p), nil }
func (m *memory) Sync() error {
	if m.failSync {
		return errors.New("the disk is gone")
	}
	return nil
}

func read(t *testing.T, d *memory) State {
	t.Helper()
	s, err := Read(d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, d *memory, s State) State {
	t.Helper()
	written, err := Write(d, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, d); got != written {
		t.Fatalf("read back %+v\nwritten %+v", got, written)
	}
	return written
}

// TestLife: a new image, an update that is kept, and one that is not.
func TestLife(t *testing.T) {
	d := newMemory()
	boot := func(want Slot) State {
		t.Helper()
		decision, err := Boot(d)
		if err != nil || decision.Start != want {
			t.Fatalf("starts %v, want %v (%v): %+v", decision.Start, want, err, decision)
		}
		return decision.Next
	}
	s := boot(A)
	if s != New() {
		t.Fatalf("a new image: %+v", s)
	}
	s = write(t, d, s.Empty(B))
	s = write(t, d, s.Try(B, "1.1.0", 1))
	s = boot(B)
	if s.TriesLeft != 0 || s.Active != A || s.Trial != B {
		t.Fatalf("on trial: %+v", s)
	}
	write(t, d, s.Keep("healthy for 30s"))
	if s = boot(B); s.Outcome != Kept || s.Active != B || s.System(B).Version != "1.1.0" {
		t.Fatalf("kept: %+v", s)
	}
	write(t, d, s.Empty(A))
	if s = boot(B); s.System(A).Whole {
		t.Fatalf("A is being written: %+v", s)
	}
	write(t, d, s.Try(A, "1.2.0", 1))
	boot(A)
	s = boot(B) // nothing was confirmed
	if s.Outcome != RolledBack || !strings.Contains(s.Reason, "slot A") || s.Trial != None {
		t.Fatalf("rolled back: %+v", s)
	}
	boot(B)
}

// TestNotMounted: what does not mount is not started, as long as there is
// something else.
func TestNotMounted(t *testing.T) {
	cause := errors.New("bad superblock")
	d := newMemory()
	write(t, d, New().Try(B, "2", 1))
	decision, err := Boot(d)
	if err != nil || decision.Start != B {
		t.Fatalf("%+v, %v", decision, err)
	}
	decision, err = BootOther(d, decision, cause)
	if err != nil || decision.Start != A || decision.Next.Outcome != RolledBack || !strings.Contains(decision.Next.Reason, "bad superblock") {
		t.Fatalf("%+v, %v", decision, err)
	}
	// Now A does not mount either, and B is known not to.
	if decision, err = BootOther(d, decision, cause); err != nil || decision.Start != None {
		t.Fatalf("%+v, %v", decision, err)
	}

	// A system that was rolled back is better than none.
	d = newMemory()
	write(t, d, New().Try(B, "2", 1).RollBack("cannot deliver"))
	decision, _ = Boot(d)
	decision, err = BootOther(d, decision, cause)
	if err != nil || decision.Start != B || decision.Next.Outcome != FellBack || decision.Next.Active != B {
		t.Fatalf("%+v, %v", decision, err)
	}
	if again, err := Boot(d); err != nil || again.Start != B {
		t.Fatalf("%+v, %v", again, err)
	}
}

// TestUnwritable: a disk that takes no more writes starts no trial.
func TestUnwritable(t *testing.T) {
	d := newMemory()
	write(t, d, New().Try(B, "2", 1))
	d.failSync = true
	if decision, err := Boot(d); err == nil || decision.Start != A {
		t.Fatalf("%+v, %v", decision, err)
	}
}

// TestDamage: any byte of one copy may be wrong, and the state is that of one of
// the last two writes; of both copies, and it is that of a new image.
func TestDamage(t *testing.T) {
	d := newMemory()
	older := write(t, d, New().Empty(B))
	newest := write(t, d, older.Try(B, "1.2.3-4", 1))
	damaged := func(offset int64, want State) {
		t.Helper()
		for i := range int64(SectorSize) {
			for _, flip := range []byte{0x01, 0x80, 0xff} {
				d.body[offset+i] ^= flip
				got, err := Read(d)
				d.body[offset+i] ^= flip
				if err == nil || got != want {
					t.Fatalf("byte %d of the copy at %d: %+v, %v; want %+v", i, offset, got, err, want)
				}
			}
		}
	}
	damaged(FirstOffset, newest) // the first write went there
	damaged(SecondOffset, older)

	d.body[FirstOffset] ^= 1
	d.body[SecondOffset+100] ^= 1
	if s, err := Read(d); err == nil || s != New() {
		t.Errorf("both damaged: %+v, %v", s, err)
	}
	if s, err := Write(d, New()); err != nil || s.Sequence != 1 {
		t.Errorf("written anew: %+v, %v", s, err)
	}
}

// TestTexts: texts of any kind and length are kept as one line that fits.
func TestTexts(t *testing.T) {
	d := newMemory()
	s := New().Try(B, strings.Repeat("v", 80), 1).RollBack("two\nlines " + strings.Repeat("é", 120) + "\xff")
	if _, err := Write(d, s); err != nil {
		t.Fatal(err)
	}
	got := read(t, d)
	if len(got.System(B).Version) != MaxVersion || len(got.Reason) != MaxReason || !strings.HasPrefix(got.Reason, "two lines éé") || strings.ContainsRune(got.Reason, '�') {
		t.Errorf("%q, %q", got.System(B).Version, got.Reason)
	}
}

func FuzzDecode(f *testing.F) {
	good := New().Try(B, "1.2.3", 1).encode()
	f.Add(good[:])
	f.Add(make([]byte, SectorSize))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) != SectorSize {
			return
		}
		copy(body, magic)
		body[8], body[9] = formatVersion, 0
		binary.LittleEndian.PutUint32(body[508:], crc32.Checksum(body[:508], castagnoli))
		s, err := decode((*[SectorSize]byte)(body))
		if err != nil {
			return
		}
		b := s.encode()
		if again, err := decode(&b); err != nil || again != s {
			t.Fatalf("%+v, %v; was %+v", again, err, s)
		}
		if d := Decide(s); !d.Start.valid() {
			t.Fatalf("%+v starts nothing", s)
		}
	})
}
