package mqtt_test

import (
	"bytes"
	"cmp"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/mqttbroker"
	"milepost/uplink/uplinktest/proxy"
)

func TestContract(t *testing.T) {
	for _, c := range []struct {
		name string
		o    mqtt.Options
	}{
		{"json", mqtt.Options{MaxPayload: 4000}},
		{"json, a record a message", mqtt.Options{MaxPayload: 4000, Single: true}},
		{"protobuf, window 1", mqtt.Options{MaxPayload: 4000, Encoding: uplink.Protobuf, Window: 1}},
		{"otlp", mqtt.Options{MaxPayload: 4000, Encoding: uplink.OTLP}},
	} {
		t.Run(c.name, func(t *testing.T) {
			uplinktest.TestSink(t, func(t *testing.T) uplinktest.Harness {
				return harness(t, c.o)
			})
		})
	}
}

func harness(t *testing.T, o mqtt.Options) uplinktest.Harness {
	broker, link := start(t)
	o.URL = "mqtt://" + link.Addr()
	hasty := o
	hasty.DialTimeout, hasty.AckTimeout = 500*time.Millisecond, 500*time.Millisecond
	return uplinktest.Harness{
		Sink:    newSink(t, o),
		Hasty:   func(t *testing.T) uplink.Sink { return newSink(t, hasty) },
		Address: link.Addr(),
		Received: func() (records []uplink.Record) {
			for _, m := range broker.Messages() {
				if want := "milepost/" + uplinktest.Device + "/records"; m.Topic != want {
					t.Fatalf("topic %q, want %q", m.Topic, want)
				}
				records = append(records, decode(t, o, m.Payload)...)
			}
			return records
		},
		Break: link.Cut, Heal: link.Heal, BreakAfter: link.CutAfter, Stall: link.Stall,
		Poison: func(sequence uint64) uplink.Record {
			r := uplinktest.Records(sequence, 1)[0]
			group := *r.Group
			group.Name = strings.Repeat("long", 2000)
			r.Group = &group
			return r
		},
		KeysOnly:   o.Encoding == uplink.OTLP,
		Goroutines: []string{"paho.mqtt.golang.", "milepost/uplink/mqtt."},
	}
}

func start(t *testing.T) (*mqttbroker.Broker, *proxy.Proxy) {
	t.Helper()
	broker, err := mqttbroker.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Stop() })
	link, err := proxy.Start(broker.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return broker, link
}

func decode(t *testing.T, o mqtt.Options, payload []byte) []uplink.Record {
	t.Helper()
	var records []uplink.Record
	var err error
	switch {
	case o.Encoding == uplink.OTLP: // sorted by series
		records, err = uplink.DecodeOTLP(payload, nil)
		slices.SortFunc(records, func(a, b uplink.Record) int { return cmp.Compare(a.Sequence, b.Sequence) })
	case o.Encoding == uplink.Protobuf && o.Single:
		records = make([]uplink.Record, 1)
		records[0], err = uplink.DecodeRecord(payload)
	case o.Encoding == uplink.Protobuf:
		records, err = uplink.DecodeRecords(payload, nil)
	default:
		for line := range bytes.Lines(payload) {
			r, e := uplink.DecodeJSON(line)
			if e != nil {
				err = e
			}
			records = append(records, r)
		}
	}
	if err != nil {
		t.Errorf("payload: %v", err)
	}
	return records
}

