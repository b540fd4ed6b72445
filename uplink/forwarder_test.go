package uplink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
)

// fill puts records into a queue, n entries of m each, and ends it.
func fill(q *uplinktest.Queue, n, m int) []uplink.Record {
	records := uplinktest.Records(1, n*m)
	for i := range n {
		q.Append(uplink.Protobuf.Append(nil, records[i*m:(i+1)*m]), 0)
	}
	q.End()
	return records
}

// balance checks what ForwarderStats promises.
func balance(t *testing.T, s uplink.ForwarderStats) {
	t.Helper()
	if s.Records != s.Sent+s.Poisoned+s.Pending {
		t.Errorf("%d records != %d sent + %d poisoned + %d pending", s.Records, s.Sent, s.Poisoned, s.Pending)
	}
	if s.Pending == 0 && s.Entries != s.Acknowledged {
		t.Errorf("%d entries, %d acknowledged, but nothing is pending", s.Entries, s.Acknowledged)
	}
}

// delivered checks that the sink has the records, in order but for repeats.
func delivered(t *testing.T, sink interface{ Sent() []uplink.Key }, want []uplink.Record) {
	t.Helper()
	seen := make(map[uplink.Key]bool)
	var first []uplink.Key
	for _, key := range sink.Sent() {
		if !seen[key] {
			seen[key] = true
			first = append(first, key)
		}
	}
	if len(first) != len(want) {
		t.Fatalf("%d records arrived, want %d", len(first), len(want))
	}
	for i := range want {
		if first[i] != want[i].Key() {
			t.Fatalf("record %d is %s, want %s", i, first[i], want[i].Key())
		}
	}
}

func TestForwarder(t *testing.T) {
	queue := uplinktest.NewQueue()
	records := fill(queue, 10, 7)
	sink := new(uplinktest.MemorySink)
	done, highest := 0, uint64(0)
	f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
		Decode: uplink.DecodeRecords, MaxRecords: 20,
		Done: func(class string, n int, sequence uint64) {
			if entries, _ := queue.Acked(); class != "records" || entries*7 != done || sequence != uint64(done+n) {
				t.Errorf("%d records up to %d of class %q are done with behind %d, of which %d are acknowledged", n, sequence, class, done, entries*7)
			}
			done, highest = done+n, sequence
		},
		Note: func() []byte { return fmt.Append(nil, len(sink.Sent())) },
	})
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	delivered(t, sink, records)
	if sink.Sends() != 4 { // entries of 7: 21, 21, 21, 7
		t.Errorf("%d sends, want 4", sink.Sends())
	}
	if done != 70 || highest != records[69].Sequence {
		t.Errorf("%d records are done with, up to %d", done, highest)
	}
	if entries, note := queue.Acked(); entries != 10 || note != "70" {
		t.Errorf("acknowledged are %d entries with the note %q, want 10 and 70", entries, note)
	}
	s := f.Stats()
	balance(t, s)
	if s.Sent != 70 || s.Acknowledged != 10 || !s.Up || s.Delivered != records[69].Start+records[69].Duration {
		t.Errorf("stats: %+v", s)
	}
}

// TestOutage has a sink that is down for ten minutes.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := uplinktest.NewQueue()
		records := fill(queue, 3, 5)
		begin := time.Now()
		var calls []time.Duration
		sink := &uplinktest.FlakySink{Partial: 3, Fail: func(int, []uplink.Record) error {
			calls = append(calls, time.Since(begin))
			if time.Since(begin) < 10*time.Minute {
				return errors.New("broker 10.0.0.1:1883: no route to host")
			}
			return nil
		}}
		var log bytes.Buffer
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
			Name: "mqtt", Decode: uplink.DecodeRecords, MaxRecords: 1,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		go func() {
			time.Sleep(5 * time.Minute)
			if s := f.Stats(); s.Up || s.Pending != 5 || s.LastError == "" || s.Outages != 1 {
				t.Errorf("in the outage: %+v", s)
			}
		}()
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		delivered(t, sink, records)
		s := f.Stats()
		balance(t, s)
		if s.Failures < 20 || s.Failures > 200 {
			t.Errorf("%d tries in ten minutes, want about 40", s.Failures)
		}
		for i := 1; i < len(calls); i++ {
			if pause := calls[i] - calls[i-1]; pause > 30*time.Second || i <= 8 && pause > 100*time.Millisecond<<(i-1) {
				t.Errorf("pause %d: %v", i, pause)
			}
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 {
			t.Errorf("logged %d lines, want down and up:\n%s", lines, log.String())
		}
	})
}

func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := uplinktest.NewQueue()
		records := fill(queue, 3, 5)
		broken := true
		sink := &uplinktest.FlakySink{Fail: func(int, []uplink.Record) error {
			if broken {
				return errors.New("kafka 10.0.0.1:9092: connection refused")
			}
			return nil
		}}
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Name: "kafka", Decode: uplink.DecodeRecords, GiveUp: time.Minute})
		begin := time.Now()
		err := f.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "15 records") || !strings.Contains(err.Error(), "10.0.0.1:9092") {
			t.Errorf("Run: %v, want an error with the cause and what is left", err)
		}
		if after := time.Since(begin); after < time.Minute || after > time.Minute+time.Second {
			t.Errorf("given up after %v", after)
		}
		balance(t, f.Stats())

		broken = false // the next Run begins where this one got stuck
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		delivered(t, sink, records)
		balance(t, f.Stats())
	})
}

