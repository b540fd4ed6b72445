package mqtt_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"milepost/uplink"
	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/mosquitto"
	"milepost/uplink/uplinktest/proxy"
)

// rig is a mosquitto with a subscriber that has a persistent session, a link to
// it, and a queue of entries to be forwarded.
type rig struct {
	t          *testing.T
	broker     *mosquitto.Broker
	link       *proxy.Proxy
	subscriber *subscriber
	queue      *uplinktest.Queue
	records    uint64
	forwarder  *uplink.Forwarder
}

// patience is for what must happen soon, on whatever machine.
const patience = 30 * time.Second

func startMosquitto(t *testing.T, o mosquitto.Options) *mosquitto.Broker {
	t.Helper()
	if testing.Short() {
		t.Skip("tests with a real broker take their time: make brokers runs them")
	}
	o.Dir = t.TempDir()
	b, err := mosquitto.Start(o)
	if errors.Is(err, mosquitto.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Kill()
		if t.Failed() {
			t.Logf("mosquitto:\n%s", b.Log())
		}
	})
	return b
}

// newRig makes a rig whose link leads to one of the broker's addresses, and
// fills the queue: each entry stands for 50 records.
func newRig(t *testing.T, o mosquitto.Options, entries int) *rig {
	t.Helper()
	broker := startMosquitto(t, o)
	r := &rig{t: t, broker: broker, queue: uplinktest.NewQueue()}
	r.subscriber = subscribe(t, broker.Addr, "watcher", "milepost/+/records")
	if err := broker.Save(t.Context()); err != nil { // with the subscriber's session
		t.Fatal(err)
	}
	r.connect(broker.Addr)
	for range entries {
		r.queue.Append(binary.AppendUvarint(nil, r.records+1), 0)
		r.records += perEntry
	}
	r.queue.End()
	return r
}

const perEntry = 50

// connect makes the link lead to another address.
func (r *rig) connect(addr string) {
	r.t.Helper()
	link, err := proxy.Start(addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { link.Close() })
	r.link = link
}

func (r *rig) sink(o mqtt.Options) *mqtt.Sink {
	r.t.Helper()
	if o.URL == "" {
		o.URL = "mqtt"
	}
	o.URL += "://" + r.link.Addr()
	o.MaxPayload = max(o.MaxPayload, 4000)
	sink, err := mqtt.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { sink.Close() })
	return sink
}

// forward starts a Forwarder. Its poison is what makes a record of a sequence.
func (r *rig) forward(sink uplink.Sink, o uplink.ForwarderOptions, poison map[uint64]func(*uplink.Record)) <-chan error {
	o.Decode = func(payload []byte, dst []uplink.Record) ([]uplink.Record, error) {
		first, _ := binary.Uvarint(payload)
		records := uplinktest.Records(first, perEntry)
		for i := range records {
			if change := poison[records[i].Sequence]; change != nil {
				change(&records[i])
			}
		}
		return append(dst, records...), nil
	}
	o.MaxRecords, o.MinBackoff, o.MaxBackoff = 1000, 5*time.Millisecond, 100*time.Millisecond
	r.forwarder = uplink.NewForwarder(r.queue, sink, o)
	result := make(chan error, 1)
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*patience)
	go func() {
		defer cancel()
		result <- r.forwarder.Run(ctx)
	}()
	return result
}

// drain runs everything to its end while fault does its worst, and checks that
// the counters balance and that the subscriber has each record.
func (r *rig) drain(sink uplink.Sink, poison map[uint64]func(*uplink.Record), fault func()) {
	r.t.Helper()
	result := r.forward(sink, uplink.ForwarderOptions{}, poison)
	if fault != nil {
		fault()
	}
	if err := <-result; err != nil {
		r.t.Fatalf("%v; %+v", err, r.forwarder.Stats())
	}
	if err := sink.Close(); err != nil {
		r.t.Error(err)
	}
	s := r.forwarder.Stats()
	if s.Records != r.records || s.Sent+s.Poisoned != s.Records || s.Poisoned != uint64(len(poison)) || s.Pending != 0 || s.Entries != s.Acknowledged {
		r.t.Errorf("the counters do not balance: %d records, %d of them poison, are queued: %+v", r.records, len(poison), s)
	}
	r.subscriber.await(r.t, int(r.records)-len(poison))
	for sequence := range poison {
		if r.subscriber.has(sequence) {
			r.t.Errorf("poison %d was delivered", sequence)
		}
	}
	r.t.Logf("%d records, %d arrivals, %d failures, %d poisoned", r.records, r.subscriber.arrivals(), s.Failures, s.Poisoned)
}

// failures waits until the Forwarder has failed so often.
func (r *rig) failures(n uint64) {
	r.t.Helper()
	await(r.t, fmt.Sprintf("%d failures", n), func() bool { return r.forwarder.Stats().Failures >= n })
}

// await polls a condition that comes true by itself.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// subscriber gets what is published, over broker restarts.
type subscriber struct {
	client paho.Client

	mu       sync.Mutex
	messages []received
	keys     map[uplink.Key]int
	markers  int
}

type received struct {
	topic, payload string
	retained       bool
}

func (m received) String() string {
	return fmt.Sprintf("%s %s (retained %t)", m.topic, m.payload, m.retained)
}

// subscribe connects with a persistent session, or without one if id is empty.
func subscribe(t *testing.T, addr, id, filter string) *subscriber {
	t.Helper()
	s := &subscriber{keys: make(map[uplink.Key]int)}
	s.client = paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).
		SetClientID(id).SetCleanSession(id == "").SetOrderMatters(true).
		SetMaxReconnectInterval(100 * time.Millisecond).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { s.take(t, m) })) // also of a session that is resumed
	if token := s.client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("subscriber: %v", token.Error())
	}
	t.Cleanup(func() { s.client.Disconnect(100) })
	if token := s.client.Subscribe(filter, 1, nil); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("subscribe: %v", token.Error())
	}
	return s
}

func (s *subscriber) take(t *testing.T, m paho.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, received{m.Topic(), string(m.Payload()), m.Retained()})
	if m.Topic() == markerTopic {
		s.markers++
		return
	}
	if strings.HasSuffix(m.Topic(), "/records") {
		for _, r := range decode(t, mqtt.Options{}, m.Payload()) {
			s.keys[r.Key()]++
		}
	}
}

const markerTopic = "milepost/marker/records"

// catchUp waits until the subscriber has what the broker had acknowledged before,
// if the broker hands messages on in their order.
func (s *subscriber) catchUp(t *testing.T) {
	t.Helper()
	markers := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.markers
	}
	before := markers()
	if token := s.client.Publish(markerTopic, 1, false, "marker"); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("marker: %v", token.Error())
	}
	await(t, "the marker", func() bool { return markers() > before })
}

// await waits until n different records have come.
func (s *subscriber) await(t *testing.T, n int) {
	t.Helper()
	got := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.keys)
	}
	for deadline := time.Now().Add(patience); got() < n; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the subscriber has %d of %d records", got(), n)
		}
	}
}

func (s *subscriber) has(sequence uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[uplink.Key{Device: uplinktest.Device, Boot: uplinktest.Boot, Sequence: sequence}] > 0
}

func (s *subscriber) arrivals() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.keys {
		n += times
	}
	return n
}

// received is the messages of a topic so far.
func (s *subscriber) received(topic string) (messages []received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.topic == topic {
			messages = append(messages, m)
		}
	}
	return messages
}