func TestTopics(t *testing.T) {
	broker, link := start(t)
	sink, err := mqtt.New(mqtt.Options{URL: "mqtt://" + link.Addr(), Topic: "fleet/{device}/{bus}/{id}/{message}/{signal}"})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	records := uplinktest.Records(1, 500)
	if err := sink.Send(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"fleet/van-17/can0/1A4/ENGINE_1/EngineSpeed":               100,
		"fleet/van-17/can0/1A4/ENGINE_1/OilTemp":                   100,
		"fleet/van-17/can1/18FEF100/CCVS/WheelSpeed":               100,
		"fleet/van-17/can1/18FEF100/CCVS/Odd \"name\", with_a tab": 100,
		"fleet/van-17/gpio/_/cabin/humidity":                       100,
	}
	got := make(map[string]int)
	for _, m := range broker.Messages() {
		got[m.Topic] += len(decode(t, mqtt.Options{}, m.Payload))
	}
	for topic := range got {
		if got[topic] != want[topic] {
			t.Errorf("topic %q: %d records, want %d", topic, got[topic], want[topic])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d topics, want %d", len(got), len(want))
	}
}

func TestCredentials(t *testing.T) {
	broker, link := start(t)
	broker.Require("van", "let me in")
	try := func(password string) error {
		sink, err := mqtt.New(mqtt.Options{URL: "mqtt://" + link.Addr(), Username: "van", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		return sink.Send(t.Context(), uplinktest.Records(1, 1))
	}
	if err := try("let me in"); err != nil {
		t.Error(err)
	}
	err := try("secret guess")
	if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), "check username") {
		t.Errorf("wrong password: %v", err)
	} else if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestBrokerRestarts(t *testing.T) {
	broker, link := start(t)
	sink, err := mqtt.New(mqtt.Options{URL: "mqtt://" + link.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	for i := range uint64(3) {
		err := sink.Send(t.Context(), uplinktest.Records(i*10+1, 10))
		for try := 0; err != nil && try < 10; try++ { // the loss may be seen only when something is sent
			err = sink.Send(t.Context(), uplinktest.Records(i*10+1, 10))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := broker.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    mqtt.Options
		want string // in the error; "" is none
	}{
		{mqtt.Options{URL: "mqtt://broker"}, ""},
		{mqtt.Options{URL: "mqtts://[::1]:8883/"}, ""},
		{mqtt.Options{URL: "ws://broker/mqtt?token=secret", Header: http.Header{"Authorization": {"secret"}}}, ""},
		{mqtt.Options{URL: "ws://me:secret@broker/mqtt"}, "set username and password apart"},
		{mqtt.Options{URL: "http://broker?secret"}, "mqtt://HOST[:PORT]"},
		{mqtt.Options{URL: "mqtt://broker", Header: http.Header{"A": nil}}, "WebSocket"},
		{mqtt.Options{URL: "ws://broker", Header: http.Header{"upgrade": nil}}, "handshake"},
		{mqtt.Options{URL: "mqtt://broker", KeepAlive: time.Millisecond}, "from 1 s"},
		{mqtt.Options{URL: "mqtt://broker", ClientID: "a\x00b"}, "control characters"},
		{mqtt.Options{URL: "mqtt://broker", Presence: mqtt.Presence{Topic: "a/{signal}", Device: "van"}}, "only {device}"},
		{mqtt.Options{URL: "mqtt://broker", Presence: mqtt.Presence{Topic: "a/{device}"}}, "Set the device"},
		{mqtt.Options{URL: "mqtt://broker", Latest: mqtt.Latest{Topic: "a/{device}"}}, "needs {signal}"},
		{mqtt.Options{URL: "mqtt://broker", Latest: mqtt.Latest{Topic: "{signal}/#"}}, "cannot be in a topic"},
		{mqtt.Options{URL: "mqtt://"}, "mqtt://HOST[:PORT]"},
		{mqtt.Options{URL: "mqtt://me:secret@broker"}, "set username and password apart"},
		{mqtt.Options{URL: "mqtt://me:secret@bro ker:x"}, "broker's URL"},
		{mqtt.Options{URL: "mqtt://broker/topic"}, "an option of its own"},
		{mqtt.Options{URL: "mqtt://broker", Topic: "a/{vin}"}, "unknown placeholder"},
		{mqtt.Options{URL: "mqtt://broker", Topic: "a/{device"}, "unknown placeholder"},
		{mqtt.Options{URL: "mqtt://broker", Topic: "a/#"}, "cannot be in a topic"},
		{mqtt.Options{URL: "mqtt://broker", Topic: "$SYS/a"}, "the broker's own"},
		{mqtt.Options{URL: "mqtt://broker", Encoding: uplink.CSV}, "csv is for files"},
		{mqtt.Options{URL: "mqtt://broker", Window: 70_000}, "from 1 to 65535"},
	} {
		_, err := mqtt.New(c.o)
		switch {
		case err == nil && c.want != "":
			t.Errorf("%+v: no error, want %q", c.o, c.want)
		case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func writeFile(path string, data []byte) error { return os.WriteFile(path, data, 0o600) }
