package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
)

// journey is a forwarder between a queue that is fed once a second and a link.
type journey struct {
	t     *testing.T
	queue *uplinktest.Queue
	link  *uplinktest.LinkSink
	f     *uplink.Forwarder
	stop  func() error

	mu       sync.Mutex
	next     uint64 // sequence
	appended map[uint64]time.Time
	late     map[uint64]time.Duration // by sequence, of the first arrival
	order    []uint64                 // of the first arrivals
	copies   int
}

// perEntry is the number of records of an entry in a journey.
const perEntry = 5

func newJourney(t *testing.T) *journey {
	j := &journey{
		t: t, queue: uplinktest.NewQueue(), next: 1,
		appended: make(map[uint64]time.Time), late: make(map[uint64]time.Duration),
	}
	j.link = &uplinktest.LinkSink{Latency: 50 * time.Millisecond, Received: func(r *uplink.Record, at time.Time) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if _, ok := j.late[r.Sequence]; ok {
			j.copies++
			return
		}
		j.late[r.Sequence] = at.Sub(j.appended[r.Sequence])
		j.order = append(j.order, r.Sequence)
	}}
	return j
}

// append adds n entries.
func (j *journey) append(n int) {
	for range n {
		records := uplinktest.Records(j.next, perEntry)
		j.mu.Lock()
		for i := range records {
			j.appended[j.next+uint64(i)] = time.Now()
		}
		j.mu.Unlock()
		j.next += perEntry
		j.queue.Append(uplink.Protobuf.Append(nil, records), 0)
	}
}

// drive lets time pass, with an entry each second.
func (j *journey) drive(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		j.append(1)
		time.Sleep(time.Second)
	}
}

func (j *journey) start(o uplink.ForwarderOptions) {
	o.Decode = uplink.DecodeRecords
	j.f = uplink.NewForwarder(j.queue, j.link, o)
	j.run()
}

func (j *journey) run() {
	ctx, cancel := context.WithCancel(j.t.Context())
	result := make(chan error, 1)
	go func() { result <- j.f.Run(ctx) }()
	j.stop = func() error {
		cancel()
		return <-result
	}
}

// latest is the longest delay of what was appended from a time on.
func (j *journey) latest(since time.Time) (latest time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for sequence, at := range j.appended {
		if at.Before(since) {
			continue
		}
		late, ok := j.late[sequence]
		if !ok {
			late = time.Since(at)
		}
		latest = max(latest, late)
	}
	return latest
}

// arrived is the number of records that have arrived.
func (j *journey) arrived() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.order)
}

// check waits until everything has arrived.
func (j *journey) check() {
	j.t.Helper()
	j.queue.End()
	for range 100_000 {
		if j.arrived() == len(j.appended) {
			break
		}
		time.Sleep(time.Second)
	}
	if n := j.arrived(); n != len(j.appended) {
		j.t.Fatalf("%d of %d records have arrived, pending %v; %+v", n, len(j.appended), j.queue.Pending(nil), j.f.Stats())
	}
	synctest.Wait()
	if err := j.stop(); err != nil {
		j.t.Errorf("Run: %v", err)
	}
	if pending := j.queue.Pending(nil); pending != nil {
		j.t.Errorf("pending in the end: %v", pending)
	}
	s := j.f.Stats()
	balance(j.t, s)
	if c := s.Classes[0]; c.Live+c.Backlog != s.Sent || c.Pending != 0 {
		j.t.Errorf("%d live and %d backlog records of %d sent, %d pending", c.Live, c.Backlog, s.Sent, c.Pending)
	}
}

// TestLiveFirst begins with an hour of backlog that takes the link more than
// five minutes.
func TestLiveFirst(t *testing.T) {
	for _, order := range []uplink.Order{uplink.OldestFirst, uplink.NewestFirst} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJourney(t)
				j.append(3600)
				backlog := j.next
				j.link.SetRate(6000) // 12 entries a second
				j.start(uplink.ForwarderOptions{Order: order})
				start := time.Now()
				time.Sleep(time.Second)
				j.drive(5 * time.Minute)
				if s := j.f.Stats(); s.Classes[0].Pending < 100 {
					t.Fatalf("only %d are pending: the link is too fast for this test", s.Classes[0].Pending)
				}
				if late := j.latest(start.Add(time.Millisecond)); late > 2*time.Second {
					t.Errorf("live data was up to %v late", late)
				}
				if longest := j.link.Longest(); longest > 1200*time.Millisecond {
					t.Errorf("a Send took %v", longest)
				}
				j.drive(5 * time.Minute)
				if late := j.latest(start.Add(time.Millisecond)); late > 2*time.Second {
					t.Errorf("live data was up to %v late", late)
				}
				j.check()
				if j.copies != 0 {
					t.Errorf("%d copies over a link that never failed", j.copies)
				}
				j.inOrder(order, backlog)
			})
		})
	}
}

