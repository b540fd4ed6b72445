package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/kafka"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/kafkaserver"
	"milepost/uplink/uplinktest/proxy"
)

// startReal starts a real Kafka behind a link, or skips the test where that is not
// asked for or cannot be.
func startReal(t *testing.T, o kafkaserver.Options) (*kafkaserver.Server, *proxy.Proxy) {
	t.Helper()
	askedFor(t)
	o.Dir = t.TempDir()
	var link *proxy.Proxy
	o.Via = func(target string) (string, error) {
		var err error
		if link, err = proxy.Start(target); err != nil {
			return "", err
		}
		t.Cleanup(func() { link.Close() })
		return link.Addr(), nil
	}
	server, err := kafkaserver.Start(t.Context(), o)
	if errors.Is(err, kafkaserver.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Kill() })
	return server, link
}

func askedFor(t *testing.T) {
	t.Helper()
	if os.Getenv("MILEPOST_KAFKA") == "" {
		t.Skip("a real Kafka is started only with MILEPOST_KAFKA=1 in the environment (it needs java and mvn)")
	}
}

// patience is for what must happen soon, on whatever machine.
const patience = time.Minute

// delivery is a forwarder at work: entries of records go in, a real Kafka gets
// them, and what happens in between is a test's business.
type delivery struct {
	t         *testing.T
	server    *kafkaserver.Server
	queue     *spool.Spool
	forwarder *uplink.Forwarder
	result    chan error
	next      uint64 // sequence
	poison    map[uint64]bool
}

// An entry is the first sequence and the number of its records; those of poison
// are too large for the broker.
func entry(first, n uint64, poison bool) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(nil, first), n)
	if poison {
		b = append(b, 1)
	}
	return b
}

func decodeEntry(payload []byte, dst []uplink.Record) ([]uplink.Record, error) {
	first, n := binary.Uvarint(payload)
	count, m := binary.Uvarint(payload[n:])
	if len(payload) > n+m {
		return append(dst, long(first, 50_000)), nil
	}
	return append(dst, uplinktest.Records(first, int(count))...), nil
}

