package uplink_test

import (
	"context"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/ratio"
)

// batches are entries as the gateway stores them, of n windows each.
func batches(entries, n int) [][]byte {
	vehicle := newSignals()
	encoder := uplink.NewBatchEncoder("van-17", uplinktest.Boot, 1)
	at := time.Unix(1_780_000_000, 0)
	var all [][]byte
	for range entries {
		for range n {
			w := vehicle.window(at)
			encoder.Add(w)
			w.Release()
			at = at.Add(time.Second)
		}
		all = append(all, append([]byte(nil), encoder.Take()...))
	}
	return all
}

// loop is a queue that never ends, of entries that are there again and again.
type loop struct {
	payloads [][]byte
	next     uint64
	ready    chan struct{}
}

func (q *loop) TryNext(dst []byte) (spool.Entry, error) {
	q.next++
	return spool.Entry{Index: q.next, Payload: append(dst[:0], q.payloads[q.next%uint64(len(q.payloads))]...)}, nil
}
func (q *loop) Ready() <-chan struct{}               { return q.ready }
func (q *loop) Seek(uint64)                          {}
func (q *loop) AckSpan(spool.Span, []byte) error     { return nil }
func (q *loop) Advance(spool.Position, []byte) error { return nil }
func (q *loop) Position() spool.Position             { return spool.Position{} }
func (q *loop) Pending(dst []spool.Span) []spool.Span {
	return append(dst, spool.Span{From: q.next + 1, To: 1 << 60})
}

// counting is a sink that counts, and calls a function at each Send.
type counting struct {
	records int
	each    func(records []uplink.Record)
}

func (c *counting) Send(ctx context.Context, records []uplink.Record) error {
	c.records += len(records)
	c.each(records)
	return ctx.Err()
}
func (c *counting) Close() error { return nil }

// pipelined waits for the receiver when it is waited for.
type pipelined struct{ *counting }

func (p pipelined) Begin(ctx context.Context, records []uplink.Record) (wait func() error) {
	return func() error { return p.Send(ctx, records) }
}

// TestForwarderHeap: what a forwarder keeps in memory, with a group in flight,
// whatever the entries are like.
func TestForwarderHeap(t *testing.T) {
	for _, c := range []struct {
		name    string
		windows int
	}{{"a window an entry", 1}, {"batches of 256 KiB", 6}} {
		t.Run(c.name, func(t *testing.T) {
			payloads := batches(8, c.windows)
			for i, order := range []uplink.Order{uplink.InOrder, uplink.OldestFirst, uplink.InOrder} {
				before := heap()
				ctx, cancel := context.WithCancel(t.Context())
				var most uint64
				sends := 0
				sink := &counting{each: func([]uplink.Record) {
					if sends++; sends > 10 {
						most = max(most, heap())
					}
					if sends == 15 {
						cancel()
					}
				}}
				var decoder uplink.BatchDecoder
				var to uplink.Sink = sink
				if i == 2 { // two groups at a time
					to = pipelined{sink}
				}
				f := uplink.NewForwarder(&loop{payloads: payloads}, to, uplink.ForwarderOptions{Decode: decoder.Decode, Order: order})
				f.Run(ctx)
				grown := int64(most) - int64(before)
				t.Logf("order %d: %d bytes with %d records a Send", order, grown, sink.records/sends)
				allowed := int64(4 << 20)
				if order == uplink.InOrder {
					allowed = 6 << 20 // larger groups, for replays
				}
				if grown > allowed {
					t.Errorf("order %d: a forwarder takes %d bytes, %d are allowed", order, grown, allowed)
				}
			}
		})
	}
}

// BenchmarkForwarder is what a record costs on its way through a Forwarder,
// beside decoding the same entries and calling the sink directly.
func BenchmarkForwarder(b *testing.B) {
	payloads := batches(8, 1)
	b.Run("direct", func(b *testing.B) {
		b.ReportAllocs()
		sink := &counting{each: func([]uplink.Record) {}}
		var decoder uplink.BatchDecoder
		var records []uplink.Record
		queue := &loop{payloads: payloads}
		var buffer []byte
		for sink.records < b.N {
			clear(records)
			records = records[:0]
			for len(records) < 10_000 {
				entry, _ := queue.TryNext(buffer)
				buffer = entry.Payload
				var err error
				if records, err = decoder.Decode(entry.Payload, records); err != nil {
					b.Fatal(err)
				}
			}
			sink.Send(b.Context(), records)
		}
	})
	b.Run("forwarder", func(b *testing.B) {
		b.ReportAllocs()
		ctx, cancel := context.WithCancel(b.Context())
		var sink *counting
		sink = &counting{each: func([]uplink.Record) {
			if sink.records >= b.N {
				cancel()
			}
		}}
		var decoder uplink.BatchDecoder
		f := uplink.NewForwarder(&loop{payloads: payloads}, sink, uplink.ForwarderOptions{Decode: decoder.Decode})
		f.Run(ctx)
	})
}

// TestClassesHeap: what three spools and a forwarder take together is within 8 MiB.
func TestClassesHeap(t *testing.T) {
	for windows := 1; windows <= 2; windows++ {
		grown := classesHeap(t, windows)
		t.Logf("%d bytes with %d windows an entry", grown, windows)
		if grown > 8<<20 {
			t.Errorf("three spools and a forwarder take %d bytes with %d windows an entry, %d are allowed", grown, windows, 8<<20)
		}
	}
}

// BenchmarkHeap is TestClassesHeap in MiB.
func BenchmarkHeap(b *testing.B) {
	for b.Loop() {
		for windows, name := range []string{"MiB with small entries", "MiB with large entries"} {
			ratio.Report(b, name, []float64{float64(classesHeap(b, windows+1)) / (1 << 20)}, ratio.AtMost(8))
		}
	}
	b.ReportMetric(0, "ns/op")
}

// classesHeap is what three spools and the forwarder between them and a sink take
// together, while entries are appended to each and are sent: 43 KiB a window each,
// as the classes of a vehicle share what there would be in one. Those of one window
// are made durable at once, so that they are small groups, which a spool keeps in
// memory for longer.
func classesHeap(t testing.TB, windows int) (grown int64) {
	payloads := batches(8, windows)
	before := heap()
	var classes []uplink.Class
	var queues []*spool.Spool
	for i, name := range []string{"high", "normal", "low"} {
		queue, err := spool.Open(t.TempDir(), spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer queue.Close()
		cursor, err := queue.Cursor("sink", spool.Oldest)
		if err != nil {
			t.Fatal(err)
		}
		defer cursor.Close()
		for n := range 16 { // the backlog
			if _, err := queue.Append(payloads[n%len(payloads)]); err != nil {
				t.Fatal(err)
			}
		}
		queues = append(queues, queue)
		classes = append(classes, uplink.Class{Name: name, Priority: -i, Queue: cursor})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var most uint64
	sends := 0
	sink := &counting{each: func([]uplink.Record) {
		for _, queue := range queues {
			if _, err := queue.Append(payloads[sends%len(payloads)]); err != nil {
				t.Error(err)
			}
			if windows == 1 {
				if err := queue.Sync(); err != nil {
					t.Error(err)
				}
			}
		}
		if sends++; sends > 20 && sends%5 == 0 {
			most = max(most, heap())
		}
		if sends == 60 {
			cancel()
		}
	}}
	var decoder uplink.BatchDecoder
	uplink.NewPriorityForwarder(classes, sink, uplink.ForwarderOptions{Decode: decoder.Decode, Order: uplink.OldestFirst}).Run(ctx)
	grown = int64(most) - int64(before)
	return grown
}
