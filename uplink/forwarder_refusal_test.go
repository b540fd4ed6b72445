package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
)

// refuser refuses what wrong says, by name or as a whole.
type refuser struct {
	uplinktest.MemorySink
	wrong func(sequence uint64) bool
	named bool
	total atomic.Int64 // records that it was given
}

func (s *refuser) Send(ctx context.Context, records []uplink.Record) error {
	var at []int
	for i := range records {
		if s.wrong(records[i].Sequence) {
			at = append(at, i)
		}
	}
	s.total.Add(int64(len(records)))
	switch {
	case len(at) == 0:
		return s.MemorySink.Send(ctx, records)
	case s.named:
		return uplink.Permanent(errors.New("400 Bad Request"), at...)
	}
	return uplink.Permanent(errors.New("400 Bad Request"))
}

// TestRefusesEverything: a receiver that takes nothing is down, whatever it says
// of the records, and each of them is sent when it is put right.
func TestRefusesEverything(t *testing.T) {
	for _, order := range []uplink.Order{uplink.InOrder, uplink.OldestFirst, uplink.NewestFirst} {
		for _, named := range []bool{true, false} {
			t.Run(fmt.Sprintf("order %d, named %t", order, named), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					queue := uplinktest.NewQueue()
					records := fill(queue, 100, 10)
					var broken atomic.Bool
					broken.Store(true)
					sink := &refuser{wrong: func(uint64) bool { return broken.Load() }, named: named}
					quarantined := 0
					f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
						Decode: uplink.DecodeRecords, Order: order,
						Quarantine: func(spool.Entry, *uplink.Record, error) { quarantined++ },
					})
					result := make(chan error, 1)
					go func() { result <- f.Run(t.Context()) }()
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					s := f.Stats()
					balance(t, s)
					if s.Up || s.Poisoned != 0 || quarantined != 0 || s.Failures < 20 || !strings.Contains(s.Cause, "check how the sink") || !strings.Contains(s.Cause, "400 Bad Request") {
						t.Errorf("%d quarantined: %+v", quarantined, s)
					}
					if per := int(sink.total.Load()) / int(max(s.Failures, 1)); order != uplink.InOrder && per > 200 {
						t.Errorf("%d records are sent in vain with each try", per)
					}
					broken.Store(false)
					if err := <-result; err != nil {
						t.Fatal(err)
					}
					s = f.Stats()
					balance(t, s)
					if s.Sent != uint64(len(records)) || quarantined != 0 || !s.Up {
						t.Errorf("%d quarantined: %+v", quarantined, s)
					}
				})
			})
		}
	}
}

// TestRefusesFromThenOn: a receiver that begins to refuse everything costs a
// hundred records and the rest of a group, not the spool.
func TestRefusesFromThenOn(t *testing.T) {
	for _, order := range []uplink.Order{uplink.InOrder, uplink.OldestFirst} {
		for _, named := range []bool{true, false} {
			t.Run(fmt.Sprintf("order %d, named %t", order, named), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					queue := uplinktest.NewQueue()
					records := fill(queue, 100, 10)
					var broken atomic.Bool
					broken.Store(true)
					sink := &refuser{wrong: func(sequence uint64) bool { return broken.Load() && sequence > 305 && sequence < 900 }, named: named}
					f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, Order: order, MaxRecords: 50})
					result := make(chan error, 1)
					go func() { result <- f.Run(t.Context()) }()
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					s := f.Stats()
					balance(t, s)
					if s.Up || s.Poisoned > 150 || s.Failures < 20 {
						t.Errorf("%+v", s)
					}
					broken.Store(false)
					if err := <-result; err != nil {
						t.Fatal(err)
					}
					s = f.Stats()
					balance(t, s)
					distinct := make(map[uplink.Key]bool)
					for _, key := range sink.Sent() {
						distinct[key] = true
					}
					if s.Poisoned > 150 || len(distinct)+int(s.Poisoned) != len(records) {
						t.Errorf("%d records arrived: %+v", len(distinct), s)
					}
				})
			})
		}
	}
}

// TestRefusesOneSignal: the same few records of each window are poison, from the
// first one on. All others get through.
func TestRefusesOneSignal(t *testing.T) {
	for _, order := range []uplink.Order{uplink.InOrder, uplink.OldestFirst} {
		for _, named := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				queue := uplinktest.NewQueue()
				fill(queue, 20, 50)
				queue.End()
				sink := &refuser{wrong: func(sequence uint64) bool { return (sequence-1)%50 < 8 }, named: named}
				f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, Order: order})
				if err := f.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := f.Stats()
				balance(t, s)
				if s.Poisoned != 160 || s.Sent != 840 || len(sink.Sent()) != 840 {
					t.Errorf("order %d, named %t: %d arrived: %+v", order, named, len(sink.Sent()), s)
				}
			})
		}
	}
}

// TestRefusedBacklogHoldsUpNothing: what is new goes out while all of the backlog
// is refused.
func TestRefusedBacklogHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := uplinktest.NewQueue()
		for i := range uint64(100) {
			queue.Append(uplink.Protobuf.Append(nil, uplinktest.Records(1+10*i, 10)), 0)
		}
		sink := &refuser{wrong: func(sequence uint64) bool { return sequence > 5 && sequence <= 990 }}
		ctx, cancel := context.WithCancel(t.Context())
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, Order: uplink.OldestFirst, MaxBackoff: time.Second})
		result := make(chan error, 1)
		go func() { result <- f.Run(ctx) }()
		for i := range uint64(600) {
			time.Sleep(time.Second)
			queue.Append(uplink.Protobuf.Append(nil, uplinktest.Records(1001+i, 1)), 0)
		}
		time.Sleep(5 * time.Second)
		live := make(map[uint64]bool)
		for _, key := range sink.Sent() {
			if key.Sequence > 1000 {
				live[key.Sequence] = true
			}
		}
		s := f.Stats()
		balance(t, s)
		if len(live) != 600 || s.Classes[0].Pending != 0 { // they show that it is the backlog's fault
			t.Errorf("%d of 600 new records got through: %+v", len(live), s)
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestDroppedIsPoison: what the receiver has taken and dropped is never sent again,
// even if that is everything.
func TestDroppedIsPoison(t *testing.T) {
	queue := uplinktest.NewQueue()
	fill(queue, 20, 50)
	queue.End()
	sink := &uplinktest.FlakySink{Fail: func(_ int, records []uplink.Record) error {
		all := make([]int, len(records))
		for i := range all {
			all[i] = i
		}
		return uplink.Dropped(errors.New("too old"), all...)
	}}
	f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords})
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := f.Stats(); s.Poisoned != 1000 || s.Failures != 0 || sink.Calls() != 1 {
		t.Errorf("%d calls: %+v", sink.Calls(), s)
	}
}
