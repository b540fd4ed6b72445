package uplink

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// memoryStore is a BudgetStore that counts.
type memoryStore struct {
	value  []byte
	stores int
	err    error
}

func (m *memoryStore) Load() ([]byte, error) { return m.value, m.err }
func (m *memoryStore) Store(value []byte) error {
	m.value = bytes.Clone(value)
	m.stores++
	return m.err
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	now, err := time.Parse("2006-01-02 15:04:05 -0700", text)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// TestBudgetCalendar tells stories of clocks. Each step charges 100 bytes and
// says what is then used up of the day and of the month.
func TestBudgetCalendar(t *testing.T) {
	type step struct {
		clock      string
		day, month uint64
	}
	f := func(name, zone string, steps ...step) {
		t.Run(name, func(t *testing.T) {
			location, err := time.LoadLocation(zone)
			if err != nil {
				t.Skipf("no time zones here: %v", err)
			}
			store := new(memoryStore)
			var b *Budget
			for i, s := range steps {
				if s.clock == "restart" {
					if err := b.Close(); err != nil {
						t.Fatal(err)
					}
					b = nil
					continue
				}
				if b == nil {
					b = NewBudget(BudgetOptions{BytesPerDay: 1000, BytesPerMonth: 10_000, Location: location, Store: store})
				}
				now := at(t, s.clock)
				b.charge(now, 100, false)
				if got := b.statsAt(now); got.DayUsed != s.day || got.MonthUsed != s.month {
					t.Fatalf("step %d, %s: %d and %d bytes are used up, want %d and %d", i, s.clock, got.DayUsed, got.MonthUsed, s.day, s.month)
				}
			}
		})
	}
	f("days and months end", "UTC",
		step{"2026-01-30 12:00:00 +0000", 100, 100},
		step{"2026-01-30 23:59:59 +0000", 200, 200},
		step{"2026-01-31 00:00:00 +0000", 100, 300},
		step{"2026-02-01 00:00:00 +0000", 100, 100},
		step{"2027-02-01 00:00:00 +0000", 100, 100})
	f("where the gateway is", "Europe/Berlin",
		step{"2026-01-31 22:59:59 +0000", 100, 100},
		step{"2026-01-31 23:00:00 +0000", 100, 100})
	f("a restart resets nothing", "UTC",
		step{"2026-01-30 12:00:00 +0000", 100, 100},
		step{"restart", 0, 0},
		step{"2026-01-30 12:00:00 +0000", 200, 200},
		step{"restart", 0, 0},
		step{"2026-01-31 12:00:00 +0000", 100, 300})
	f("a step back resets nothing, nor does the way forward again", "UTC",
		step{"2026-03-01 12:00:00 +0000", 100, 100},
		step{"2026-02-27 12:00:00 +0000", 200, 200},
		step{"2026-02-28 12:00:00 +0000", 300, 300},
		step{"2026-03-01 13:00:00 +0000", 400, 400})
	f("the first clock is that of 1970", "UTC",
		step{"1970-01-01 00:00:10 +0000", 100, 100},
		step{"1970-01-02 00:00:10 +0000", 200, 200},
		step{"2026-03-15 12:00:00 +0000", 300, 300},
		step{"2026-03-16 12:00:00 +0000", 100, 400})
	f("a start in 1970 that turns out to be in a new month", "UTC",
		step{"2026-03-15 12:00:00 +0000", 100, 100},
		step{"restart", 0, 0},
		step{"1970-01-01 00:00:10 +0000", 200, 200},
		step{"restart", 0, 0},
		step{"1970-01-01 00:00:10 +0000", 300, 300},
		step{"2026-04-01 12:00:00 +0000", 300, 300})
	f("a start at the image's date that turns out to be on the same day", "UTC",
		step{"2026-03-15 12:00:00 +0000", 100, 100},
		step{"restart", 0, 0},
		step{"2025-06-01 00:00:00 +0000", 200, 200},
		step{"2026-03-15 13:00:00 +0000", 300, 300},
		step{"2026-03-16 13:00:00 +0000", 100, 400})
}

func TestBudgetSteps(t *testing.T) {
	now := at(t, "2026-03-15 12:00:00 +0000")
	b := NewBudget(BudgetOptions{BytesPerDay: 1000, BytesPerMonth: 3000, Steps: []BudgetStep{{.9, 7}, {.5, 3}}})
	for _, want := range []struct{ charge, least int }{
		{499, math.MinInt}, {1, 3}, {399, 3}, {1, 7}, {99, 7}, {1, math.MaxInt}, {1000, math.MaxInt},
	} {
		b.charge(now, uint64(want.charge), false)
		if got := b.least(now); got != want.least {
			t.Errorf("with %d bytes used up the least priority is %d, want %d", b.statsAt(now).DayUsed, got, want.least)
		}
	}
	// The next day the month counts, of which two thirds are used up.
	tomorrow := now.AddDate(0, 0, 1)
	if got := b.least(tomorrow); got != 3 {
		t.Errorf("the next day the least priority is %d, want 3", got)
	}
	s := b.statsAt(tomorrow)
	if s.DayUsed != 0 || s.MonthUsed != 2000 || !s.Restricted || s.Priority != 3 || s.Exhausted ||
		!s.DayReset.Equal(at(t, "2026-03-17 00:00:00 +0000")) || !s.MonthReset.Equal(at(t, "2026-04-01 00:00:00 +0000")) {
		t.Errorf("%+v", s)
	}
	// A step beyond the limit keeps a way open.
	b = NewBudget(BudgetOptions{BytesPerDay: 1000, Steps: []BudgetStep{{1, 9}}})
	b.charge(now, 5000, false)
	if got := b.least(now); got != 9 {
		t.Errorf("beyond the limit the least priority is %d, want 9", got)
	}
	if NewBudget(BudgetOptions{}).least(now) != math.MinInt || (*Budget)(nil).least(now) != math.MinInt {
		t.Error("a budget without limits limits")
	}
}

// TestBudgetCrash: what is stored is never less than what was used up, and at
// most a block more.
func TestBudgetCrash(t *testing.T) {
	now := at(t, "2026-03-15 12:00:00 +0000")
	store := new(memoryStore)
	o := BudgetOptions{BytesPerMonth: 1_000_000, Store: store}
	b := NewBudget(o)
	used := uint64(0)
	for i := range 3000 {
		n := uint64(i%97 + 1)
		b.charge(now, n, false)
		used += n
		restarted := NewBudget(o)
		if got := restarted.statsAt(now).MonthUsed; got < used || got > used+1000 {
			t.Fatalf("after a crash %d bytes are counted, %d are used up", got, used)
		}
	}
	if store.stores > int(used/1000)+1 {
		t.Errorf("%d writes for %d bytes", store.stores, used)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := NewBudget(o).statsAt(now).MonthUsed; got != used {
		t.Errorf("after an orderly end %d bytes are counted, %d are used up", got, used)
	}
}

func TestBudgetState(t *testing.T) {
	now := at(t, "2026-03-15 12:00:00 +0000")
	for _, value := range [][]byte{{}, {1}, {0, 0, 0, 0}, bytes.Repeat([]byte{1, 0, 0, 0}, 3)} {
		store := &memoryStore{value: value}
		b := NewBudget(BudgetOptions{BytesPerDay: 1000, Store: store})
		if s := b.statsAt(now); s.Error == "" {
			t.Errorf("% x was loaded without an error", value)
		}
		b.charge(now, 10, false)
		if s := b.statsAt(now); s.Error != "" || s.DayUsed != 10 || store.stores != 1 {
			t.Errorf("% x was not made good: %+v", value, s)
		}
	}
	newer := &memoryStore{value: append([]byte{2, 0, 0, 0}, make([]byte, 60)...)}
	b := NewBudget(BudgetOptions{BytesPerDay: 1000, Store: newer})
	b.charge(now, 10, false)
	if s := b.statsAt(now); newer.stores != 0 || !strings.Contains(s.Error, "newer") {
		t.Errorf("the state of a newer milepost was overwritten: %+v", s)
	}
	broken := &memoryStore{err: errors.New("input/output error")}
	b = NewBudget(BudgetOptions{BytesPerDay: 1000, Store: broken})
	b.charge(now, 10, false)
	if s := b.statsAt(now); s.Error != "input/output error" || s.DayUsed != 10 {
		t.Errorf("with a broken disk: %+v", s)
	}
}

func TestBudgetFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "budget")
	load := func() (string, error) {
		value, err := NewBudgetFile(path).Load()
		return string(value), err
	}
	if value, err := load(); value != "" || err != nil {
		t.Fatalf("no file: %q, %v", value, err)
	}
	file := NewBudgetFile(path)
	for _, value := range []string{"one", "two", "three"} {
		if err := file.Store([]byte(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := load(); got != value || err != nil {
			t.Fatalf("loaded %q, %v; want %q", got, err, value)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Whatever happens to one copy, the other one is there; "three" is in the odd
	// page, "two" in the even one.
	for at := range whole {
		if page := whole[at/budgetPage*budgetPage:]; at%budgetPage >= budgetHeader+len("three")+4 || len(page) == 0 {
			continue
		}
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x20
		os.WriteFile(path, damaged, 0o600)
		got, err := load()
		if at >= budgetPage && got != "two" || at < budgetPage && got != "three" || err != nil {
			t.Fatalf("byte %d flipped: %q, %v", at, got, err)
		}
	}
	for size := range whole {
		os.WriteFile(path, whole[:size], 0o600)
		got, err := load()
		if size == 0 {
			if err == nil {
				t.Fatal("an empty file was loaded")
			}
			continue
		}
		if size >= budgetHeader+len("two")+4 && got != "two" {
			t.Fatalf("cut to %d bytes: %q, %v", size, got, err)
		}
		if got == "" && err == nil {
			t.Fatalf("cut to %d bytes: nothing, and no error", size)
		}
	}
	// What is damaged is made good by the next Store.
	file = NewBudgetFile(path)
	os.WriteFile(path, []byte("garbage"), 0o600)
	if _, err := file.Load(); err == nil {
		t.Fatal("garbage was loaded")
	}
	if err := file.Store([]byte("four")); err != nil {
		t.Fatal(err)
	}
	if got, err := load(); got != "four" || err != nil {
		t.Fatalf("loaded %q, %v; want four", got, err)
	}
}

func FuzzBudgetState(f *testing.F) {
	store := new(memoryStore)
	b := NewBudget(BudgetOptions{BytesPerDay: 1000, Store: store})
	b.charge(time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC), 10, false)
	f.Add(store.value)
	f.Fuzz(func(t *testing.T, data []byte) {
		parseBudget(data)
		b := NewBudget(BudgetOptions{BytesPerDay: 1000, BytesPerMonth: 5000, Store: &memoryStore{value: data}})
		now := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
		b.charge(now, 10, true)
		b.least(now)
		b.statsAt(now)
	})
}

func FuzzPosition(f *testing.F) {
	f.Add([]byte("spool1:000102030405060708090a0b0c0d0e0f:7:2+3 +14:3"))
	f.Add([]byte("spool1:000102030405060708090a0b0c0d0e0f:7 +0:0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, reached, err := parsePosition(text); err == nil && (len(p.Done) > 32 || reached.entry != 0 && reached.records <= 0) {
			t.Errorf("%q is read as %v, %v", text, p, reached)
		}
	})
}