// inOrder checks the order of what was backlog: the sequences before the given
// one, but for the newest entry, which was live at once.
func (j *journey) inOrder(order uplink.Order, before uint64) {
	j.t.Helper()
	var last uint64
	turns := 0
	for _, sequence := range j.order {
		if sequence >= before-perEntry {
			continue
		}
		if sequence != last+1 {
			turns++
			if down := sequence < last; down != (order == uplink.NewestFirst) && last != 0 {
				j.t.Fatalf("%d came after %d", sequence, last)
			}
		}
		last = sequence
	}
	if order == uplink.OldestFirst && turns != 0 {
		j.t.Errorf("the backlog has come with %d jumps, want none", turns)
	}
	if order == uplink.NewestFirst && (turns < 10 || j.order[perEntry] < before/2) {
		j.t.Errorf("the backlog has come in %d groups, beginning at %d of %d", turns, j.order[perEntry], before)
	}
}

// TestLinkReturns cuts the link for an hour.
func TestLinkReturns(t *testing.T) {
	for _, order := range []uplink.Order{uplink.OldestFirst, uplink.NewestFirst} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJourney(t)
				j.link.SetRate(6000)
				j.start(uplink.ForwarderOptions{Order: order})
				j.drive(time.Minute)
				if j.arrived() != len(j.appended) || j.f.Stats().Classes[0].Backlog != 0 {
					t.Fatalf("%d of %d records have arrived, %+v", j.arrived(), len(j.appended), j.f.Stats())
				}
				cut := j.next
				j.link.SetDown(true)
				j.drive(30 * time.Minute)
				began := time.Unix(0, uplinktest.Records(cut, 1)[0].Start)
				s := j.f.Stats()
				if s.Up || s.Cause == "" || !s.NextTry.After(time.Now()) || s.Classes[0].Pending != 1800 {
					t.Errorf("in the outage: %+v", s)
				}
				if got := time.Unix(0, s.Classes[0].Oldest); got.Sub(began).Abs() > 2*time.Second {
					t.Errorf("the oldest pending window is said to begin at %v, not %v", got, began)
				}
				j.drive(30 * time.Minute)
				j.link.SetDown(false)
				// The next try comes within 30 s. What is appended from then on is in time.
				for j.f.Stats().Up == false {
					j.drive(time.Second)
				}
				back := time.Now()
				j.drive(4 * time.Minute)
				if late := j.latest(back); late > 2*time.Second {
					t.Errorf("after the return live data was up to %v late", late)
				}
				if s := j.f.Stats(); s.Classes[0].Pending < 100 || !s.Up || s.Cause != "" {
					t.Errorf("after the return: %+v", s)
				}
				j.check()
				if j.copies != 0 {
					t.Errorf("%d copies, though nothing was on its way when the link was cut", j.copies)
				}
			})
		})
	}
}

// TestSaturated has a link that carries half of the live data, for an hour, and
// then all of it.
func TestSaturated(t *testing.T) {
	for _, order := range []uplink.Order{uplink.OldestFirst, uplink.NewestFirst} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJourney(t)
				j.link.SetRate(250)
				j.start(uplink.ForwarderOptions{Order: order})
				islands := 0
				for range 60 {
					j.drive(time.Minute)
					islands = max(islands, len(j.queue.Position().Done))
				}
				if islands < 20 || islands > spool.MaxSpans {
					t.Errorf("up to %d acknowledged spans apart, want 20 to %d: the test tests nothing, or too much", islands, spool.MaxSpans)
				}
				if s := j.f.Stats(); s.QueueFailures != 0 || s.Classes[0].Jumps == 0 {
					t.Errorf("%d acknowledgements have failed; %d jumps", s.QueueFailures, s.Classes[0].Jumps)
				}
				j.link.SetRate(20_000)
				j.drive(time.Minute)
				wide := time.Now()
				j.drive(time.Minute)
				if late := j.latest(wide); late > 2*time.Second {
					t.Errorf("over the wider link live data was up to %v late", late)
				}
				j.check()
				if j.copies != 0 {
					t.Errorf("%d copies", j.copies)
				}
			})
		})
	}
}

