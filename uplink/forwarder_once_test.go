package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
)

// TestExactlyOnce kills the process again and again, at a queue that forgets
// acknowledgements, before a receiver that commits, aborts, loses its answers,
// takes its time, and refuses records.
func TestExactlyOnce(t *testing.T) {
	for _, order := range []uplink.Order{uplink.InOrder, uplink.OldestFirst, uplink.NewestFirst} {
		for seed := range seeds() {
			t.Run(fmt.Sprintf("order=%d,seed=%d", order, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { once(t, order, seed) })
			})
		}
	}
}

func once(t *testing.T, order uplink.Order, seed uint64) {
	random := &dice{random: rand.New(rand.NewPCG(seed, 2))}
	queues := []*uplinktest.Queue{uplinktest.NewQueue(), uplinktest.NewQueue()}
	sequences := []uint64{0, 1_000_000}
	for _, q := range queues {
		q.SyncEvery = 1 + random.IntN(9)
	}
	poison := func(sequence uint64) bool { return sequence%41 == 0 }
	receiver := &uplinktest.Log{
		PositionFails: func() bool { return random.IntN(5) == 0 },
		Next: func(records []uplink.Record) uplinktest.Outcome {
			for i := range records {
				if poison(records[i].Sequence) {
					return uplinktest.Refuse // without saying which
				}
			}
			return uplinktest.Outcome(max(0, random.IntN(8)-4))
		},
	}
	quarantined := make(map[uint64]bool)
	const lives = 25
	for life := range lives {
		o := uplink.ForwarderOptions{
			Decode: uplink.DecodeRecords, Order: order, MaxRecords: 40, Fresh: time.Second, ExactlyOnce: true,
			Quarantine: func(_ spool.Entry, r *uplink.Record, _ error) { quarantined[r.Sequence] = true },
		}
		f := uplink.NewPriorityForwarder([]uplink.Class{{Name: "high", Priority: 1, Queue: queues[0]}, {Name: "low", Queue: queues[1]}},
			&uplinktest.TransactionalSink{Log: receiver}, o)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- f.Run(ctx) }()
		if life == lives-1 {
			for _, q := range queues {
				q.End()
			}
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			balance(t, f.Stats())
			cancel()
			break
		}
		for range 20 {
			at := random.IntN(2)
			n := 1 + random.IntN(8)
			queues[at].Append(uplink.Protobuf.Append(nil, uplinktest.Records(sequences[at]+1, n)), 0)
			sequences[at] += uint64(n)
			time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		balance(t, f.Stats())
		for _, q := range queues {
			q.Crash()
		}
	}
	receiver.Settle()
	if n := receiver.Unasked(); n != 0 {
		t.Errorf("%d times it was sent again without asking for the position", n)
	}
	for _, q := range queues {
		if pending := q.Pending(nil); pending != nil {
			t.Errorf("pending: %v", pending)
		}
	}
	arrived := make(map[uint64]int)
	var last [2]uint64
	for _, key := range receiver.Keys() {
		arrived[key.Sequence]++
		at := 0
		if key.Sequence > 1_000_000 {
			at = 1
		}
		if order == uplink.InOrder && key.Sequence < last[at] {
			t.Errorf("%d was committed after %d", key.Sequence, last[at])
		}
		last[at] = key.Sequence
	}
	for at, first := range []uint64{1, 1_000_001} {
		for s := first; s <= sequences[at]; s++ {
			want := 1
			if poison(s) {
				want = 0
			}
			if arrived[s] != want || quarantined[s] != poison(s) {
				t.Fatalf("record %d arrived %d times, want %d; quarantined %t", s, arrived[s], want, quarantined[s])
			}
		}
	}
}

// TestPartOfAnEntry kills the process when the poison in an entry was found and
// a part of the entry is committed.
func TestPartOfAnEntry(t *testing.T) {
	queue := uplinktest.NewQueue()
	records := uplinktest.Records(1, 16)
	queue.Append(uplink.Protobuf.Append(nil, records[:8]), 0)
	queue.Append(uplink.Protobuf.Append(nil, records[8:]), 0)
	queue.End()
	ctx, cancel := context.WithCancel(t.Context())
	receiver := &uplinktest.Log{}
	receiver.Next = func(records []uplink.Record) uplinktest.Outcome {
		for i := range records {
			if records[i].Sequence == 12 {
				return uplinktest.Refuse
			}
		}
		if records[0].Sequence == 9 {
			defer cancel() // with 9 and 10 committed, in the middle of the second entry
		}
		return uplinktest.Commit
	}
	o := uplink.ForwarderOptions{Decode: uplink.DecodeRecords, ExactlyOnce: true}
	f := uplink.NewForwarder(queue, &uplinktest.TransactionalSink{Log: receiver}, o)
	if err := f.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := len(receiver.Keys()); n != 10 {
		t.Fatalf("%d records are committed, want 10: the test tests nothing", n)
	}
	queue.Crash()
	f = uplink.NewForwarder(queue, &uplinktest.TransactionalSink{Log: receiver}, o)
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for _, key := range receiver.Keys() {
		got = append(got, key.Sequence)
	}
	if want := "[1 2 3 4 5 6 7 8 9 10 11 13 14 15 16]"; fmt.Sprint(got) != want {
		t.Errorf("committed are %v, want %v", got, want)
	}
	balance(t, f.Stats())
}

// TestExactlyOnceSpool goes through a real spool and its positions.
func TestExactlyOnceSpool(t *testing.T) {
	dir := t.TempDir()
	receiver := &uplinktest.Log{}
	calls := 0
	receiver.Next = func([]uplink.Record) uplinktest.Outcome {
		if calls++; calls%3 == 0 {
			return uplinktest.CommitLost
		}
		return uplinktest.Commit
	}
	records := uplinktest.Records(1, 600)
	for life := range 4 {
		s, err := spool.Open(dir, spool.Options{Sync: spool.SyncNever})
		if err != nil {
			t.Fatal(err)
		}
		for i := life * 150; i < life*150+150; i += 6 {
			if _, err := s.Append(uplink.Protobuf.Append(nil, records[i:i+6])); err != nil {
				t.Fatal(err)
			}
		}
		// A new cursor every time: the position is only where the records are.
		cursor, err := s.Cursor(fmt.Sprintf("life-%d", life), spool.Oldest)
		if err != nil {
			t.Fatal(err)
		}
		s.End()
		f := uplink.NewForwarder(cursor, &uplinktest.TransactionalSink{Log: receiver}, uplink.ForwarderOptions{
			Decode: uplink.DecodeRecords, ExactlyOnce: true, MaxRecords: 40, Order: uplink.Order(life % 3), MinBackoff: time.Microsecond,
		})
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		balance(t, f.Stats())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[uplink.Key]bool)
	for _, key := range receiver.Keys() {
		if seen[key] {
			t.Fatalf("%s is committed twice", key)
		}
		seen[key] = true
	}
	if len(seen) != len(records) {
		t.Errorf("%d of %d records are committed", len(seen), len(records))
	}
}

func TestNotTransactional(t *testing.T) {
	f := uplink.NewForwarder(uplinktest.NewQueue(), new(uplinktest.MemorySink), uplink.ForwarderOptions{Name: "mqtt", Decode: uplink.DecodeRecords, ExactlyOnce: true})
	if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "mqtt") {
		t.Errorf("Run: %v, want an error that says that the sink has no transactions", err)
	}
}
