package kafka_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/kafka"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/kafkabroker"
)

func TestOptions(t *testing.T) {
	registry := kafka.Registry{URL: "http://registry"}
	for _, c := range []struct {
		o    kafka.Options
		want string // in the error; "" is none
	}{
		{kafka.Options{URL: "kafka://broker"}, ""},
		{kafka.Options{URL: "kafka://a:9092,b,[::1]:9093/drives.v1"}, ""},
		{kafka.Options{URL: "kafkas://a/"}, ""},
		{kafka.Options{URL: "kafka://a/fleet.{device}.{bus}-{message}_{signal}.{id}"}, ""},
		{kafka.Options{URL: "kafka://a", Username: "me", Password: "secret"}, ""},
		{kafka.Options{URL: "kafka://a", Username: "me", Password: "secret", SASL: "SCRAM-SHA-512"}, ""},
		{kafka.Options{URL: "kafka://a", Encoding: uplink.Protobuf, Registry: registry}, ""},
		{kafka.Options{URL: "http://broker"}, "kafka://HOST[:PORT]"},
		{kafka.Options{URL: "kafka://"}, "kafka://HOST[:PORT]"},
		{kafka.Options{URL: "kafka://a,,b"}, "is not a host"},
		{kafka.Options{URL: "kafka://me:secret@broker"}, "set username and password apart"},
		{kafka.Options{URL: "kafka://broker/two/levels"}, "letters, digits"},
		{kafka.Options{URL: "kafka://broker/caf\u00e9"}, "letters, digits"},
		{kafka.Options{URL: "kafka://broker/" + strings.Repeat("x", 250)}, "at most 249"},
		{kafka.Options{URL: "kafka://broker/.."}, "letters, digits"},
		{kafka.Options{URL: "kafka://broker/{vehicle}"}, "unknown placeholder at {vehicle}"},
		{kafka.Options{URL: "kafka://broker/{device"}, "unknown placeholder at {device"},
		{kafka.Options{URL: "kafka://broker/device}"}, "without a {"},
		{kafka.Options{URL: "kafka://broker", Compression: "brotli"}, "unknown compression"},
		{kafka.Options{URL: "kafka://broker", Encoding: uplink.CSV}, "csv is for files"},
		{kafka.Options{URL: "kafka://broker", Username: "me", Password: "secret", SASL: "gssapi"}, "unknown SASL mechanism"},
		{kafka.Options{URL: "kafka://broker", Password: "secret"}, "no username"},
		{kafka.Options{URL: "kafka://broker", SASL: "plain"}, "no username"},
		{kafka.Options{URL: "kafka://broker", Registry: registry}, "the encoding is json"},
		{kafka.Options{URL: "kafka://broker", Encoding: uplink.Protobuf, Registry: kafka.Registry{URL: "registry:8081"}}, "http://HOST"},
		{kafka.Options{URL: "kafka://broker", Encoding: uplink.Protobuf, Registry: kafka.Registry{URL: "http://me:secret@registry"}}, "set username and password apart"},
		{kafka.Options{URL: "kafka://broker", Encoding: uplink.Protobuf, Registry: kafka.Registry{URL: "http://me:secret@regi stry"}}, "registry's URL"},
	} {
		_, err := kafka.New(c.o)
		switch {
		case err == nil && c.want != "":
			t.Errorf("%s: no error, want %q", c.o.URL, c.want)
		case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.o.URL, err, c.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// TestSecrets prints options and sinks in every way that logs and errors do.
func TestSecrets(t *testing.T) {
	o := kafka.Options{
		URL: "kafka://a", Username: "van", Password: "s3cret", Encoding: uplink.Protobuf,
		Registry: kafka.Registry{URL: "http://registry", Username: "van", Password: "s3cret"},
	}
	plain, err := kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	once, err := kafka.NewTransactional(o, kafka.TransactionOptions{ID: "van"})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, v := range []any{o, &o, o.Registry, &o.Registry, plain, *plain, once, *once} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&text, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&text, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&text, nil)).Info("json", "v", v)
	}
	if i := strings.Index(text.String(), "s3cret"); i >= 0 {
		t.Errorf("the password is printed: ...%s", text.String()[max(0, i-300):i+6])
	}
	if !strings.Contains(text.String(), "[secret]") {
		t.Error("nothing says that there is a password")
	}
}

