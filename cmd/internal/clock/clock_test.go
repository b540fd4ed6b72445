package clock

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"milepost/aggregate"
	"milepost/uplink"
)

// process is a gateway's, in a synctest bubble.
type process struct {
	*Clock
	end func()
}

func start(t *testing.T, k *kernel, o Options) *process {
	t.Helper()
	c, err := open(o, k.read)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { c.run(ctx, k.watch) })
	synctest.Wait()
	return &process{c, func() {
		cancel()
		wait.Wait()
	}}
}

// window is a record of a window that begins now.
func (p *process) window(k *kernel) uplink.Record {
	const second = int64(time.Second)
	now := k.stamp()
	r := uplink.Record{Boot: p.Boot(), Start: now - now%second, Duration: second}
	offset, clock := p.Stamp(now)
	r.Clock, r.Uptime = clock, r.Start-offset
	return r
}

// redated is the record as a process sends it.
func (p *process) redated(r uplink.Record) uplink.Record {
	records := []uplink.Record{r}
	p.Redate(records)
	return records[0]
}

// TestRedate: a boot without a clock, which learns it late. What was made before
// is moved by the step, what is made afterwards is not.
func TestRedate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runningKernel()
		p := start(t, k, Options{Boot: uplink.BootID{1}})
		defer p.end()
		early := p.window(k)
		if early.Clock != unset || early.Start != 10e9 || early.Uptime != 10e9 || timesOf(p.redated(early)) != timesOf(early) {
			t.Fatalf("an early record is %+v, sent as %+v", early, p.redated(early))
		}
		time.Sleep(time.Hour)
		k.set(ntp2026, true)
		time.Sleep(3 * time.Second)
		want := early
		want.Clock, want.Start, want.Moved = synchronized, 10e9+ntp2026, ntp2026
		if got := p.redated(early); timesOf(got) != timesOf(want) {
			t.Errorf("it is sent as %+v, want %+v", got, want)
		}
		if got := p.redated(p.redated(early)); timesOf(got) != timesOf(want) {
			t.Errorf("moved twice: %+v", got)
		}
		if late := p.window(k); late.Clock != synchronized || timesOf(p.redated(late)) != timesOf(late) {
			t.Errorf("a record of the right time %+v is sent as %+v", late, p.redated(late))
		}
		recorded := uplink.Record{Boot: p.Boot(), Start: 7e9, Duration: 1e9}
		if got := p.redated(recorded); timesOf(got) != timesOf(recorded) {
			t.Errorf("a record of which nothing is known is sent as %+v", got)
		}
		stranger := early
		stranger.Boot = uplink.BootID{2}
		if got := p.redated(stranger); timesOf(got) != timesOf(stranger) {
			t.Errorf("a record of another boot is sent as %+v", got)
		}
		mixed := []uplink.Record{early, stranger, recorded, early, p.window(k)}
		p.Redate(mixed)
		for i, moved := range []bool{true, false, false, true, false} {
			if (mixed[i].Moved != 0) != moved {
				t.Errorf("record %d of a mixed batch is %+v", i, mixed[i])
			}
		}
	})
}

// TestSetClock: a clock that was set, not right to the minute, is corrected too,
// and one that was right is only known to be.
func TestSetClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runningKernel()
		k.offset = ntp2026 - 90e9
		p := start(t, k, Options{Boot: uplink.BootID{1}})
		defer p.end()
		slow := p.window(k)
		k.set(ntp2026, false)
		right := p.window(k)
		if slow.Clock != set || right.Clock != set {
			t.Fatalf("a clock that is set is %v, %v", slow.Clock, right.Clock)
		}
		k.set(ntp2026, true)
		time.Sleep(3 * time.Second)
		if got := p.redated(slow); got.Clock != synchronized || got.Moved != 90e9 || got.Start != slow.Start+90e9 {
			t.Errorf("90 s slow: sent as %+v", got)
		}
		if got := p.redated(right); got.Clock != synchronized || got.Moved != 0 || got.Start != right.Start {
			t.Errorf("right: sent as %+v", got)
		}
	})
}

// TestBoots: three boots, of which the second never learns the time. A boot has
// two processes, and the second of them knows what the first one's records lack.
func TestBoots(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock")
	synctest.Test(t, func(t *testing.T) {
		begin := func(k *kernel, boot byte) *process {
			return start(t, k, Options{Boot: uplink.BootID{boot}, Table: file})
		}
		var records []uplink.Record
		k := runningKernel()
		p := begin(k, 1)
		records = append(records, p.window(k))
		p.end()
		k.pass(time.Hour)
		p = begin(k, 1) // the second process
		records = append(records, p.window(k))
		k.set(ntp2026, true)
		time.Sleep(3 * time.Second)
		p.end()

		k = runningKernel()
		p = begin(k, 2)
		records = append(records, p.window(k))
		k.pass(time.Hour)
		p.end()

		k = runningKernel()
		p = begin(k, 3)
		records = append(records, p.window(k))
		k.set(ntp2026+24*hour, true)
		time.Sleep(3 * time.Second)
		p.Redate(records)
		for i, want := range []int64{ntp2026, ntp2026, 0, ntp2026 + 24*hour} {
			if r := records[i]; r.Moved != want || (r.Clock == unset) != (want == 0) {
				t.Errorf("record %d is moved by %d, %v, want %d", i, r.Moved, r.Clock, want)
			}
		}
		p.end()
	})
}

