package mqtt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/mosquitto"
	"milepost/uplink/uplinktest/mqttbroker"
	"milepost/uplink/uplinktest/proxy"
)

// eachBroker runs a test with the broker in the process and with mosquitto.
func eachBroker(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		broker, err := mqttbroker.Start("")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { broker.Stop() })
		test(t, broker.Addr())
	})
	t.Run("mosquitto", func(t *testing.T) {
		t.Parallel()
		test(t, startMosquitto(t, mosquitto.Options{}).Addr)
	})
}

func newSink(t *testing.T, o mqtt.Options) *mqtt.Sink {
	t.Helper()
	sink, err := mqtt.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func send(t *testing.T, sink *mqtt.Sink, records ...uplink.Record) {
	t.Helper()
	if err := sink.Send(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

const stateTopic = "milepost/van-17/state"

// TestPresence has a connection end in each way. In which order the will of one
// that was taken over and what its successor says reach a subscriber is the
// broker's business; that each comes, and that the last state is right, is ours.
func TestPresence(t *testing.T) {
	eachBroker(t, func(t *testing.T, addr string) {
		link, err := proxy.Start(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { link.Close() })
		watcher := subscribe(t, addr, "", "milepost/#")
		payload := func(state string) string {
			return fmt.Sprintf(`{"state":%q,"device":"van-17","boot":"0d15ea5e-0405-4607-8809-0a0b0c0d0e0f"}`, state)
		}
		seen := func() (online, offline int) {
			for _, m := range watcher.received(stateTopic) {
				switch m.payload {
				case payload("online"):
					online++
				case payload("offline"):
					offline++
				default:
					t.Errorf("a state is %s", m)
				}
			}
			return online, offline
		}
		expect := func(online, offline int) {
			t.Helper()
			await(t, fmt.Sprintf("%d times online, %d times offline", online, offline), func() bool {
				on, off := seen()
				return on >= online && off >= offline
			})
			if on, off := seen(); on != online || off != offline {
				t.Fatalf("%d times online and %d times offline, want %d and %d: %q", on, off, online, offline, payloads(watcher.received(stateTopic)))
			}
		}
		last := func(state string) {
			t.Helper()
			all := payloads(watcher.received(stateTopic))
			if all[len(all)-1] != payload(state) {
				t.Errorf("the last state is not %s: %q", state, all)
			}
			late := subscribe(t, addr, "", stateTopic)
			await(t, "the retained state", func() bool { return len(late.received(stateTopic)) > 0 })
			if m := late.received(stateTopic)[0]; !m.retained || m.payload != payload(state) {
				t.Errorf("retained is %v, want %s", m, state)
			}
		}
		o := mqtt.Options{
			URL:      "mqtt://" + link.Addr(),
			Presence: mqtt.Presence{Topic: "milepost/{device}/state", Device: uplinktest.Device, Boot: uplinktest.Boot, Repeat: time.Hour},
		}
		sink := newSink(t, o)
		send(t, sink, uplinktest.Records(1, 1)...)
		expect(1, 0)
		send(t, sink, uplinktest.Records(2, 1)...) // over the same connection

		link.Cut() // the broker sees it
		expect(1, 1)
		last("offline")
		link.Heal()
		sink.Send(t.Context(), uplinktest.Records(3, 1)) // notices it, or not yet
		send(t, sink, uplinktest.Records(3, 1)...)
		expect(2, 1)
		last("online")

		link.Stall() // the broker does not see it, until the next connection begins
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := sink.Send(ctx, uplinktest.Records(4, 1)); err == nil {
			t.Fatal("Send over a link that is silent")
		}
		other, err := proxy.Start(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { other.Close() })
		o.URL = "mqtt://" + other.Addr()
		o.Presence.Repeat = time.Nanosecond // with the very next records
		again := newSink(t, o)              // as after a restart of the program
		send(t, again, uplinktest.Records(4, 1)...)
		expect(3, 2) // in either order
		send(t, again, uplinktest.Records(5, 1)...)
		expect(4, 2)
		last("online")
		send(t, again, uplinktest.Records(6, 1)...) // and never again

		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		expect(4, 3)
		last("offline")
	})
}

func TestPresenceOfOnesOwn(t *testing.T) {
	t.Parallel()
	broker, link := start(t)
	watcher := subscribe(t, broker.Addr(), "", "#")
	sink := newSink(t, mqtt.Options{URL: "mqtt://" + link.Addr(), Presence: mqtt.Presence{
		Topic: "state", Device: uplinktest.Device, Online: []byte("1"), Offline: []byte("0"), Transient: true,
	}})
	send(t, sink, uplinktest.Records(1, 1)...)
	sink.Close()
	await(t, "0", func() bool { return len(watcher.received("state")) == 2 })
	if got := fmt.Sprint(watcher.received("state")); got != "[state 1 (retained false) state 0 (retained false)]" {
		t.Error(got)
	}
	late := subscribe(t, broker.Addr(), "", "#")
	await(t, "records", func() bool { return late.client.IsConnected() })
	if m := late.received("state"); len(m) > 0 {
		t.Errorf("it is retained: %v", m)
	}
}

// series are two signals of a message.
var engine = &aggregate.Group{Bus: "can0", Name: "ENGINE", Series: []aggregate.Series{
	{Name: "Speed", Unit: "rpm", Bits: 16, Factor: 0.25}, {Name: "Temp", Unit: "°C", Kind: aggregate.Float, Bits: 64, Factor: 1},
}}

// value is a record of a second, whose last sample is the given one.
func value(signal int, second int64, raw int64) uplink.Record {
	return uplink.Record{
		Device: uplinktest.Device, Boot: uplinktest.Boot, Sequence: uint64(second), Start: second * 1e9, Duration: 1e9,
		Group: engine, Series: &engine.Series[signal], Summary: aggregate.Summary{Count: 1, Min: raw, Max: raw, First: raw, Last: raw},
	}
}

const (
	speedTopic = "twin/van-17/can0/ENGINE/Speed"
	tempTopic  = "twin/van-17/can0/ENGINE/Temp"
	twinTopic  = "twin/{device}/{bus}/{message}/{signal}"
)

func payloads(messages []received) (texts []string) {
	for _, m := range messages {
		texts = append(texts, m.payload)
	}
	return texts
}

func TestLatest(t *testing.T) {
	eachBroker(t, func(t *testing.T, addr string) {
		watcher := subscribe(t, addr, "", "twin/#")
		o := mqtt.Options{URL: "mqtt://" + addr, Latest: mqtt.Latest{Topic: twinTopic, Interval: time.Nanosecond}}
		expect := func(topic string, want ...string) {
			t.Helper()
			await(t, topic, func() bool { return len(watcher.received(topic)) >= len(want) })
			if got := payloads(watcher.received(topic)); !slices.Equal(got, want) {
				t.Fatalf("%s: got %q, want %q", topic, got, want)
			}
		}
		sink := newSink(t, o)
		nan := int64(math.Float64bits(math.NaN()))
		send(t, sink, value(0, 100, 4000), value(1, 100, nan), value(0, 101, 4002))
		expect(speedTopic, `{"value":1000.5,"time":102,"unit":"rpm"}`) // the newest of the three
		expect(tempTopic, `{"value":null,"time":101,"unit":"°C"}`)
		send(t, sink, value(0, 102, 4002), value(1, 102, nan)) // not changed
		send(t, sink, value(0, 50, 1), value(0, 99, 2))        // the backlog
		send(t, sink, value(0, 110, 4))
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{`{"value":1000.5,"time":102,"unit":"rpm"}`, `{"value":1,"time":111,"unit":"rpm"}`}
		expect(speedTopic, want...)

		sink = newSink(t, o) // a restart: what is older than the retained value stays away
		send(t, sink, value(0, 60, 8), value(0, 109, 12))
		send(t, sink, value(0, 112, 16))
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		expect(speedTopic, append(want, `{"value":4,"time":113,"unit":"rpm"}`)...)
		expect(tempTopic, `{"value":null,"time":101,"unit":"°C"}`)
		late := subscribe(t, addr, "", "twin/#")
		await(t, "retained values", func() bool { return len(late.received(speedTopic)) == 1 && len(late.received(tempTopic)) == 1 })
		if m := late.received(speedTopic)[0]; !m.retained || m.payload != `{"value":4,"time":113,"unit":"rpm"}` {
			t.Errorf("retained is %v", m)
		}
	})
}

// TestLatestInterval: what comes too soon waits for its time, at the longest
// until Close, and then only the newest is sent.
func TestLatestInterval(t *testing.T) {
	t.Parallel()
	broker, link := start(t)
	watcher := subscribe(t, broker.Addr(), "", "twin/#")
	sink := newSink(t, mqtt.Options{URL: "mqtt://" + link.Addr(), Latest: mqtt.Latest{Topic: twinTopic, Interval: time.Hour}})
	for i := range int64(50) {
		send(t, sink, value(0, 100+i, 4*i))
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the last value", func() bool { return len(watcher.received(speedTopic)) == 2 })
	if got := payloads(watcher.received(speedTopic)); !slices.Equal(got, []string{`{"value":0,"time":101,"unit":"rpm"}`, `{"value":49,"time":150,"unit":"rpm"}`}) {
		t.Errorf("got %q", got)
	}
}

// TestLatestLinkCut: values that were under way when the link broke are sent
// again, and the newest one stays.
func TestLatestLinkCut(t *testing.T) {
	t.Parallel()
	broker, link := start(t)
	sink := newSink(t, mqtt.Options{URL: "mqtt://" + link.Addr(), Single: true, Latest: mqtt.Latest{Topic: twinTopic, Interval: time.Nanosecond}})
	const seconds = 300
	failures := 0
	for i := range int64(seconds) {
		if i%10 == 0 {
			link.CutAfter(100 + 13*i)
		}
		for sink.Send(t.Context(), []uplink.Record{value(0, 100+i, 4*i)}) != nil {
			failures++
			link.Heal()
		}
	}
	if failures == 0 {
		t.Error("the link was never cut: the test tests nothing")
	}
	late := subscribe(t, broker.Addr(), "", "twin/#")
	await(t, "the value", func() bool { return len(late.received(speedTopic)) > 0 })
	var got struct{ Value, Time float64 }
	if err := json.Unmarshal([]byte(late.received(speedTopic)[0].payload), &got); err != nil || got.Value != seconds-1 || got.Time != 100+seconds {
		t.Errorf("%+v, %v; all: %v", got, err, late.received(speedTopic))
	}
}

// TestLatestWithoutRights: a broker that lets nobody subscribe does not stop the
// records.
func TestLatestWithoutRights(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t, mosquitto.Options{Rules: "topic write #\n"})
	sink := newSink(t, mqtt.Options{URL: "mqtt://" + broker.Addr, Latest: mqtt.Latest{Topic: twinTopic}})
	send(t, sink, value(0, 100, 1))
}

func TestLatestFuture(t *testing.T) {
	t.Parallel()
	broker, link := start(t)
	watcher := subscribe(t, broker.Addr(), "", "twin/#")
	sink := newSink(t, mqtt.Options{URL: "mqtt://" + link.Addr(), Latest: mqtt.Latest{Topic: twinTopic, Interval: time.Nanosecond}})
	send(t, sink, value(0, time.Now().Unix()+10*86400, 4)) // by a clock that was wrong
	send(t, sink, value(0, 100, 8))
	sink.Close()
	await(t, "the value", func() bool { return len(watcher.received(speedTopic)) == 1 })
	if got := payloads(watcher.received(speedTopic)); !slices.Equal(got, []string{`{"value":2,"time":101,"unit":"rpm"}`}) {
		t.Errorf("got %q", got)
	}
}

// TestSecrets: nothing that is printed tells them.
func TestSecrets(t *testing.T) {
	o := mqtt.Options{URL: "wss://broker/mqtt?sig=secret", Username: "van", Password: "secret", Header: map[string][]string{"Authorization": {"secret"}}}
	sink := newSink(t, o)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{o, &o, sink} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "secret") {
				t.Errorf("%s of %T: %s", format, v, text)
			}
		}
	}
}