// TestCompression sends with every codec what is then read as it was.
func TestCompression(t *testing.T) {
	sizes := make(map[string]uint64)
	for _, codec := range []string{"none", "snappy", "lz4", "zstd", "gzip"} {
		broker, link := start(t, kafkabroker.Options{})
		sink, err := kafka.New(kafka.Options{URL: "kafka://" + link.Addr(), Compression: codec})
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		if err := sink.Send(t.Context(), uplinktest.Records(1, 1000)); err != nil {
			t.Fatal(err)
		}
		if got := len(received(t, broker, uplink.JSON, "milepost.records")); got != 1000 {
			t.Errorf("%s: received %d of 1000 records", codec, got)
		}
		sizes[codec], _ = sink.Traffic()
	}
	for codec, size := range sizes {
		if codec != "none" && size > sizes["none"]/3 {
			t.Errorf("%s sent %d bytes, uncompressed it were %d", codec, size, sizes["none"])
		}
	}
}

// TestTraffic compares what the sink counts with what passed through the link,
// with and without TLS.
func TestTraffic(t *testing.T) {
	a := newAuthority(t)
	for _, scheme := range []string{"kafka", "kafkas"} {
		var o kafkabroker.Options
		if scheme == "kafkas" {
			path := a.issue(t, "broker", time.Now().Add(time.Hour))
			o.TLS = &tls.Config{Certificates: a.client(t, path).Certificates, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert}
		}
		_, link := start(t, o)
		client := a.client(t, a.issue(t, "gateway", time.Now().Add(time.Hour)))
		sink, err := kafka.New(kafka.Options{URL: scheme + "://" + link.Addr(), TLS: client})
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		if sent, received := sink.Traffic(); sent != 0 || received != 0 {
			t.Errorf("%s: %d and %d bytes before anything was sent", scheme, sent, received)
		}
		for i := range uint64(3) {
			if err := sink.Send(t.Context(), uplinktest.Records(i*100+1, 100)); err != nil {
				t.Fatal(err)
			}
		}
		sent, received := sink.Traffic()
		if passed := uint64(link.Passed()); sent != passed || received == 0 {
			t.Errorf("%s: the sink has counted %d bytes, %d have passed; %d came back", scheme, sent, passed, received)
		}
	}
}

// TestPasswords logs in. That a password is wrong kfake says by hanging up, which
// TestRealPasswords has Kafka say in words.
func TestPasswords(t *testing.T) {
	broker, link := start(t, kafkabroker.Options{Users: map[string]string{"van": "right"}})
	for i, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		o := kafka.Options{URL: "kafka://" + link.Addr(), Username: "van", Password: "wr0ng", SASL: mechanism}
		wrong, err := kafka.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer wrong.Close()
		err = wrong.Send(t.Context(), uplinktest.Records(1, 1))
		if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), "a login") || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s with a wrong password: %v", mechanism, err)
		}
		o.Password = "right"
		right, err := kafka.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer right.Close()
		if err := right.Send(t.Context(), uplinktest.Records(1, 10)); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		if got := len(received(t, broker, uplink.JSON, "milepost.records")); got != 10*(i+1) {
			t.Errorf("%s: %d records have arrived, want %d", mechanism, got, 10*(i+1))
		}
	}
}

func TestCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	good := a.issue(t, "gateway", time.Now().Add(time.Hour))
	for _, c := range []struct {
		name   string
		broker string // its certificate
		client *tls.Config
		want   string // in the error; "" is none
	}{
		{"both good", a.issue(t, "good", time.Now().Add(time.Hour)), a.client(t, good), ""},
		{"the broker's has expired", a.issue(t, "old", time.Now().Add(-time.Hour)), a.client(t, good), "renew the broker's certificate"},
		{"the broker's is of a stranger", stranger.issue(t, "strange", time.Now().Add(time.Hour)), a.client(t, good), "name the authority"},
		{"the client has none", a.issue(t, "good", time.Now().Add(time.Hour)), a.client(t, ""), "does not take this client's certificate"},
		{"the client's has expired", a.issue(t, "good", time.Now().Add(time.Hour)), a.client(t, a.issue(t, "late", time.Now().Add(-time.Hour))), "does not take this client's certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, link := start(t, kafkabroker.Options{TLS: &tls.Config{
				Certificates: a.client(t, c.broker).Certificates, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert,
			}})
			sink, err := kafka.New(kafka.Options{URL: "kafkas://" + link.Addr(), TLS: c.client})
			if err != nil {
				t.Fatal(err)
			}
			defer sink.Close()
			err = sink.Send(t.Context(), uplinktest.Records(1, 1))
			if (err == nil) != (c.want == "") || uplink.IsPermanent(err) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		o    kafka.Options
		want string
	}{
		{kafka.Options{}, "boot seq content-type=application/json schema=milepost.v1.Record"},
		{kafka.Options{Encoding: uplink.Protobuf}, "boot seq content-type=application/x-protobuf schema=milepost.v1.Record"},
		{kafka.Options{Encoding: uplink.OTLP}, "boot seq content-type=application/x-protobuf schema=opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest"},
		{kafka.Options{NoFormatHeaders: true}, "boot seq"},
	} {
		broker, link := start(t, kafkabroker.Options{})
		c.o.URL = "kafka://" + link.Addr()
		sink, err := kafka.New(c.o)
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		if err := sink.Send(t.Context(), uplinktest.Records(1, 2)); err != nil {
			t.Fatal(err)
		}
		messages, err := broker.Messages(t.Context(), "milepost.records")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			var got []string
			for _, h := range m.Headers {
				if h.Key == "boot" || h.Key == "seq" { // which decode compares
					got = append(got, h.Key)
				} else {
					got = append(got, h.Key+"="+string(h.Value))
				}
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("headers %s, want %s", text, c.want)
			}
		}
	}
}

// TestTopics sends records to topics of their own: what cannot be in a topic's name
// is replaced, and a name that cannot be is poison, not an outage.
func TestTopics(t *testing.T) {
	broker, link := start(t, kafkabroker.Options{})
	sink, err := kafka.New(kafka.Options{URL: "kafka://" + link.Addr() + "/{device}.{message}.{signal}.{id}", Encoding: uplink.OTLP})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	records := uplinktest.Records(1, 20)
	for i := range records {
		if i >= 10 {
			records[i].Device = "van/18"
		}
	}
	if err := sink.Send(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		topic string
		want  []uint64
	}{
		{"van-17.ENGINE_1.EngineSpeed.1A4", []uint64{5, 10}},
		{"van_18.ENGINE_1.OilTemp.1A4", []uint64{11, 16}},
		{"van-17.CCVS.Odd__name___with_a_tab.18FEF100", []uint64{3, 8}},
		{"van_18.cabin.humidity._", []uint64{14, 19}},
	} {
		var got []uint64
		for _, r := range received(t, broker, uplink.OTLP, c.topic) {
			got = append(got, r.Sequence)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: received %v, want %v", c.topic, got, c.want)
		}
	}
	records[3].Device = strings.Repeat("x", 240)
	if err := sink.Send(t.Context(), records); fmt.Sprint(uplink.Poisoned(err)) != "[3]" {
		t.Errorf("a topic of more than 249 characters: %v, want a permanent error that names record 3", err)
	}
}