// TestEvents: subscribers are told at once of steps, of sleep, and within a poll
// of what the kernel does not tell by itself.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runningKernel()
		p := start(t, k, Options{Boot: uplink.BootID{1}})
		defer p.end()
		var got []Event
		cancel := p.Subscribe(func(e Event) { got = append(got, e) })
		f := func(what string, wait time.Duration, want ...Event) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if len(got) != len(want) {
				t.Fatalf("%s: told %v, want %v", what, got, want)
			}
			for i, e := range got {
				if e.Kind != want[i].Kind || e.By != want[i].By {
					t.Errorf("%s: told %v, want %v", what, e, want[i])
				}
			}
			got = nil
		}
		f("nothing", time.Hour)
		k.suspend(time.Hour)
		f("sleep", 0, Event{Kind: Slept, By: time.Hour})
		k.set(ntp2026, false)
		f("set", 0, Event{Kind: Stepped, By: time.Duration(ntp2026)}, Event{Kind: QualityChanged}, Event{Kind: OffsetLearnt})
		k.mu.Lock()
		k.synchronized = true // nothing wakes anyone
		k.mu.Unlock()
		f("synchronized", 3*time.Second, Event{Kind: QualityChanged}, Event{Kind: OffsetLearnt})
		cancel()
		k.set(ntp2026+hour, false)
		f("unsubscribed", time.Minute)
	})
}

// TestStampNotices: a step is told even if nobody but Stamp has noticed it.
func TestStampNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runningKernel()
		p := start(t, k, Options{Boot: uplink.BootID{1}})
		defer p.end()
		told := 0
		defer p.Subscribe(func(e Event) {
			if e.Kind == Stepped {
				told++
			}
		})()
		k.mu.Lock()
		k.offset = ntp2026
		k.mu.Unlock()
		if offset, clock := p.Stamp(k.stamp()); offset != ntp2026 || clock != set {
			t.Errorf("a frame after a step has the offset %d, %v", offset, clock)
		}
		synctest.Wait()
		if told != 1 {
			t.Errorf("told of %d steps", told)
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runningKernel()
		p := start(t, k, Options{Boot: uplink.BootID{1}})
		defer p.end()
		f := func(what string, least aggregate.Clock, atMost, took time.Duration, want bool) {
			t.Helper()
			begin := time.Now()
			if got := p.Wait(t.Context(), least, atMost); got != want || time.Since(begin).Round(time.Second) != took {
				t.Errorf("%s: %v after %v, want %v after %v", what, got, time.Since(begin), want, took)
			}
		}
		f("for nothing", aggregate.ClockUnknown, time.Hour, 0, true)
		f("in vain", set, time.Minute, time.Minute, false)
		time.AfterFunc(30*time.Second, func() { k.set(ntp2026, false) })
		f("until it is set", set, time.Minute, 30*time.Second, true)
		f("it is set already", set, time.Minute, 0, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if p.Wait(ctx, synchronized, time.Hour) {
			t.Error("synchronized without NTP")
		}
		p.GNSS(k.boot()+ntp2026, k.boot(), time.Second)
		p.GNSS(k.boot()+ntp2026, k.boot(), time.Second)
		f("GNSS", synchronized, time.Hour, 0, true)
		if p.Quality() != synchronized {
			t.Errorf("the clock agrees with GNSS and is %v", p.Quality())
		}
	})
}

// TestTableCannotBeWritten: it is tried again, said once, and holds nothing up.
func TestTableCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		k := runningKernel()
		k.offset, k.synchronized = ntp2026, true
		p := start(t, k, Options{Boot: uplink.BootID{1}, Table: filepath.Join(dir, "clock"), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(time.Minute)
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		p.end()
		if n := strings.Count(log.String(), "cannot be written"); n != 1 {
			t.Errorf("said %d times:\n%s", n, log.String())
		}
		if table, err := loadTable(filepath.Join(dir, "clock")); err != nil || len(table.boots) != 1 {
			t.Errorf("%d boots in the table: %v", len(table.boots), err)
		}
	})
}

// TestBlind: where the system does not tell, nothing is claimed.
func TestBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := open(Options{Boot: uplink.BootID{1}}, func() (reading, error) { return reading{}, errors.ErrUnsupported })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		c.Run(ctx)
		c.GNSS(ntp2026, 1, 0)
		if offset, clock := c.Stamp(ntp2026); offset != 0 || clock != aggregate.ClockUnknown || c.State() != (State{}) {
			t.Errorf("a blind clock says %d, %v, %+v", offset, clock, c.State())
		}
		if _, err := open(Options{Boot: uplink.BootID{1}}, func() (reading, error) { return reading{}, errors.New("broken") }); err == nil {
			t.Error("a kernel that does not tell the time is no error")
		}
	})
}