// deliver starts a delivery to a sink, which it closes in the end.
func deliver(t *testing.T, server *kafkaserver.Server, o kafka.Options) *delivery {
	t.Helper()
	o.URL = strings.Replace(o.URL, "BROKER", server.Addr(), 1)
	if o.URL == "" {
		o.URL = "kafka://" + server.Addr()
	}
	sink, err := kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	queue, err := spool.Open(t.TempDir(), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cursor, err := queue.Cursor("kafka", spool.Oldest)
	if err != nil {
		t.Fatal(err)
	}
	d := &delivery{t: t, server: server, queue: queue, result: make(chan error, 1), next: 1, poison: make(map[uint64]bool)}
	d.forwarder = uplink.NewForwarder(cursor, sink, uplink.ForwarderOptions{
		Name: "kafka", Decode: decodeEntry, MaxRecords: 500,
		MinBackoff: 50 * time.Millisecond, MaxBackoff: 500 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.result <- d.forwarder.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		sink.Close()
		cursor.Close()
		queue.Close()
	})
	return d
}

// add queues n records more.
func (d *delivery) add(n uint64) {
	const most = 100 // in an entry
	for ; n > 0; n -= min(n, most) {
		d.append(entry(d.next, min(n, most), false))
		d.next += min(n, most)
	}
}

func (d *delivery) append(entry []byte) {
	d.t.Helper()
	if _, err := d.queue.Append(entry); err != nil {
		d.t.Fatal(err)
	}
}

// addPoison queues a record that the broker will never take.
func (d *delivery) addPoison() {
	d.append(entry(d.next, 1, true))
	d.poison[d.next] = true
	d.next++
}

// wait waits until the forwarder's state is as it should be.
func (d *delivery) wait(what string, is func(s uplink.ForwarderStats) bool) uplink.ForwarderStats {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s := d.forwarder.Stats()
		if is(s) {
			return s
		}
		select {
		case err := <-d.result:
			d.t.Fatalf("waiting until %s: the forwarder has ended: %v", what, err)
		default:
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("waiting until %s: it is %+v", what, s)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (d *delivery) waitSent(n uint64) {
	d.t.Helper()
	d.wait(fmt.Sprintf("%d records are sent", n), func(s uplink.ForwarderStats) bool { return s.Sent >= n })
}

func (d *delivery) waitDown() uplink.ForwarderStats {
	d.t.Helper()
	return d.wait("the sink is down", func(s uplink.ForwarderStats) bool { return !s.Up })
}

// finish ends the queue and checks that the counters balance, and that the topic
// has what was queued, poison apart: each record at least once, in order but for
// copies if that is promised, and nothing else.
func (d *delivery) finish(ordered bool) uplink.ForwarderStats {
	d.t.Helper()
	if err := d.queue.End(); err != nil {
		d.t.Fatal(err)
	}
	select {
	case err := <-d.result:
		if err != nil {
			d.t.Fatal(err)
		}
	case <-time.After(patience):
		d.t.Fatalf("not delivered: %+v", d.forwarder.Stats())
	}
	s := d.forwarder.Stats()
	want := d.next - 1
	poison := uint64(len(d.poison))
	if s.Records != want || s.Sent != want-poison || s.Poisoned != poison || s.Pending != 0 || s.Entries != s.Acknowledged || s.Undecodable+s.Missing+s.QueueFailures != 0 {
		d.t.Errorf("of %d records, %d of them poison, the forwarder says: %+v", want, poison, s)
	}
	messages, err := d.server.Messages(context.Background(), "milepost.records")
	if err != nil {
		d.t.Fatal(err)
	}
	copies, last := 0, uint64(0)
	seen := make(map[uint64]bool)
	for _, r := range decode(d.t, messages, uplink.JSON) {
		switch {
		case r.Sequence == 0 || r.Sequence > want || d.poison[r.Sequence]:
			d.t.Fatalf("received record %d, which was not to be sent", r.Sequence)
		case seen[r.Sequence]:
			copies++
			continue
		case ordered && r.Sequence < last:
			d.t.Fatalf("received record %d after %d", r.Sequence, last)
		}
		seen[r.Sequence], last = true, r.Sequence
	}
	if uint64(len(seen)) != want-poison {
		d.t.Errorf("received %d of %d records", len(seen), want-poison)
	}
	d.t.Logf("%d records, %d copies, %d poison; %d failures in %d outages; last error: %s", want, copies, poison, s.Failures, s.Outages, s.LastError)
	return s
}

// TestRealContract is the contract of all sinks, with a real Kafka.
func TestRealContract(t *testing.T) {
	askedFor(t)
	for name, exactlyOnce := range map[string]bool{"at least once": false, "exactly once": true} {
		t.Run(name, func(t *testing.T) {
			server, link := startReal(t, kafkaserver.Options{})
			number := 0
			uplinktest.TestSink(t, func(t *testing.T) uplinktest.Harness {
				number++
				link.Heal()
				topic := fmt.Sprintf("contract-%d", number)
				o := kafka.Options{URL: "kafka://" + link.Addr() + "/" + topic, DialTimeout: 2 * time.Second, AckTimeout: 2 * time.Second}
				var sink uplink.Sink
				var err error
				if exactlyOnce {
					sink, err = kafka.NewTransactional(o, kafka.TransactionOptions{ID: topic})
				} else {
					sink, err = kafka.New(o)
				}
				if err != nil {
					t.Fatal(err)
				}
				return uplinktest.Harness{
					Sink:     sink,
					Address:  link.Addr(),
					Received: func() []uplink.Record { return committed(t, server.AdminAddr(), topic) },
					Break:    link.Cut, Heal: link.Heal, BreakAfter: link.CutAfter, Stall: link.Stall,
					Poison:     func(sequence uint64) uplink.Record { return long(sequence, 1<<20) },
					Goroutines: []string{"franz-go/pkg/kgo.", "milepost/uplink/kafka."},
				}
			})
		})
	}
}

func TestRealPositions(t *testing.T) {
	server, link := startReal(t, kafkaserver.Options{})
	testPositions(t, link, server.AdminAddr())
}

func TestRealKilled(t *testing.T) {
	server, _ := startReal(t, kafkaserver.Options{})
	d := deliver(t, server, kafka.Options{AckTimeout: 3 * time.Second})
	for range 3 {
		d.add(20_000)
		d.waitSent(d.next - 15_000)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		d.add(1000)
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.finish(true)
}

func TestRealHung(t *testing.T) {
	server, _ := startReal(t, kafkaserver.Options{})
	d := deliver(t, server, kafka.Options{AckTimeout: time.Second, DialTimeout: time.Second})
	d.add(5000)
	d.waitSent(1000)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	d.add(1000)
	d.waitDown()
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	d.finish(true)
}

func TestRealLinkCut(t *testing.T) {
	server, link := startReal(t, kafkaserver.Options{})
	d := deliver(t, server, kafka.Options{AckTimeout: time.Second, DialTimeout: time.Second})
	for i := range int64(5) {
		link.CutAfter(1 + i*20_000)
		d.add(10_000)
		d.waitDown()
		link.Heal()
		d.waitSent(d.next - 1)
	}
	d.finish(true)
}

func TestRealLatency(t *testing.T) {
	server, link := startReal(t, kafkaserver.Options{})
	link.SetLatency(100 * time.Millisecond) // each way
	d := deliver(t, server, kafka.Options{})
	d.add(5000)
	if s := d.finish(true); s.Failures > 0 {
		t.Errorf("a slow link is taken for a broken one: %d failures, the last: %s", s.Failures, s.LastError)
	}
}

func TestRealCertificateExpires(t *testing.T) {
	a := newAuthority(t)
	file := a.issue(t, "broker", time.Now().Add(-time.Hour))
	server, _ := startReal(t, kafkaserver.Options{TLS: &kafkaserver.TLS{KeyAndCertificate: file, ClientCA: a.file}})
	client := a.issue(t, "gateway", time.Now().Add(time.Hour))
	d := deliver(t, server, kafka.Options{URL: "kafkas://BROKER", TLS: a.client(t, client)})
	d.add(1000)
	s := d.waitDown()
	if !strings.Contains(s.LastError, "certificate has expired") || !strings.Contains(s.LastError, "renew the broker's certificate") {
		t.Errorf("the broker's certificate has expired, and the error is: %s", s.LastError)
	}
	a.issue(t, "broker", time.Now().Add(time.Hour))
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.finish(true)

	// The other side's: a client without a certificate, and one whose has expired.
	for name, path := range map[string]string{"none": "", "expired": a.issue(t, "old", time.Now().Add(-time.Hour))} {
		sink, err := kafka.New(kafka.Options{URL: "kafkas://" + server.Addr(), TLS: a.client(t, path)})
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		err = sink.Send(t.Context(), uplinktest.Records(1, 1))
		if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), "does not take this client's certificate") {
			t.Errorf("a client's certificate: %s: %v", name, err)
		}
	}
}

func TestRealPasswords(t *testing.T) {
	const password = "correct horse"
	server, _ := startReal(t, kafkaserver.Options{
		Plain: map[string]string{"van": password},
		Scram: map[string]string{"van": password},
	})
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		o := kafka.Options{URL: "kafka://" + server.Addr() + "/" + mechanism, SASL: mechanism, Username: "van", Password: "wr0ng battery"}
		sink, err := kafka.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		err = sink.Send(t.Context(), uplinktest.Records(1, 10))
		if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), "check username, password") || strings.Contains(err.Error(), o.Password) {
			t.Errorf("%s with a wrong password: %v", mechanism, err)
		}
		if sent, _ := sink.Traffic(); sent > 4000 {
			t.Errorf("%s: %d bytes were sent to be told once that the password is wrong", mechanism, sent)
		}
		o.Password = password
		if sink, err = kafka.New(o); err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		if err := sink.Send(t.Context(), uplinktest.Records(1, 10)); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		if got := committed(t, server.AdminAddr(), mechanism); len(got) != 10 {
			t.Errorf("%s: %d records arrived, want 10", mechanism, len(got))
		}
	}
}

func TestRealTopicMissing(t *testing.T) {
	server, _ := startReal(t, kafkaserver.Options{NoAutoCreation: true})
	d := deliver(t, server, kafka.Options{})
	d.add(1000)
	if s := d.waitDown(); !strings.Contains(s.LastError, "create the topic") {
		t.Errorf("the topic is missing, and the error is: %s", s.LastError)
	}
	if err := server.CreateTopic(t.Context(), "milepost.records", 3, nil); err != nil {
		t.Fatal(err)
	}
	d.finish(true)
}

func TestRealMessageTooLarge(t *testing.T) {
	server, _ := startReal(t, kafkaserver.Options{MaxMessageBytes: 20_000})
	d := deliver(t, server, kafka.Options{Compression: "none"})
	d.add(2000)
	for range 3 {
		d.addPoison()
		d.add(1000)
	}
	// Until the limit is known, batches behind the first that is refused arrive
	// before it.
	if s := d.finish(false); s.Failures > 0 {
		t.Errorf("the broker's limit is taken for an outage: %+v", s)
	}
}
