package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/kafka"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/kafkabroker"
	"milepost/uplink/uplinktest/kafkaserver"
	"milepost/uplink/uplinktest/proxy"
)

var _ uplink.Transactional = (*kafka.TransactionalSink)(nil)

// TestPlainSinkIsNotTransactional: who asks a Sink for its position must not get
// one that nothing was committed with.
func TestPlainSinkIsNotTransactional(t *testing.T) {
	var sink uplink.Sink = new(kafka.Sink)
	if _, ok := sink.(uplink.Transactional); ok {
		t.Error("a Sink without transactions is an uplink.Transactional")
	}
}

func TestTransactionalContract(t *testing.T) {
	uplinktest.TestSink(t, func(t *testing.T) uplinktest.Harness {
		broker, link := start(t, kafkabroker.Options{})
		sink, err := kafka.NewTransactional(
			kafka.Options{
				URL: "kafka://" + link.Addr(), Encoding: uplink.Protobuf, Compression: "none",
				DialTimeout: time.Second, AckTimeout: 500 * time.Millisecond,
			},
			kafka.TransactionOptions{ID: "milepost-van-17-kafka"})
		if err != nil {
			t.Fatal(err)
		}
		return uplinktest.Harness{
			Sink:     sink,
			Address:  link.Addr(),
			Received: func() []uplink.Record { return committedIn(t, uplink.Protobuf, broker.Addr(), "milepost.records") },
			Break:    link.Cut, Heal: link.Heal, BreakAfter: link.CutAfter, Stall: link.Stall,
			Poison:     func(sequence uint64) uplink.Record { return long(sequence, 1<<20) },
			Goroutines: []string{"franz-go/pkg/kgo.", "milepost/uplink/kafka."},
		}
	})
}

// committed are the records that a read-committed consumer sees.
func committed(t *testing.T, address, topic string) []uplink.Record {
	t.Helper()
	return committedIn(t, uplink.JSON, address, topic)
}

func committedIn(t *testing.T, encoding uplink.Encoding, address, topic string) []uplink.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	messages, err := kafkaserver.ReadCommitted(ctx, address, topic)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, messages, encoding)
}

