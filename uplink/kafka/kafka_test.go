package kafka_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"milepost/uplink"
	"milepost/uplink/kafka"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/kafkabroker"
	"milepost/uplink/uplinktest/proxy"
)

func TestContract(t *testing.T) {
	for _, c := range []struct {
		name string
		o    kafka.Options
	}{
		{"json, zstd", kafka.Options{}},
		{"otlp, lz4", kafka.Options{Encoding: uplink.OTLP, Compression: "lz4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			uplinktest.TestSink(t, func(t *testing.T) uplinktest.Harness { return harness(t, c.o) })
		})
	}
}

func start(t *testing.T, o kafkabroker.Options) (*kafkabroker.Broker, *proxy.Proxy) {
	t.Helper()
	o.Dir = t.TempDir()
	broker, err := kafkabroker.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Stop() })
	link, err := proxy.Start(broker.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	if err := broker.Advertise(link.Addr()); err != nil {
		t.Fatal(err)
	}
	return broker, link
}

func harness(t *testing.T, o kafka.Options) uplinktest.Harness {
	broker, link := start(t, kafkabroker.Options{})
	o.URL = "kafka://" + link.Addr()
	// Where the link is cut, a third of it has to pass each time.
	o.AckTimeout = 2 * time.Second
	hasty := o
	hasty.DialTimeout, hasty.AckTimeout = time.Second, 500*time.Millisecond
	newSink := func(t *testing.T, o kafka.Options) uplink.Sink {
		sink, err := kafka.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return sink
	}
	return uplinktest.Harness{
		Sink:     newSink(t, o),
		Hasty:    func(t *testing.T) uplink.Sink { return newSink(t, hasty) },
		Address:  link.Addr(),
		Received: func() []uplink.Record { return received(t, broker, o.Encoding, "milepost.records") },
		Break:    link.Cut, Heal: link.Heal, BreakAfter: link.CutAfter, Stall: link.Stall,
		Poison:     func(sequence uint64) uplink.Record { return long(sequence, 1<<20) },
		KeysOnly:   o.Encoding == uplink.OTLP,
		Goroutines: []string{"franz-go/pkg/kgo.", "milepost/uplink/kafka."},
	}
}

// long makes a record of n bytes that do not compress to nothing.
func long(sequence uint64, n int) uplink.Record {
	var name strings.Builder
	for i := uint32(0); name.Len() < n; i++ {
		fmt.Fprintf(&name, "%08x", i*2654435761)
	}
	r := uplinktest.Records(sequence, 1)[0]
	group := *r.Group
	group.Name = name.String()
	r.Group = &group
	return r
}

// TestSmallLimit has a broker that takes less than Kafka does by default: within
// one Send the sink learns how large a batch may be, and which messages are too
// large for any.
func TestSmallLimit(t *testing.T) {
	for _, encoding := range []uplink.Encoding{uplink.JSON, uplink.OTLP} {
		broker, link := start(t, kafkabroker.Options{Config: map[string]string{"message.max.bytes": "20000"}})
		sink, err := kafka.New(kafka.Options{URL: "kafka://" + link.Addr(), Compression: "none", Encoding: encoding})
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		if err := sink.Send(t.Context(), uplinktest.Records(1, 500)); err != nil {
			t.Fatal(err)
		}
		poisoned := append(uplinktest.Records(501, 3), long(504, 50_000))
		poisoned = append(poisoned, uplinktest.Records(505, 2)...)
		poisoned = append(poisoned, long(507, 30_000))
		if err := sink.Send(t.Context(), poisoned); fmt.Sprint(uplink.Poisoned(err)) != "[3 6]" {
			t.Fatalf("%v: Send with messages of 50 and 30 kB: %v, want a permanent error that names both", encoding, err)
		}
		if err := sink.Send(t.Context(), slices.Concat(poisoned[:3], poisoned[4:6])); err != nil {
			t.Fatal(err)
		}
		seen := make(map[uplink.Key]bool)
		for _, r := range received(t, broker, encoding, "milepost.records") {
			seen[r.Key()] = true
		}
		if len(seen) != 505 {
			t.Errorf("%v: received %d records, want 505", encoding, len(seen))
		}
	}
}

func received(t *testing.T, broker *kafkabroker.Broker, encoding uplink.Encoding, topic string) (records []uplink.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	messages, err := broker.Messages(ctx, topic)
	if err != nil {
		t.Error(err)
	}
	return decode(t, messages, encoding)
}

// decode reads messages, and checks their keys and headers.
func decode(t *testing.T, messages []*kgo.Record, encoding uplink.Encoding) (records []uplink.Record) {
	t.Helper()
	for _, m := range messages {
		var of []uplink.Record
		var err error
		switch encoding {
		case uplink.OTLP:
			of, err = uplink.DecodeOTLP(m.Value, nil)
			slices.SortFunc(of, func(a, b uplink.Record) int { return cmp.Compare(a.Sequence, b.Sequence) })
		case uplink.Protobuf:
			of = make([]uplink.Record, 1)
			of[0], err = uplink.DecodeRecord(m.Value)
		default:
			of = make([]uplink.Record, 1)
			of[0], err = uplink.DecodeJSON(m.Value)
		}
		if err != nil || len(of) == 0 {
			t.Fatalf("message of %d records: %v", len(of), err)
		}
		headers := make(map[string]string)
		for _, h := range m.Headers {
			headers[h.Key] = string(h.Value)
		}
		if string(m.Key) != of[0].Device || headers["boot"] != of[0].Boot.String() || headers["seq"] != strconv.FormatUint(of[0].Sequence, 10) {
			t.Fatalf("message of %s has key %q and headers %v", of[0].Key(), m.Key, headers)
		}
		records = append(records, of...)
	}
	return records
}

func TestUnknownTopic(t *testing.T) {
	broker, link := start(t, kafkabroker.Options{NoAutoCreation: true})
	sink, err := kafka.New(kafka.Options{URL: "kafka://" + link.Addr() + "/drives"})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	err = sink.Send(t.Context(), uplinktest.Records(1, 10))
	if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), "create the topic") {
		t.Fatalf("Send to a topic that is not there: %v", err)
	}
	if err := broker.Cluster().CreateTopic("drives", 3, nil); err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), uplinktest.Records(1, 10)); err != nil {
		t.Fatal(err)
	}
}

// TestSeeds: one broker that does not answer is no reason not to ask the next.
func TestSeeds(t *testing.T) {
	_, link := start(t, kafkabroker.Options{})
	_, silent := start(t, kafkabroker.Options{})
	silent.Stall()
	for _, seeds := range []string{link.Addr() + "," + silent.Addr(), silent.Addr() + "," + link.Addr()} {
		sink, err := kafka.New(kafka.Options{URL: "kafka://" + seeds, DialTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		if err := sink.Send(t.Context(), uplinktest.Records(1, 10)); err != nil {
			t.Error(err)
		}
	}
}

func TestBrokerRestarts(t *testing.T) {
	broker, link := start(t, kafkabroker.Options{})
	sink, err := kafka.New(kafka.Options{URL: "kafka://" + link.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	for i := range uint64(3) {
		if err := sink.Send(t.Context(), uplinktest.Records(i*10+1, 10)); err != nil {
			t.Fatal(err)
		}
		if err := broker.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(received(t, broker, uplink.JSON, "milepost.records")); got < 30 {
		t.Errorf("after the restarts there are %d records, want 30", got)
	}
}
