package mqtt_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"milepost/uplink"
	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/certificates"
	"milepost/uplink/uplinktest/mosquitto"
	"milepost/uplink/uplinktest/proxy"
)

// TestMosquitto is the contract with a broker of other authors; a subscriber
// tells what it has received.
func TestMosquitto(t *testing.T) {
	startMosquitto(t, mosquitto.Options{}).Kill() // or skip
	uplinktest.TestSink(t, func(t *testing.T) uplinktest.Harness {
		addr := startMosquitto(t, mosquitto.Options{Settings: []string{"max_inflight_messages 0"}}).Addr
		var mu sync.Mutex
		var records []uplink.Record
		arrived := make(chan struct{}, 1)
		client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("subscriber").SetOrderMatters(true))
		if token := client.Connect(); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
		t.Cleanup(func() { client.Disconnect(100) })
		if token := client.Subscribe("milepost/#", 1, func(_ paho.Client, m paho.Message) {
			mu.Lock()
			defer mu.Unlock()
			if string(m.Payload()) != "marker" {
				records = append(records, decode(t, mqtt.Options{}, m.Payload())...)
				return
			}
			arrived <- struct{}{}
		}); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
		link, err := proxy.Start(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { link.Close() })
		o := mqtt.Options{URL: "mqtt://" + link.Addr(), MaxPayload: 4000}
		hasty := o
		hasty.DialTimeout, hasty.AckTimeout = time.Second, time.Second
		return uplinktest.Harness{
			Sink:    newSink(t, o),
			Hasty:   func(t *testing.T) uplink.Sink { return newSink(t, hasty) },
			Address: link.Addr(),
			Received: func() []uplink.Record {
				// What was published before the marker is delivered before it.
				client.Publish("milepost/marker", 1, false, "marker")
				select {
				case <-arrived:
				case <-time.After(patience):
					t.Error("mosquitto does not deliver")
				}
				mu.Lock()
				defer mu.Unlock()
				return append([]uplink.Record(nil), records...)
			},
			Break: link.Cut, Heal: link.Heal, BreakAfter: link.CutAfter, Stall: link.Stall,
			Goroutines: []string{"milepost/uplink/mqtt."},
		}
	})
}

// unlimited lets the broker hand on everything at once and in order.
var unlimited = []string{"max_inflight_messages 0"}

// TestBrokerKilledInFlight: what mosquitto has acknowledged and not handed on
// dies with it. So the link is silent, with messages under way in both
// directions, until the subscriber has what was acknowledged.
func TestBrokerKilledInFlight(t *testing.T) {
	t.Parallel()
	r := newRig(t, mosquitto.Options{Settings: unlimited}, 200)
	r.link.SetLatency(time.Millisecond)
	r.drain(r.sink(mqtt.Options{Window: 10}), nil, func() {
		for i := range 4 {
			r.subscriber.await(t, 2000*(i+1))
			r.link.Stall()
			r.subscriber.catchUp(t)
			if err := r.broker.Restart(); err != nil {
				t.Fatal(err)
			}
			r.link.Heal()
			await(t, "the subscriber's return", r.subscriber.client.IsConnectionOpen)
		}
	})
	if r.forwarder.Stats().Failures == 0 {
		t.Error("no kill was noticed: the test tests nothing")
	}
}