func TestReceiverGone(t *testing.T) {
	queue := uplinktest.NewQueue()
	fill(queue, 1, 5)
	sink := &uplinktest.FlakySink{Fail: func(int, []uplink.Record) error {
		return fmt.Errorf("standard output: %w", uplink.ErrGone)
	}}
	f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords})
	if err := f.Run(t.Context()); !errors.Is(err, uplink.ErrGone) {
		t.Errorf("Run: %v, want %v", err, uplink.ErrGone)
	}
	if sink.Calls() != 1 {
		t.Errorf("%d tries, want 1", sink.Calls())
	}
}

// TestPoison has receivers that refuse some records for good, and say which, or
// don't.
func TestPoison(t *testing.T) {
	for _, named := range []bool{true, false} {
		for _, poison := range []map[uint64]bool{
			{1: true}, {50: true}, {7: true, 8: true, 33: true}, {},
			func() map[uint64]bool {
				most := make(map[uint64]bool)
				for i := range uint64(50) {
					most[i+1] = i != 30
				}
				delete(most, 31)
				return most
			}(),
		} {
			t.Run(fmt.Sprintf("named=%t,%d of 50", named, len(poison)), func(t *testing.T) {
				queue := uplinktest.NewQueue()
				var good []uplink.Record
				for _, r := range fill(queue, 10, 5) {
					if !poison[r.Sequence] {
						good = append(good, r)
					}
				}
				sink := &uplinktest.FlakySink{Fail: func(_ int, records []uplink.Record) error {
					var at []int
					for i := range records {
						if poison[records[i].Sequence] {
							at = append(at, i)
						}
					}
					switch {
					case at == nil:
						return nil
					case named:
						return uplink.Permanent(errors.New("too large"), at...)
					}
					return uplink.Permanent(errors.New("too large"))
				}}
				quarantined := make(map[uint64]bool)
				f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
					Decode: uplink.DecodeRecords,
					Quarantine: func(entry spool.Entry, r *uplink.Record, cause error) {
						if entry.Index != (r.Sequence-1)/5+1 {
							t.Errorf("record %d is said to be from entry %d", r.Sequence, entry.Index)
						}
						quarantined[r.Sequence] = true
					},
				})
				if err := f.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				delivered(t, sink, good)
				if fmt.Sprint(quarantined) != fmt.Sprint(poison) {
					t.Errorf("quarantined %v, want %v", quarantined, poison)
				}
				s := f.Stats()
				balance(t, s)
				if s.Poisoned != uint64(len(poison)) {
					t.Errorf("%d poisoned, want %d", s.Poisoned, len(poison))
				}
			})
		}
	}
}

func TestUndecodableAndMissing(t *testing.T) {
	queue := uplinktest.NewQueue()
	records := uplinktest.Records(1, 6)
	queue.Append(uplink.Protobuf.Append(nil, records[:3]), 0)
	queue.Append([]byte("not a record"), 4)
	queue.Append(uplink.Protobuf.Append(nil, records[3:]), 2)
	queue.End()
	sink := new(uplinktest.MemorySink)
	var quarantined []uint64
	f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
		Decode: uplink.DecodeRecords,
		Quarantine: func(entry spool.Entry, r *uplink.Record, cause error) {
			if r != nil || cause == nil {
				t.Errorf("record %v, cause %v", r, cause)
			}
			quarantined = append(quarantined, entry.Index)
		},
	})
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	delivered(t, sink, records)
	s := f.Stats()
	balance(t, s)
	if s.Undecodable != 1 || s.Missing != 6 || s.Acknowledged != 3 || fmt.Sprint(quarantined) != "[6]" {
		t.Errorf("quarantined %v, stats %+v", quarantined, s)
	}
}

// TestLive has entries that come one by one and a slow sink: what has come
// meanwhile goes out together.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := uplinktest.NewQueue()
		sink := &uplinktest.SlowSink{RoundTrip: 50 * time.Millisecond}
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords})
		records := uplinktest.Records(1, 100)
		go func() {
			for i := range records {
				if i == len(records)/2 {
					// Behind entries that were read it ends a group and counts with the
					// next one, where a disk fails again.
					queue.FailNext(errors.New("input/output error"))
					queue.FailNext(errors.New("input/output error"))
				}
				queue.Append(uplink.Protobuf.Append(nil, records[i:i+1]), 0)
				time.Sleep(10 * time.Millisecond)
			}
			queue.End()
		}()
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		delivered(t, sink, records)
		s := f.Stats()
		balance(t, s)
		if sink.Sends() > 25 {
			t.Errorf("%d sends for 100 entries in a second at 50 ms each", sink.Sends())
		}
		if s.QueueFailures < 1 || s.QueueFailures > 2 {
			t.Errorf("%d failures of the queue, want 1 or 2", s.QueueFailures)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := uplinktest.NewQueue()
		records := fill(queue, 4, 5)
		sink := &uplinktest.SlowSink{RoundTrip: time.Second}
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, MaxRecords: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		if err := f.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Run: %v, want %v", err, context.DeadlineExceeded)
		}
		if entries, _ := queue.Acked(); entries != 2 {
			t.Errorf("%d entries are acknowledged, want 2", entries)
		}
		balance(t, f.Stats())
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		delivered(t, sink, records)
		balance(t, f.Stats())
	})
}
