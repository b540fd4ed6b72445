package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
)

const (
	outageSeries = 700
	// A record weighs 60 bytes on this wire, and live data takes 42,000 bytes a
	// second of these.
	outageRecord = 60
	outageRate   = 150_000
)

// signals makes the windows of a vehicle with outageSeries signals, each sampled
// ten times a second.
type signals struct {
	groups []*aggregate.Group
	folder aggregate.ColumnFolder
	column aggregate.Column
}

func newSignals() *signals {
	s := new(signals)
	for i := range outageSeries / 10 {
		g := &aggregate.Group{Bus: "can0", ID: uint32(0x100 + i), HasID: true, Name: fmt.Sprintf("MESSAGE_%d", i)}
		for j := range 10 {
			g.Series = append(g.Series, aggregate.Series{Name: fmt.Sprintf("Signal%d_%d", i, j), Unit: "km/h", Bits: 16, Factor: .01, Offset: -40})
		}
		s.groups = append(s.groups, g)
	}
	s.column = aggregate.Column{Values: make([]int64, 10), Weights: make([]uint32, 10)}
	return s
}

// window is that of the second before a time.
func (s *signals) window(at time.Time) *aggregate.Window {
	second := at.Unix() - 1
	w := aggregate.NewWindow(second*int64(time.Second), int64(time.Second), 0)
	for i, g := range s.groups {
		summaries := w.AddGroup(g)
		for j := range summaries {
			for k := range s.column.Values {
				s.column.Weights[k] = 1
				s.column.Values[k] = 8000
				if (i+j)%3 != 0 { // the others stand still
					s.column.Values[k] += (second*7+int64(k*(j+1)*13)+int64(i))%(200*int64(j)+1) - 100
				}
			}
			s.folder.Fold(&g.Series[j], s.column, w, &summaries[j])
		}
	}
	return w
}

// keys are the sequences that have arrived.
type keys struct {
	mu     sync.Mutex
	bits   []uint64
	unique uint64
	copies uint64
	last   uint64 // the highest sequence
	// since is when the link came back, latest how late what was summarised after
	// that has arrived.
	since  time.Time
	latest time.Duration
}

func (k *keys) add(r *uplink.Record, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	word, bit := r.Sequence/64, uint64(1)<<(r.Sequence%64)
	if k.bits[word]&bit != 0 {
		k.copies++
	} else {
		k.unique++
	}
	k.bits[word] |= bit
	k.last = max(k.last, r.Sequence)
	if end := time.Unix(0, r.Start+r.Duration); !k.since.IsZero() && end.After(k.since) {
		k.latest = max(k.latest, at.Sub(end))
	}
}

// outageQuota is what the spool may take: less than the outage fills.
func outageQuota(length time.Duration) int64 {
	if length > 2*time.Hour {
		return 256 << 20
	}
	return 24 << 20
}

// TestLongOutage has a dead link at full signal load: an hour of it, or as long
// as MILEPOST_OUTAGE says ("72h"), with a real spool on the disk.
func TestLongOutage(t *testing.T) {
	length := time.Hour
	if text := os.Getenv("MILEPOST_OUTAGE"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("MILEPOST_OUTAGE: %v", err)
		}
	} else if testing.Short() {
		length = 5 * time.Minute
	}
	for _, order := range []uplink.Order{uplink.OldestFirst, uplink.NewestFirst} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { outage(t, order, length) })
		})
		if length >= 2*time.Hour {
			break // one is enough
		}
		length = min(length, 20*time.Minute)
	}
}