func TestBrokerHung(t *testing.T) {
	t.Parallel()
	r := newRig(t, mosquitto.Options{Settings: unlimited}, 200)
	r.link.SetLatency(time.Millisecond)
	r.drain(r.sink(mqtt.Options{Window: 10, AckTimeout: 300 * time.Millisecond, DialTimeout: 300 * time.Millisecond}), nil, func() {
		r.subscriber.await(t, 2000)
		if err := r.broker.Pause(); err != nil {
			t.Fatal(err)
		}
		r.failures(3) // one without an acknowledgement, the rest without a CONNACK
		if err := r.broker.Resume(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLinkCut(t *testing.T) {
	t.Parallel()
	r := newRig(t, mosquitto.Options{Settings: unlimited}, 200)
	r.link.SetLatency(time.Millisecond)
	r.drain(r.sink(mqtt.Options{Window: 10}), nil, func() {
		for i := range uint64(6) {
			r.link.CutAfter(int64(100_000 + 7919*i))
			r.failures(i + 1)
			r.link.Heal()
		}
	})
}

func TestLatency(t *testing.T) {
	t.Parallel()
	r := newRig(t, mosquitto.Options{}, 40)
	r.link.SetLatency(200 * time.Millisecond)
	r.drain(r.sink(mqtt.Options{}), nil, nil)
	if n := r.forwarder.Stats().Failures; n > 0 {
		t.Errorf("%d failures over a link that is but slow", n)
	}
}

// TestLinkStalls: as retransmissions of lost packets do, but no failure.
func TestLinkStalls(t *testing.T) {
	t.Parallel()
	r := newRig(t, mosquitto.Options{}, 200)
	r.link.SetLatency(time.Millisecond)
	r.drain(r.sink(mqtt.Options{Window: 10}), nil, func() {
		for i := range 10 {
			r.subscriber.await(t, 900*(i+1))
			r.link.Stall()
			time.Sleep(50 * time.Millisecond) // the stall, not a wait for something
			r.link.Heal()
		}
	})
	if n := r.forwarder.Stats().Failures; n > 0 {
		t.Errorf("%d failures over a link that recovers by itself", n)
	}
}

func TestUnreachableAtBoot(t *testing.T) {
	t.Parallel()
	r := newRig(t, mosquitto.Options{}, 20)
	if err := r.broker.Stop(); err != nil {
		t.Fatal(err)
	}
	r.drain(r.sink(mqtt.Options{}), nil, func() {
		r.failures(3)
		if err := r.broker.Restart(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestOneInFlight: a broker that hands on one message at a time.
func TestOneInFlight(t *testing.T) {
	t.Parallel()
	r := newRig(t, mosquitto.Options{Settings: []string{"max_inflight_messages 1"}}, 50)
	r.drain(r.sink(mqtt.Options{}), nil, nil)
}

// TestBrokersDiskFull: a mosquitto that cannot store what it has to keep goes on
// in memory.
func TestBrokersDiskFull(t *testing.T) {
	t.Parallel()
	r := newRig(t, mosquitto.Options{FileLimit: 4 << 10, Settings: unlimited}, 100)
	large := []byte(strings.Repeat("large ", 2000)) // retained, and more than the file takes
	r.link.SetLatency(time.Millisecond)
	r.drain(r.sink(mqtt.Options{Window: 10, Presence: mqtt.Presence{Topic: "milepost/{device}/state", Device: uplinktest.Device, Online: large, Offline: large}}), nil, func() {
		r.subscriber.await(t, 1000)
		if err := r.broker.Save(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot store") {
			t.Errorf("the broker could store it (%v): the test tests nothing", err)
		}
	})
}

func TestMessageTooLarge(t *testing.T) {
	t.Parallel()
	large := func(size int) func(*uplink.Record) {
		return func(r *uplink.Record) {
			group := *r.Group
			group.Name = strings.Repeat("x", size)
			r.Group = &group
		}
	}
	for _, c := range []struct {
		name   string
		o      mqtt.Options
		poison map[uint64]func(*uplink.Record)
	}{
		{"all but small messages", mqtt.Options{MaxPayload: 64 << 10}, nil},
		{"one record", mqtt.Options{}, map[uint64]func(*uplink.Record){777: large(20_000)}},
		{"the first record", mqtt.Options{}, map[uint64]func(*uplink.Record){1: large(20_000)}},
		{"some records, one a message", mqtt.Options{Single: true}, map[uint64]func(*uplink.Record){5: large(7000), 400: large(20_000), 999: large(9000)}},
		{"some records and all but small messages", mqtt.Options{MaxPayload: 64 << 10}, map[uint64]func(*uplink.Record){500: large(20_000), 501: large(30_000), 1000: large(7000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mosquitto.Options{Settings: []string{"max_packet_size 6000"}}, 40)
			c.o.MaxPayload = max(c.o.MaxPayload, 64<<10)
			r.drain(r.sink(c.o), c.poison, nil)
			if s := r.forwarder.Stats(); s.Failures == 0 || s.Failures > 40 {
				t.Errorf("%d failed tries, want some, and not many", s.Failures)
			}
		})
	}
}

// TestNotAuthorised: MQTT 3.1.1 has no answer for a message that is not allowed.
// mosquitto 2.0.11 closes the connection, others acknowledge what they drop. A
// topic that is not allowed is no reason to give records up.
func TestNotAuthorised(t *testing.T) {
	t.Parallel()
	const rules = "topic read #\ntopic write milepost/+/allowed\n"
	r := newRig(t, mosquitto.Options{Rules: rules, Settings: unlimited}, 20)
	probe := r.sink(mqtt.Options{})
	if err := probe.Send(t.Context(), uplinktest.Records(1, 1)); err == nil {
		probe.Close()
		if r.subscriber.has(1) {
			t.Error("what is not allowed was delivered")
		}
		t.Skip("this mosquitto acknowledges what it drops: nobody can tell")
	}
	allowed := r.sink(mqtt.Options{Topic: "milepost/{device}/allowed"})
	if err := allowed.Send(t.Context(), uplinktest.Records(1, 1)); err != nil {
		t.Error(err)
	}
	r.drain(r.sink(mqtt.Options{}), nil, func() {
		r.failures(12)
		if s := r.forwarder.Stats(); !strings.Contains(s.LastError, "whether it allows the topic") && !strings.Contains(s.LastError, "accepted and soon closed") {
			t.Errorf("the error is %s", s.LastError)
		}
		if err := r.broker.SetRules(rules + "topic write milepost/+/records\n"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t, mosquitto.Options{Users: map[string]string{"van": "let me in"}})
	r := &rig{t: t, broker: broker, queue: uplinktest.NewQueue()}
	r.connect(broker.Addr)
	r.queue.Append([]byte{1}, 0)
	result := r.forward(r.sink(mqtt.Options{Username: "van", Password: "wild guess"}), uplink.ForwarderOptions{GiveUp: 300 * time.Millisecond}, nil)
	err := <-result
	if err == nil || !strings.Contains(err.Error(), "check username, password") || strings.Contains(err.Error(), "wild") || strings.Contains(err.Error(), "guess") {
		t.Errorf("%v", err)
	}
	connections := strings.Count(broker.Log(), "New connection")
	if tries := r.forwarder.Stats().Failures; uint64(connections) > tries {
		t.Errorf("%d connections for %d tries: the sink must leave the pace to its caller", connections, tries)
	}
	r.queue.End()
	if err := <-r.forward(r.sink(mqtt.Options{Username: "van", Password: "let me in"}), uplink.ForwarderOptions{}, nil); err != nil {
		t.Error(err)
	}
}

func TestCertificateExpired(t *testing.T) {
	t.Parallel()
	authority, dir := newAuthority(t), t.TempDir()
	certificate, key, err := authority.Write(dir, "broker", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, mosquitto.Options{Certificate: certificate, Key: key}, 20)
	r.connect(r.broker.TLS)
	config, err := authority.Client("")
	if err != nil {
		t.Fatal(err)
	}
	r.drain(r.sink(mqtt.Options{URL: "mqtts", TLS: config}), nil, func() {
		r.failures(3)
		if last := r.forwarder.Stats().LastError; !strings.Contains(last, "certificate has expired") || !strings.Contains(last, "clock") {
			t.Errorf("the error is %q", last)
		}
		if _, _, err := authority.Write(dir, "broker", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := r.broker.Restart(); err != nil {
			t.Fatal(err)
		}
	})
}

func newAuthority(t *testing.T) *certificates.Authority {
	t.Helper()
	a, err := certificates.New("milepost test authority")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestTransports: TLS with certificates of both sides, and WebSockets.
func TestTransports(t *testing.T) {
	authority, dir := newAuthority(t), t.TempDir()
	certificate, key, err := authority.Write(dir, "broker", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	config, err := authority.Client("van-17")
	if err != nil {
		t.Fatal(err)
	}
	nameless, err := authority.Client("")
	if err != nil {
		t.Fatal(err)
	}
	ca := dir + "/ca.pem"
	if err := writeFile(ca, authority.PEM()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		scheme string
		addr   func(*mosquitto.Broker) string
	}{
		{"mqtts", func(b *mosquitto.Broker) string { return b.TLS }},
		{"ws", func(b *mosquitto.Broker) string { return b.WS }},
		{"wss", func(b *mosquitto.Broker) string { return b.WSS }},
	} {
		t.Run(c.scheme, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mosquitto.Options{Certificate: certificate, Key: key, Authority: ca, WebSockets: true}, 100)
			r.connect(c.addr(r.broker))
			if strings.HasSuffix(c.scheme, "s") && c.scheme != "ws" {
				for _, bad := range []struct {
					o    mqtt.Options
					want string
				}{
					{mqtt.Options{URL: c.scheme, TLS: nameless}, "certificate"},
					{mqtt.Options{URL: c.scheme}, "authority"},
				} {
					err := r.sink(bad.o).Send(t.Context(), uplinktest.Records(1, 1))
					if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), bad.want) {
						t.Errorf("%v, want something about %s", err, bad.want)
					}
				}
			}
			sink := r.sink(mqtt.Options{URL: c.scheme, TLS: config, Window: 10})
			before := r.link.Passed()
			r.link.SetLatency(time.Millisecond)
			r.drain(sink, nil, func() {
				r.subscriber.await(t, 1000)
				r.link.CutAfter(10_000)
				r.failures(1)
				r.link.Heal()
			})
			sent, received := sink.Traffic()
			if passed := r.link.Passed() - before; int64(sent) < passed || received == 0 {
				t.Errorf("%d bytes sent, %d received; the link has passed %d", sent, received, passed)
			}
		})
	}
}

// TestClientIDTwice: two sinks that throw each other out stop doing it as fast as
// they can, and say why.
func TestClientIDTwice(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t, mosquitto.Options{})
	var sinks [2]*mqtt.Sink
	for i := range sinks {
		sink, err := mqtt.New(mqtt.Options{URL: "mqtt://" + broker.Addr, ClientID: "twin"})
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		sinks[i] = sink
	}
	const rounds = 200
	var last error
	for i := range rounds {
		for _, sink := range sinks {
			if err := sink.Send(t.Context(), uplinktest.Records(uint64(i+1), 1)); err != nil {
				last = err
			}
		}
	}
	if last == nil || !strings.Contains(last.Error(), `"twin"`) || uplink.IsPermanent(last) {
		t.Errorf("the last error is: %v", last)
	}
	// The pauses grow from half a second on: what fits in before is little.
	if n := strings.Count(broker.Log(), "already connected"); n < 4 || n > rounds/4 {
		t.Errorf("%d takeovers in %d rounds", n, rounds)
	}
	fmt.Fprintln(t.Output(), last)
}
