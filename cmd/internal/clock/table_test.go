package clock

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"milepost/aggregate"
	"milepost/uplink"
)

// TestTable: what is set is found, the last boots are kept, and the file holds it.
func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	rapid.Check(t, func(t *rapid.T) {
		var table table
		model := map[uplink.BootID]Learnt{}
		for range rapid.IntRange(0, 20).Draw(t, "sets") {
			boot := uplink.BootID{rapid.ByteRange(0, 5).Draw(t, "boot")}
			l := Learnt{
				Clock:  aggregate.Clock(rapid.IntRange(0, 3).Draw(t, "quality")),
				Offset: rapid.Int64().Draw(t, "offset"), Error: time.Duration(rapid.Int64().Draw(t, "error")),
			}
			if old, ok := model[boot]; table.set(boot, l) != (!ok || old != l) {
				t.Fatalf("setting %v to %+v is not told right", boot, l)
			}
			model[boot] = l
		}
		if err := saveTable(path, table.encode()); err != nil {
			t.Fatal(err)
		}
		again, err := loadTable(path)
		if err != nil || len(again.boots) != len(model) {
			t.Fatalf("%d boots, want %d: %v", len(again.boots), len(model), err)
		}
		for boot, l := range model {
			if got, ok := again.find(boot); !ok || got != l {
				t.Fatalf("%v is %+v, want %+v", boot, got, l)
			}
		}
	})
	var table table
	number := func(i int) uplink.BootID { return uplink.BootID{byte(i), byte(i >> 8), 1} }
	for i := range 2 * maxBoots {
		table.set(number(i), Learnt{Offset: int64(i)})
	}
	_, gone := table.find(number(maxBoots - 1))
	_, kept := table.find(number(maxBoots))
	if len(table.boots) != maxBoots || gone || !kept {
		t.Errorf("%d boots are kept", len(table.boots))
	}
	if size := len(table.encode()); size > maxTableSize/2 {
		t.Errorf("a full table has %d bytes", size)
	}
}

// TestTableDamaged: no damage goes unnoticed, and none is deleted.
func TestTableDamaged(t *testing.T) {
	var whole table
	whole.set(uplink.BootID{1}, Learnt{synchronized, ntp2026, time.Millisecond})
	whole.set(uplink.BootID{2}, Learnt{set, ntp2026, 0})
	text := whole.encode()
	path := filepath.Join(t.TempDir(), "clock")
	f := func(what string, damaged []byte) {
		t.Helper()
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := loadTable(path)
		if errors.Is(err, errNewer) {
			if kept, _ := os.ReadFile(path); !bytes.Equal(kept, damaged) {
				t.Fatalf("%s: a newer table is not left as it is", what)
			}
			return
		}
		aside, _ := os.ReadFile(path + ".damaged")
		if err == nil || len(got.boots) != 0 || !bytes.Equal(aside, damaged) {
			t.Fatalf("%s: %d boots, %v, %q put aside", what, len(got.boots), err, aside)
		}
	}
	for n := range text {
		f("cut", text[:n])
		for bit := range 8 {
			flipped := bytes.Clone(text)
			flipped[n] ^= 1 << bit
			f("flipped", flipped)
		}
	}
	f("appended", append(bytes.Clone(text), 0))
	f("large", make([]byte, maxTableSize+1))
	if _, err := loadTable(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no table is %v", err)
	}
}

// TestNewerTable: an older binary leaves it alone, and runs.
func TestNewerTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	newer := []byte("milepost clock 2\nwhatever\n")
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	k := newKernel()
	k.offset, k.synchronized = ntp2026, true
	c, err := open(Options{Boot: uplink.BootID{1}, Table: path}, k.read)
	if err != nil {
		t.Fatal(err)
	}
	k.pass(time.Minute)
	c.work()
	c.work()
	if got, _ := os.ReadFile(path); !bytes.Equal(got, newer) || c.State().Learnt.Clock != synchronized {
		t.Errorf("it is now %q; learnt %+v", got, c.State().Learnt)
	}
}

func FuzzTable(f *testing.F) {
	var t table
	f.Add(t.encode())
	t.set(uplink.BootID{1}, Learnt{synchronized, ntp2026, time.Millisecond})
	t.set(uplink.BootID{2}, Learnt{unset, -1, 0})
	f.Add(t.encode())
	f.Add([]byte("milepost clock 2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := parseTable(text)
		if err != nil {
			return
		}
		if again, err := parseTable(table.encode()); err != nil || len(again.boots) != len(table.boots) {
			t.Errorf("%q is not read back: %v", table.encode(), err)
		}
	})
}
