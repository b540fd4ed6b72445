package uplink_test

import (
	"testing"
	"testing/synctest"
	"time"

	"milepost/uplink"
	"milepost/uplink/uplinktest"
)

// TestBacklogRate drains a backlog at 2,000 bytes a second over a link that
// carries more.
func TestBacklogRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJourney(t)
		j.append(1200) // 600,000 bytes on the wire
		j.link.SetRate(50_000)
		j.start(uplink.ForwarderOptions{Order: uplink.OldestFirst, Budget: uplink.NewBudget(uplink.BudgetOptions{BytesPerSecond: 2000})})
		start := time.Now()
		time.Sleep(time.Second)
		j.drive(100 * time.Second)
		s := j.f.Stats()
		if sent := 100 * s.Classes[0].Backlog; sent < 195_000 || sent > 210_000 {
			t.Errorf("in 101 s at 2000 bytes/s %d bytes of backlog were sent", sent)
		}
		if s.Traffic != 100*s.Sent || s.Budget.Total != s.Traffic {
			t.Errorf("%d bytes of traffic, %d in the budget, for %d records of 100 bytes", s.Traffic, s.Budget.Total, s.Sent)
		}
		if late := j.latest(start.Add(time.Millisecond)); late > time.Second {
			t.Errorf("live data was up to %v late", late)
		}
		j.check()
		if took := time.Since(start); took < 290*time.Second {
			t.Errorf("600,000 bytes at 2000 bytes/s took %v", took)
		}
	})
}

// TestDailyBudget has two classes and a budget that half a day uses up.
func TestDailyBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Date(2026, 3, 15, 6, 0, 0, 0, time.UTC).Sub(time.Now())) // the bubble begins in 2000
		high, low := newJourney(t), newJourney(t)
		low.next = 1_000_001
		link := &uplinktest.LinkSink{Received: func(r *uplink.Record, at time.Time) {
			if r.Sequence > 1_000_000 {
				low.link.Received(r, at)
			} else {
				high.link.Received(r, at)
			}
		}}
		budget := uplink.NewBudget(uplink.BudgetOptions{BytesPerDay: 100_000, Steps: []uplink.BudgetStep{{Share: .8, Priority: 5}}})
		f := uplink.NewPriorityForwarder([]uplink.Class{{Name: "low", Queue: low.queue}, {Name: "high", Priority: 5, Queue: high.queue}},
			link, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, Order: uplink.OldestFirst, Budget: budget})
		high.f = f
		high.run()
		// Each class has 500 bytes every ten minutes: 72,000 a day.
		feed := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				high.append(1)
				low.append(1)
				time.Sleep(10 * time.Minute)
			}
		}
		feed(13 * time.Hour)
		if got, want := low.arrived(), len(low.appended); got != want || high.arrived() != len(high.appended) {
			t.Errorf("at 78 %% of the budget %d of %d records have arrived", got, want)
		}
		feed(4*time.Hour + 50*time.Minute)
		s := f.Stats()
		if late := len(low.appended) - low.arrived(); late < 100 || high.arrived() != len(high.appended) {
			t.Errorf("beyond 80 %% of the budget, %d records of the lower class are waiting, and %d of %d of the higher one have arrived", late, high.arrived(), len(high.appended))
		}
		if !s.Budget.Restricted || s.Budget.Priority != 5 || s.Budget.DayReset.Sub(time.Now()) > 10*time.Minute {
			t.Errorf("at %v: %+v", time.Now(), s.Budget)
		}
		time.Sleep(12 * time.Minute) // at midnight everything may go again
		if low.arrived() != len(low.appended) || high.arrived() != len(high.appended) {
			t.Errorf("after midnight %d of %d and %d of %d records have arrived", low.arrived(), len(low.appended), high.arrived(), len(high.appended))
		}
		low.queue.End()
		high.queue.End()
		synctest.Wait()
		if err := high.stop(); err != nil {
			t.Error(err)
		}
		balance(t, f.Stats())
	})
}

// TestBudgetExhausted stops an ordered queue, too, and ends with Run.
func TestBudgetExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Date(2026, 3, 15, 20, 0, 0, 0, time.UTC).Sub(time.Now()))
		queue := uplinktest.NewQueue()
		records := fill(queue, 20, 5)
		sink := new(uplinktest.MemorySink) // which counts no traffic
		budget := uplink.NewBudget(uplink.BudgetOptions{BytesPerDay: 5000})
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, MaxRecords: 1, Budget: budget})
		go func() {
			time.Sleep(time.Hour)
			if s := f.Stats(); !s.Budget.Exhausted || s.Traffic < 5000 || s.Traffic > 6500 || len(sink.Sent()) == len(records) {
				t.Errorf("after an hour: %+v", s)
			}
		}()
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := time.Now(); now.Before(time.Date(2026, 3, 16, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("all was sent by %v", now)
		}
		delivered(t, sink, records)
		if s := f.Stats(); s.Traffic != s.Bytes {
			t.Errorf("%d bytes of traffic for %d of payload", s.Traffic, s.Bytes)
		}
	})
}