// TestReturnsSlower cuts the link while it carries a large group, of the backlog
// or of live data, and it comes back as one that would take twenty seconds for
// such a group.
func TestReturnsSlower(t *testing.T) {
	for _, c := range []struct {
		order   uplink.Order
		backlog int
	}{{uplink.OldestFirst, 5000}, {uplink.NewestFirst, 5000}, {uplink.OldestFirst, 0}} {
		t.Run(fmt.Sprintf("order=%d,backlog=%d", c.order, c.backlog), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJourney(t)
				j.append(c.backlog)
				j.link.SetRate(40_000)
				j.start(uplink.ForwarderOptions{Order: c.order})
				for range 20 {
					j.append(30)
					time.Sleep(time.Second)
				}
				j.append(60)
				time.Sleep(400 * time.Millisecond)
				if c.backlog == 0 && j.arrived() == len(j.appended) {
					t.Fatal("nothing is on its way: the test tests nothing")
				}
				j.link.SetDown(true)
				j.drive(10 * time.Minute)
				j.link.SetRate(1500)
				j.link.SetDown(false)
				carried, _ := j.link.Traffic()
				for now := carried; now == carried; now, _ = j.link.Traffic() {
					j.drive(time.Second)
				}
				back := time.Now()
				j.drive(time.Minute)
				if late := j.latest(back); late > 2*time.Second {
					t.Errorf("after the return live data was up to %v late", late)
				}
				j.link.SetRate(0)
				j.check()
			})
		})
	}
}

// TestNearlyFull has a link that carries the live data and hardly anything
// beside it.
func TestNearlyFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJourney(t)
		j.append(100)
		j.link.SetRate(540)
		j.start(uplink.ForwarderOptions{Order: uplink.OldestFirst})
		start := time.Now().Add(time.Millisecond)
		time.Sleep(time.Second)
		j.drive(30 * time.Minute)
		if late := j.latest(start); late > 5*time.Second {
			t.Errorf("live data was up to %v late", late)
		}
		if s := j.f.Stats().Classes[0]; s.Jumps != 0 || s.Backlog == 0 {
			t.Errorf("%+v", s)
		}
		j.link.SetRate(0)
		j.check()
	})
}

// TestQuarantineOnce has an entry that cannot be decoded and a record that is
// refused, at a link that fails again and again: both are told of once.
func TestQuarantineOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := uplinktest.NewQueue()
		begin := time.Now()
		sink := &uplinktest.FlakySink{Fail: func(_ int, records []uplink.Record) error {
			for i := range records {
				if records[i].Sequence == 13 {
					return uplink.Permanent(errors.New("too large"), i)
				}
			}
			if passed := time.Since(begin); time.Second < passed && passed < 10*time.Minute {
				return errors.New("no route to host")
			}
			return nil
		}}
		go func() {
			queue.Append(uplink.Protobuf.Append(nil, uplinktest.Records(1, 5)), 0)
			time.Sleep(2 * time.Second)
			queue.Append(uplink.Protobuf.Append(nil, uplinktest.Records(6, 5)), 0)
			queue.Append([]byte("not a record"), 0)
			time.Sleep(time.Minute)
			queue.Append(uplink.Protobuf.Append(nil, uplinktest.Records(11, 5)), 0)
			queue.End()
		}()
		told := make(map[string]int)
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
			Decode: uplink.DecodeRecords, Order: uplink.OldestFirst,
			Quarantine: func(entry spool.Entry, r *uplink.Record, _ error) {
				if r != nil {
					told[fmt.Sprint("record ", r.Sequence)]++
				} else {
					told[fmt.Sprintf("entry %d %q", entry.Index, entry.Payload)]++
				}
			},
		})
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := `map[entry 3 "not a record":1 record 13:1]`; fmt.Sprint(told) != want {
			t.Errorf("told of %v, want %s", told, want)
		}
		s := f.Stats()
		balance(t, s)
		if s.Undecodable != 1 || s.Poisoned != 1 || s.Sent != 14 {
			t.Errorf("%+v", s)
		}
	})
}

// TestRoundTrips has a link with round trips longer than the time between
// entries: there is always something live, and the backlog moves all the same.
func TestRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJourney(t)
		j.append(600)
		j.link.Latency = 600 * time.Millisecond
		j.start(uplink.ForwarderOptions{Order: uplink.OldestFirst})
		for range 600 {
			j.append(1)
			time.Sleep(100 * time.Millisecond)
		}
		if s := j.f.Stats(); s.Classes[0].Pending > 20 {
			t.Errorf("%d entries are pending after a minute", s.Classes[0].Pending)
		}
		j.check()
	})
}

