package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
)

func honest(t *testing.T, sink *uplinktest.PipelinedSink) {
	t.Helper()
	if len(sink.Offences) > 0 || sink.Open() > 0 {
		t.Errorf("%d calls are not waited for; %v", sink.Open(), sink.Offences)
	}
}

// TestPipeline: a group is gathered and begun while one is under way, and arrives
// behind it, whatever fails.
func TestPipeline(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			queue := uplinktest.NewQueue()
			var good []uplink.Record
			poison := func(sequence uint64) bool { return seed > 0 && sequence%97 == 50 }
			for i := range uint64(100) {
				records := uplinktest.Records(1+10*i, 10)
				if random.IntN(10) == 0 {
					queue.Append([]byte("not a record"), uint64(random.IntN(2)))
				}
				queue.Append(uplink.Protobuf.Append(nil, records), 0)
				for _, r := range records {
					if !poison(r.Sequence) {
						good = append(good, r)
					}
				}
			}
			queue.End()
			sink := &uplinktest.PipelinedSink{Fail: func(_ int, records []uplink.Record) error {
				if seed > 0 && random.IntN(5) == 0 {
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
			undecodable := 0
			f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
				Decode: uplink.DecodeRecords, MaxRecords: 30, MinBackoff: 1, MaxBackoff: 1,
				Quarantine: func(_ spool.Entry, r *uplink.Record, _ error) {
					if r == nil {
						undecodable++
					}
				},
			})
			if err := f.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			honest(t, sink)
			delivered(t, sink, good)
			s := f.Stats()
			balance(t, s)
			if sink.Most != 2 || s.Sent != uint64(len(good)) || s.Undecodable != uint64(undecodable) || s.Pending != 0 || queue.Pending(nil) != nil {
				t.Errorf("%d at a time, pending %v: %+v", sink.Most, queue.Pending(nil), s)
			}
		})
	}
}

// TestPipelineBlind has a sink that delivers what began behind a failure: it is
// sent again, behind what had failed.
func TestPipelineBlind(t *testing.T) {
	queue := uplinktest.NewQueue()
	records := fill(queue, 100, 10)
	sink := &uplinktest.PipelinedSink{Blind: true, Fail: func(call int, _ []uplink.Record) error {
		if call%4 == 0 {
			return errors.New("message 1 is lost")
		}
		return nil
	}}
	f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, MaxRecords: 30, MinBackoff: 1, MaxBackoff: 1})
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	honest(t, sink)
	last := make(map[uplink.Key]int)
	for i, key := range sink.Sent() {
		last[key] = i
	}
	for i, r := range records {
		at, ok := last[r.Key()]
		if !ok || i > 0 && at < last[records[i-1].Key()] {
			t.Fatalf("record %d: arrived %t, its last copy before that of the record before", r.Sequence, ok)
		}
	}
	if s := f.Stats(); s.Sent != uint64(len(records)) {
		t.Errorf("%+v", s)
	}
}

// TestPipelineStops while one group is waited for and another one is under way:
// only what is known to have arrived is acknowledged, and the next Run goes on.
func TestPipelineStops(t *testing.T) {
	queue := uplinktest.NewQueue()
	records := fill(queue, 100, 10)
	stops := 0
	var all uplinktest.MemorySink
	for stop := 2; ; stop += 3 {
		ctx, cancel := context.WithCancel(t.Context())
		sink := new(uplinktest.PipelinedSink)
		sink.Waiting = func(call, underway int) {
			if call == stop && underway == 2 {
				stops++
				cancel()
			}
		}
		queue.Seek(0)
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, MaxRecords: 30})
		err := f.Run(ctx)
		cancel()
		honest(t, sink)
		balance(t, f.Stats())
		arrived := uplinktest.Records(1, 0)
		for _, key := range sink.Sent() {
			arrived = append(arrived, records[key.Sequence-1])
		}
		all.Send(t.Context(), arrived)
		if err == nil {
			break
		}
		if s := f.Stats(); !errors.Is(err, context.Canceled) || s.Pending != 0 || s.Entries != s.Acknowledged {
			t.Fatalf("%v: %+v", err, s)
		}
		if acked, _ := queue.Acked(); acked*10 > len(all.Sent()) {
			t.Fatalf("%d entries are acknowledged, %d records arrived", acked, len(all.Sent()))
		}
	}
	if stops < 3 {
		t.Errorf("only %d stops", stops)
	}
	delivered(t, &all, records)
}

// TestPipelineOnlyWhereItMay: live data does not wait behind two groups, what is
// metered is known before more of it is sent, and what was never accepted goes
// step by step.
func TestPipelineOnlyWhereItMay(t *testing.T) {
	for name, o := range map[string]uplink.ForwarderOptions{
		"live":    {Order: uplink.OldestFirst},
		"metered": {Budget: uplink.NewBudget(uplink.BudgetOptions{BytesPerDay: 1 << 30})},
	} {
		queue := uplinktest.NewQueue()
		fill(queue, 100, 10)
		sink := new(uplinktest.PipelinedSink)
		o.Decode, o.MaxRecords = uplink.DecodeRecords, 30
		if err := uplink.NewForwarder(queue, sink, o).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		honest(t, sink)
		if sink.Most != 1 || len(sink.Sent()) != 1000 {
			t.Errorf("%s: %d groups at a time, %d records", name, sink.Most, len(sink.Sent()))
		}
	}
	queue := uplinktest.NewQueue()
	fill(queue, 100, 10)
	sink := &uplinktest.PipelinedSink{Fail: func(call int, _ []uplink.Record) error {
		if call < 200 {
			return uplink.Permanent(errors.New("400 Bad Request"))
		}
		return nil
	}}
	sink.Waiting = func(call, underway int) {
		if call <= 200 && underway > 1 {
			t.Errorf("call %d: %d groups under way", call, underway)
		}
	}
	f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, MaxRecords: 30, MinBackoff: 1, MaxBackoff: 1})
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	honest(t, sink)
	if s := f.Stats(); s.Poisoned != 0 || s.Sent != 1000 {
		t.Errorf("%+v", s)
	}
}