func outage(t *testing.T, order uplink.Order, length time.Duration) {
	dir, quota := t.TempDir(), outageQuota(length)
	s, err := spool.Open(dir, spool.Options{MaxBytes: quota, Sync: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cursor, err := s.Cursor("link", spool.Oldest)
	if err != nil {
		t.Fatal(err)
	}
	arrived := &keys{bits: make([]uint64, 1+int(length/time.Second+2*3600)*outageSeries/64)}
	link := &uplinktest.LinkSink{Latency: 60 * time.Millisecond, RecordBytes: outageRecord, Received: arrived.add}
	link.SetRate(outageRate)
	var decoder uplink.BatchDecoder
	f := uplink.NewForwarder(cursor, link, uplink.ForwarderOptions{Decode: decoder.Decode, Order: order})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- f.Run(ctx) }()

	vehicle := newSignals()
	encoder := uplink.NewBatchEncoder("van-17", uplinktest.Boot, 1)
	appended, bytes := uint64(0), 0
	drive := func(d time.Duration, done func() bool) {
		for end := time.Now().Add(d); time.Now().Before(end) && !done(); {
			w := vehicle.window(time.Now())
			encoder.Add(w)
			w.Release()
			payload := encoder.Take()
			if _, err := s.Append(payload); err != nil {
				t.Fatal(err)
			}
			appended++
			bytes += len(payload)
			time.Sleep(time.Second)
		}
	}
	never := func() bool { return false }
	drive(2*time.Minute, never)
	if st := f.Stats(); st.Sent < 100*outageSeries || st.Classes[0].Backlog != 0 {
		t.Fatalf("before the outage: %+v", st)
	}

	before := heap()
	var most uint64
	var disk int64
	link.SetDown(true)
	for range 12 {
		drive(length/12, never)
		most = max(most, heap())
		disk = max(disk, size(t, dir))
	}
	if grown := int64(most) - int64(before); grown > 10<<20 {
		t.Errorf("the heap has grown from %d to %d bytes in the outage", before, most)
	}
	// What was evicted leaves the disk with the next sync, at most a chapter later.
	if disk > quota+1<<20 {
		t.Errorf("the spool has taken %d bytes of the disk, the quota is %d", disk, quota)
	}
	down := f.Stats()
	if down.Up || down.Outages != 1 || down.Failures < uint64(length/(31*time.Second)) || down.Failures > 30+uint64(length/(10*time.Second)) {
		t.Errorf("in the outage: %+v", down)
	}

	arrived.mu.Lock()
	arrived.since = time.Now().Add(30 * time.Second) // by then it is tried again
	arrived.mu.Unlock()
	link.SetDown(false)
	back := time.Now()
	caughtUp := func() bool { return time.Since(back) > time.Minute && f.Stats().Classes[0].Pending < 3 }
	drive(2*time.Hour, caughtUp)
	drained := time.Since(back)
	drive(10*time.Second, never)
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if !caughtUp() {
		t.Errorf("in two hours the backlog was not drained: %+v", f.Stats())
	}
	if arrived.latest > 5*time.Second {
		t.Errorf("after the return, fresh data was up to %v late", arrived.latest)
	}
	if longest := link.Longest(); longest > 2*time.Second {
		t.Errorf("a Send took %v", longest)
	}

	// Everything is accounted for, by the spool, the forwarder and the receiver.
	st := f.Stats()
	balance(t, st)
	c := s.Stats().Cursors[0]
	if c.Acknowledged+c.Evicted+c.Pending != appended || c.Pending != 0 || c.Missing != 0 || c.Skipped != 0 {
		t.Errorf("%d entries appended; %+v", appended, c)
	}
	if length >= time.Hour && c.Evicted == 0 {
		t.Error("nothing was evicted: the outage is too short for the quota")
	}
	// What is evicted while it is on its way arrives, and is not acknowledged.
	crossed := arrived.unique/outageSeries - c.Acknowledged
	if arrived.unique != (c.Acknowledged+crossed)*outageSeries || crossed > 10 || crossed > c.Evicted || arrived.unique+arrived.copies != link.Records() || st.Sent > link.Records() {
		t.Errorf("%d records arrived once, %d more are copies, %d were sent; %d entries are acknowledged", arrived.unique, arrived.copies, st.Sent, c.Acknowledged)
	}
	if arrived.last != appended*outageSeries {
		t.Errorf("the last record that arrived is %d of %d", arrived.last, appended*outageSeries)
	}
	t.Logf("%v: %d windows of %d bytes; heap %.1f MiB, in the outage at most %.1f MiB; disk at most %.1f of %d MiB; %d of %d entries evicted; %d tries; "+
		"drained in %v with fresh data at most %v late; %d copies",
		length, appended, bytes/int(appended), float64(before)/(1<<20), float64(most)/(1<<20), float64(disk)/(1<<20), quota>>20, c.Evicted, appended,
		down.Failures, drained.Round(time.Second), arrived.latest.Round(time.Millisecond), arrived.copies)
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// size is what the files in a directory take.
func size(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // it has just been removed
			return nil
		case err != nil || entry.IsDir():
			return err
		}
		if info, err := entry.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestHungSink has a spool with a sink that hangs, one that is well, and one
// whose link is down: each has its own pace, and memory is flat.
func TestHungSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.Open(t.TempDir(), spool.Options{MaxBytes: 6 << 20, Sync: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		var forwarders []*uplink.Forwarder
		var links []*uplinktest.LinkSink
		for _, name := range []string{"hung", "well", "down"} {
			cursor, err := s.Cursor(name, spool.Oldest)
			if err != nil {
				t.Fatal(err)
			}
			link := &uplinktest.LinkSink{Latency: 20 * time.Millisecond}
			f := uplink.NewForwarder(cursor, link, uplink.ForwarderOptions{Name: name, Decode: uplink.DecodeRecords, Order: uplink.OldestFirst})
			wait.Go(func() { f.Run(ctx) })
			forwarders, links = append(forwarders, f), append(links, link)
		}
		next := uint64(1)
		drive := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				if _, err := s.Append(uplink.Protobuf.Append(nil, uplinktest.Records(next, 20))); err != nil {
					t.Fatal(err)
				}
				next += 20
			}
		}
		drive(10 * time.Second)
		links[0].SetHung(true)
		links[2].SetDown(true)
		drive(time.Minute)
		before := heap()
		drive(30 * time.Minute)
		if grown := int64(heap()) - int64(before); grown > 4<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		if got := links[1].Records(); got != next-1 {
			t.Errorf("the sink that is well has %d of %d records", got, next-1)
		}
		if up := forwarders[2].Stats(); up.Up || forwarders[1].Stats().Up == false {
			t.Errorf("%+v", up)
		}
		for i, f := range forwarders {
			if pending := f.Stats().Classes[0].Pending; (pending > 400) != (i != 1) {
				t.Errorf("sink %d has %d entries pending", i, pending)
			}
		}
		links[0].SetHung(false)
		links[2].SetDown(false)
		drive(2 * time.Minute)
		evicted := false
		for i, c := range s.Stats().Cursors {
			evicted = evicted || c.Evicted > 0
			if c.Pending > 1 || c.Acknowledged+c.Evicted+c.Pending != (next-1)/20 || c.Name == "well" && c.Evicted > 0 {
				t.Errorf("cursor %d: %+v", i, c)
			}
		}
		if !evicted {
			t.Error("nothing was evicted: the spool is too large for this test")
		}
		cancel()
		wait.Wait()
		for _, f := range forwarders {
			balance(t, f.Stats())
		}
	})
}