// TestLatestOfManySignals: everything that the broker has is known before the
// first older value could go out.
func TestLatestOfManySignals(t *testing.T) {
	eachBroker(t, func(t *testing.T, addr string) {
		group := &aggregate.Group{Bus: "can0", Name: "MANY"}
		for i := range 300 {
			group.Series = append(group.Series, aggregate.Series{Name: fmt.Sprintf("signal%d", i), Bits: 16, Factor: 1})
		}
		all := func(second, raw int64) (records []uplink.Record) {
			for i := range group.Series {
				r := value(0, second, raw)
				r.Sequence = uint64(second)*1000 + uint64(i)
				r.Group, r.Series = group, &group.Series[i]
				records = append(records, r)
			}
			return records
		}
		for _, second := range []int64{200, 100, 50, 10} { // each after a restart, with what is older
			sink := newSink(t, mqtt.Options{URL: "mqtt://" + addr, Latest: mqtt.Latest{Topic: twinTopic, Interval: time.Nanosecond}})
			send(t, sink, all(second, second)...)
			if err := sink.Close(); err != nil {
				t.Fatal(err)
			}
		}
		late := subscribe(t, addr, "", "twin/#")
		for i := range group.Series {
			topic := "twin/van-17/can0/MANY/" + group.Series[i].Name
			await(t, topic, func() bool { return len(late.received(topic)) == 1 })
			if got := late.received(topic)[0].payload; got != `{"value":200,"time":201,"unit":""}` {
				t.Errorf("%s: %s", topic, got)
			}
		}
	})
}