func transactional(t *testing.T, address, id string) *kafka.TransactionalSink {
	t.Helper()
	sink, err := kafka.NewTransactional(kafka.Options{URL: "kafka://" + address, AckTimeout: 3 * time.Second}, kafka.TransactionOptions{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// testPositions is what a Transactional promises about positions.
func testPositions(t *testing.T, link *proxy.Proxy, reader string) {
	address := link.Addr()
	ask := func(sink *kafka.TransactionalSink, queue string) []byte {
		t.Helper()
		position, err := sink.Position(t.Context(), queue)
		if err != nil {
			t.Fatal(err)
		}
		return position
	}
	long := bytes.Repeat([]byte{0, 0xff, '"'}, 1000)
	first := transactional(t, address, "positions")
	if position := ask(first, "live"); position != nil {
		t.Errorf("the position is %q before anything was committed", position)
	}
	for i, position := range [][]byte{[]byte("one"), {}, long} {
		if err := first.SendAt(t.Context(), uplinktest.Records(uint64(i)*10+1, 10), "live", position); err != nil {
			t.Fatal(err)
		}
		if got := ask(first, "live"); got == nil || !bytes.Equal(got, position) {
			t.Errorf("the position is %.10q, want %.10q", got, position)
		}
	}
	if position := ask(first, "backlog"); position != nil {
		t.Errorf("another queue has the position %q", position)
	}
	if err := first.SendAt(t.Context(), nil, "live", []byte("no records")); err != nil {
		t.Fatal(err)
	}
	if err := first.SendAt(t.Context(), nil, "backlog", []byte("none here")); err != nil {
		t.Fatal(err)
	}
	if err := first.SendAt(t.Context(), nil, "live", append(long, 0)); err == nil {
		t.Error("a position that is too long was taken")
	}

	// A second process of the same identity ends the first.
	second := transactional(t, address, "positions")
	if got := ask(second, "live"); string(got) != "no records" {
		t.Errorf("the second sink finds the position %.10q", got)
	}
	if got := ask(second, "backlog"); string(got) != "none here" {
		t.Errorf("the second sink finds the position %.10q of the other queue", got)
	}
	err := first.SendAt(t.Context(), uplinktest.Records(1001, 10), "live", []byte("zombie"))
	if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), "same transactional ID") {
		t.Errorf("the first sink is fenced, and SendAt says: %v", err)
	}
	if err := first.SendAt(t.Context(), uplinktest.Records(1001, 10), "live", []byte("zombie")); err == nil || !strings.Contains(err.Error(), "ask for the position") {
		t.Errorf("SendAt after an error: %v, want to be told to ask for the position", err)
	}
	if err := first.SendAt(t.Context(), uplinktest.Records(1001, 10), "backlog", []byte("zombie")); err == nil || !strings.Contains(err.Error(), "ask for the position") {
		t.Errorf("SendAt of another queue after an error: %v, want to be told to ask for the position", err)
	}
	if err := second.SendAt(t.Context(), uplinktest.Records(31, 10), "live", []byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := second.SendAt(t.Context(), nil, "backlog", []byte("moved")); err != nil {
		t.Fatal(err)
	}

	// The first comes back. What it knew of the other queue is out of date.
	if got := ask(first, "live"); string(got) != "last" {
		t.Errorf("the first sink then finds the position %.10q", got)
	}
	err = first.SendAt(t.Context(), uplinktest.Records(1001, 10), "backlog", []byte("zombie"))
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("SendAt from a position that is no longer: %v", err)
	}
	ask(first, "live")
	ask(first, "backlog")
	link.Cut()
	if err := first.SendAt(t.Context(), uplinktest.Records(41, 10), "live", []byte("cut")); err == nil {
		t.Error("SendAt over a link that is cut succeeded")
	}
	link.Heal()
	if got := ask(first, "live"); string(got) != "last" {
		t.Errorf("after the cut the position is %.10q", got)
	}
	if err := first.SendAt(t.Context(), uplinktest.Records(41, 10), "backlog", []byte("goes on")); err != nil {
		t.Errorf("SendAt of a queue that had nothing to do with the cut: %v", err)
	}
	records := committed(t, reader, "milepost.records")
	if len(records) != 50 {
		t.Fatalf("%d records are committed, want 50", len(records))
	}
	for i := range records {
		if records[i].Sequence != uint64(i)+1 {
			t.Fatalf("record %d has the sequence %d", i, records[i].Sequence)
		}
	}
}

// TestPositions has brokers of both kinds of transactions (KIP-890).
func TestPositions(t *testing.T) {
	for _, old := range []bool{false, true} {
		broker, link := start(t, kafkabroker.Options{Old: old})
		testPositions(t, link, broker.Addr())
	}
}

// TestCancelledTransaction: what was cancelled may have been committed or not, and the
// position says which.
func TestCancelledTransaction(t *testing.T) {
	broker, link := start(t, kafkabroker.Options{})
	sink := transactional(t, link.Addr(), "cancelled")
	if _, err := sink.Position(t.Context(), "live"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	link.Stall()
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := sink.SendAt(ctx, uplinktest.Records(1, 100), "live", []byte("100")); !errors.Is(err, context.Canceled) {
		t.Fatalf("SendAt: %v, want %v", err, context.Canceled)
	}
	link.Heal()
	position, err := sink.Position(t.Context(), "live")
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	if position != nil {
		want = 100
	}
	if got := committed(t, broker.Addr(), "milepost.records"); len(got) != want {
		t.Errorf("the position is %q, and %d records are committed", position, len(got))
	}
}

func TestTransactionalOptions(t *testing.T) {
	for _, c := range []struct {
		o    kafka.TransactionOptions
		want string // in the error
	}{
		{kafka.TransactionOptions{}, "needs a transactional ID"},
		{kafka.TransactionOptions{ID: "a", Topic: "{device}"}, "cannot be one"},
		{kafka.TransactionOptions{ID: "a", Topic: "a b"}, "cannot be one"},
	} {
		if _, err := kafka.NewTransactional(kafka.Options{URL: "kafka://broker"}, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}
