package http_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/http"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/httpserver"
	"milepost/uplink/uplinktest/proxy"
)

func TestContract(t *testing.T) {
	for _, c := range []struct {
		name string
		o    http.Options
	}{
		{"json lines, uncompressed", http.Options{}},
		{"json array, gzip, small bodies", http.Options{JSONArray: true, Compression: "gzip", MaxBody: 20_000}},
		{"protobuf, zstd", http.Options{Encoding: uplink.Protobuf, Compression: "zstd"}},
		{"otlp", http.Options{Encoding: uplink.OTLP}},
		{"REST v2, protobuf, gzip", http.Options{Form: http.KafkaRESTv2, Encoding: uplink.Protobuf, Compression: "gzip"}},
		{"REST v3, json, small bodies", http.Options{Form: http.KafkaRESTv3, MaxBody: 20_000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			uplinktest.TestSink(t, func(t *testing.T) uplinktest.Harness { return harness(t, c.o) })
		})
	}
}

// tooLarge is what Kafka's client says of a record.
const tooLarge = "The message is 1048600 bytes when serialized which is larger than 1048576, which is the value of the max.request.size configuration."

// refusePoison refuses the records that poison makes.
func refusePoison(r *uplink.Record) string {
	if strings.Contains(r.Group.Name, "POISON") {
		return tooLarge
	}
	return ""
}

func poison(sequence uint64) uplink.Record {
	r := uplinktest.Records(sequence, 1)[0]
	group := *r.Group
	group.Name = "POISON"
	r.Group = &group
	return r
}

func harness(t *testing.T, o http.Options) uplinktest.Harness {
	server := start(t, httpserver.Options{Refuse: refusePoison})
	link := through(t, server)
	o.URL = "http://" + link.Addr()
	hasty := o
	hasty.StallTimeout, hasty.AnswerTimeout = 300*time.Millisecond, 300*time.Millisecond
	return uplinktest.Harness{
		Sink:     newSink(t, o),
		Address:  link.Addr(),
		Received: server.Records,
		Break:    link.Cut, Heal: link.Heal, BreakAfter: link.CutAfter, Stall: link.Stall,
		Hasty:      func(t *testing.T) uplink.Sink { return newSink(t, hasty) },
		Poison:     poison,
		KeysOnly:   o.Encoding == uplink.OTLP,
		Goroutines: []string{"milepost/uplink/http.", "net/http.(*persistConn)"},
	}
}

func start(t *testing.T, o httpserver.Options) *httpserver.Server {
	t.Helper()
	server, err := httpserver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	return server
}

func through(t *testing.T, server *httpserver.Server) *proxy.Proxy {
	t.Helper()
	link, err := proxy.Start(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return link
}

func newSink(t *testing.T, o http.Options) *http.Sink {
	t.Helper()
	sink, err := http.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// persist sends records as often as it takes.
func persist(t *testing.T, sink *http.Sink, records []uplink.Record) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		err := sink.Send(t.Context(), records)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func send(t *testing.T, sink *http.Sink, records []uplink.Record) {
	t.Helper()
	if err := sink.Send(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// fails expects a transient error that has the words in it, and the secrets not.
func fails(t *testing.T, sink *http.Sink, records []uplink.Record, words ...string) error {
	t.Helper()
	err := sink.Send(t.Context(), records)
	if err == nil || uplink.IsPermanent(err) || errors.Is(err, uplink.ErrGone) {
		t.Fatalf("Send: %v, want a transient error", err)
	}
	has(t, err, words...)
	return err
}

func has(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is missing in: %v", word, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells a secret: %v", err)
	}
}

// received expects the server to have the records from 1 to n, each times times.
func received(t *testing.T, server *httpserver.Server, n uint64, times int) {
	t.Helper()
	count := make(map[uint64]int)
	for _, r := range server.Records() {
		count[r.Sequence]++
	}
	wrong := 0
	for sequence := uint64(1); sequence <= n; sequence++ {
		if count[sequence] != times {
			if wrong++; wrong <= 3 {
				t.Errorf("record %d arrived %d times, want %d", sequence, count[sequence], times)
			}
		}
		delete(count, sequence)
	}
	if wrong > 3 {
		t.Errorf("%d records arrived as often as they should not", wrong)
	}
	if len(count) != 0 {
		t.Errorf("%d records arrived that were not sent", len(count))
	}
}