// TestClasses has two queues and a link that carries one of them.
func TestClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		high, low := newJourney(t), newJourney(t)
		low.next = 1_000_001
		link := &uplinktest.LinkSink{Latency: 50 * time.Millisecond, Received: func(r *uplink.Record, at time.Time) {
			if r.Sequence > 1_000_000 {
				low.link.Received(r, at)
			} else {
				high.link.Received(r, at)
			}
		}}
		link.SetRate(8000)
		high.append(60)
		low.append(60)
		f := uplink.NewPriorityForwarder([]uplink.Class{{Name: "low", Priority: 1, Queue: low.queue}, {Name: "high", Priority: 5, Queue: high.queue}},
			link, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, Order: uplink.OldestFirst})
		high.f, low.f = f, f
		high.run()
		time.Sleep(time.Second)
		start := time.Now()
		for range 6000 {
			high.append(1)
			low.append(1)
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("%+v", f.Stats().Classes)
		if late := high.latest(start); late > 5*time.Second {
			t.Errorf("what is important was up to %v late", late)
		}
		s := f.Stats()
		if s.Classes[0].Name != "high" || s.Classes[0].Pending > 65 || s.Classes[1].Pending < 100 || s.Classes[1].Live == 0 {
			t.Errorf("%+v", s.Classes)
		}
		link.SetRate(0)
		time.Sleep(time.Minute)
		for _, j := range []*journey{high, low} {
			j.queue.End()
			if n := j.arrived(); n != len(j.appended) {
				t.Errorf("%d of %d records have arrived", n, len(j.appended))
			}
		}
		if err := high.stop(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		balance(t, f.Stats())
	})
}

// TestCrash kills the process again and again, at a queue that keeps only every
// seventh acknowledgement at once, over a link that fails and a receiver that
// refuses some records.
func TestCrash(t *testing.T) {
	for _, order := range []uplink.Order{uplink.InOrder, uplink.OldestFirst, uplink.NewestFirst} {
		for seed := range seeds() {
			t.Run(fmt.Sprintf("order=%d,seed=%d", order, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crash(t, order, seed) })
			})
		}
	}
}

// seeds is how many of them are tried.
func seeds() uint64 {
	if testing.Short() {
		return 3
	}
	return 10
}

// dice are random numbers for several goroutines.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dice) IntN(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(n)
}

func crash(t *testing.T, order uplink.Order, seed uint64) {
	random := &dice{random: rand.New(rand.NewPCG(seed, 1))}
	queue := uplinktest.NewQueue()
	queue.SyncEvery = 7
	poison := func(sequence uint64) bool { return sequence%37 == 0 }
	var sequence uint64
	appendSome := func() {
		n := 1 + random.IntN(8)
		if random.IntN(20) == 0 {
			queue.Append([]byte("no record"), uint64(random.IntN(3)))
		}
		queue.Append(uplink.Protobuf.Append(nil, uplinktest.Records(sequence+1, n)), uint64(random.IntN(10)/9))
		sequence += uint64(n)
	}
	sink := &uplinktest.FlakySink{Partial: 5, Fail: func(_ int, records []uplink.Record) error {
		if random.IntN(4) == 0 {
			return errors.New("connection reset")
		}
		for i := range records {
			if poison(records[i].Sequence) {
				if random.IntN(2) == 0 {
					return uplink.Permanent(errors.New("too large"), i)
				}
				return uplink.Permanent(errors.New("too large"))
			}
		}
		return nil
	}}
	quarantined := make(map[uint64]bool)
	for life := range 30 {
		if life == 29 {
			for appendSome(); poison(sequence); { // without a good record nothing proves that the sink takes any
				appendSome()
			}
			queue.End()
		}
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
			Decode: uplink.DecodeRecords, Order: order, MaxRecords: 40, Fresh: time.Second,
			Quarantine: func(_ spool.Entry, r *uplink.Record, _ error) {
				if r != nil {
					quarantined[r.Sequence] = true
				}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- f.Run(ctx) }()
		if life < 29 {
			for range 20 {
				appendSome()
				time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
			}
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			balance(t, f.Stats())
			queue.Crash()
			continue
		}
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		balance(t, f.Stats())
		cancel()
	}
	if pending := queue.Pending(nil); pending != nil {
		t.Errorf("pending: %v", pending)
	}
	arrived := make(map[uint64]bool)
	for _, key := range sink.Sent() {
		arrived[key.Sequence] = true
	}
	for s := uint64(1); s <= sequence; s++ {
		switch {
		case poison(s) != quarantined[s]:
			t.Fatalf("record %d: poison %t, quarantined %t", s, poison(s), quarantined[s])
		case !poison(s) && !arrived[s]:
			t.Fatalf("record %d of %d has never arrived", s, sequence)
		}
	}
}
