package kafka_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"milepost/uplink"
	"milepost/uplink/kafka"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/kafkabroker"
)

func registered(t *testing.T, o kafka.Options) *kafka.Sink {
	t.Helper()
	o.Encoding = uplink.Protobuf
	sink, err := kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// TestRegistry reads messages as a consumer does that knows nothing but the
// registry, and compares them byte by byte with the format as Confluent specifies
// it.
func TestRegistry(t *testing.T) {
	registry := srfake.New(srfake.WithAuth("Basic " + base64.StdEncoding.EncodeToString([]byte("van:secret"))))
	defer registry.Close()
	registry.SeedSchema("another-value", 1, 0x01020304, sr.Schema{Schema: `syntax = "proto3"; message Other {}`, Type: sr.TypeProtobuf})
	broker, link := start(t, kafkabroker.Options{})
	sink := registered(t, kafka.Options{
		URL:      "kafka://" + link.Addr() + "/fleet.{bus}",
		Registry: kafka.Registry{URL: registry.URL(), Username: "van", Password: "secret"},
	})
	sent := uplinktest.Records(1, 50)
	if err := sink.Send(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	reader, err := sr.NewClient(sr.URLs(registry.URL()), sr.BasicAuth("van", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	received := 0
	for _, bus := range []string{"can0", "can1", "gpio"} {
		subject, err := reader.SchemaByVersion(t.Context(), "fleet."+bus+"-value", 1)
		if err != nil {
			t.Fatal(err)
		}
		if subject.Type != sr.TypeProtobuf || subject.Schema.Schema != uplink.ProtobufSchema {
			t.Errorf("%s: the schema is %v: %.50q", bus, subject.Type, subject.Schema.Schema)
		}
		messages, err := broker.Messages(t.Context(), "fleet."+bus)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(subject.ID))
			frame = append(frame, 0) // the index: the first message of the file
			if len(m.Value) < 6 || !slices.Equal(m.Value[:6], frame) {
				t.Fatalf("%s: a value begins with % x, want % x", bus, m.Value[:6], frame)
			}
			id, rest, err := new(sr.ConfluentHeader).DecodeID(m.Value)
			if err != nil {
				t.Fatal(err)
			}
			index, rest, err := new(sr.ConfluentHeader).DecodeIndex(rest, 1)
			if err != nil || fmt.Sprint(index) != "[0]" || id != subject.ID {
				t.Fatalf("%s: schema %d, index %v, %v", bus, id, index, err)
			}
			r, err := uplink.DecodeRecord(rest)
			if err != nil {
				t.Fatal(err)
			}
			if want := uplink.AppendProtobuf(nil, &sent[r.Sequence-1]); !slices.Equal(rest, want) || r.Group.Bus != bus {
				t.Errorf("record %d of %s is % x, want % x", r.Sequence, r.Group.Bus, rest, want)
			}
			received++
		}
	}
	if received != len(sent) {
		t.Errorf("received %d of %d records", received, len(sent))
	}
}

// TestSchemaIndex: the frame says that milepost.v1.Record is the first message of
// its file.
func TestSchemaIndex(t *testing.T) {
	_, after, _ := strings.Cut(uplink.ProtobufSchema, "\nmessage ")
	if !strings.HasPrefix(after, "Record {") {
		t.Errorf("the first message of milepost.proto is %.20q", after)
	}
}

// TestRegistryFails has a registry that cannot be reached, refuses, and knows
// nothing: no record is poison for that, nothing is sent, and what comes after is.
func TestRegistryFails(t *testing.T) {
	broker, link := start(t, kafkabroker.Options{})
	attempt := func(name string, o kafka.Registry, want string) {
		t.Helper()
		sink := registered(t, kafka.Options{URL: "kafka://" + link.Addr(), Registry: o})
		err := sink.Send(t.Context(), uplinktest.Records(1, 10))
		if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	attempt("nobody there", kafka.Registry{URL: "http://" + l.Addr().String()}, "schema registry "+l.Addr().String())

	registry := srfake.New(srfake.WithAuth("Basic right"))
	defer registry.Close()
	attempt("wrong password", kafka.Registry{URL: registry.URL(), Username: "van", Password: "secret"}, "check its username")

	open := srfake.New()
	defer open.Close()
	lookup := kafka.Registry{URL: open.URL(), LookupOnly: true}
	attempt("not registered", lookup, "register milepost.proto")

	open.SeedSchema("milepost.records-value", 1, 7, sr.Schema{Schema: uplink.ProtobufSchema, Type: sr.TypeProtobuf})
	down := true
	open.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if down {
			http.Error(w, "later", http.StatusServiceUnavailable)
		}
		return down
	})
	sink := registered(t, kafka.Options{URL: "kafka://" + link.Addr(), Registry: lookup})
	if err := sink.Send(t.Context(), uplinktest.Records(1, 10)); err == nil || uplink.IsPermanent(err) {
		t.Errorf("the registry is down: %v", err)
	}
	if got, err := broker.Messages(t.Context(), "milepost.records"); err != nil || len(got) > 0 {
		t.Errorf("%d messages were sent without a schema, %v", len(got), err)
	}
	down = false
	if err := sink.Send(t.Context(), uplinktest.Records(1, 10)); err != nil {
		t.Fatal(err)
	}
	if got, err := broker.Messages(t.Context(), "milepost.records"); err != nil || len(got) != 10 {
		t.Errorf("%d messages were sent, want 10, %v", len(got), err)
	}
}
