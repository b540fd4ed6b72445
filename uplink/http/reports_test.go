package http_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/http"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/httpserver"
)

var restForms = []http.Form{http.KafkaRESTv2, http.KafkaRESTv3}

// TestPartialFailure has a proxy that gets some records of a request into Kafka:
// only the others are sent again.
func TestPartialFailure(t *testing.T) {
	for _, form := range restForms {
		for _, code := range []int{2, 50003, 50002, 500, 50301, 429, 408, 40301, 40403, 40101} {
			t.Run(fmt.Sprint(form, " ", code), func(t *testing.T) {
				server := start(t, httpserver.Options{})
				sink := newSink(t, http.Options{URL: server.URL(), Form: form})
				server.Fail(httpserver.Fault{Code: code, From: 10, To: 15}, httpserver.Fault{Code: code, From: 2})
				fails(t, sink, uplinktest.Records(1, 30), fmt.Sprint(code), "5 of 30", server.Addr())
				fails(t, sink, uplinktest.Records(1, 30), "3 of 30")
				send(t, sink, uplinktest.Records(1, 30))
				received(t, server, 30, 1)
			})
		}
	}
}

// TestEmbedded has both forms carry both encodings, compressed too; that a
// message's key and headers are right is what the server checks.
func TestEmbedded(t *testing.T) {
	for _, form := range restForms {
		for _, encoding := range []uplink.Encoding{uplink.JSON, uplink.Protobuf} {
			for _, compression := range []string{"none", "gzip", "zstd"} {
				server := start(t, httpserver.Options{})
				sink := newSink(t, http.Options{URL: server.URL(), Form: form, Encoding: encoding, Compression: compression})
				send(t, sink, uplinktest.Records(1, 50))
				received(t, server, 50, 1)
			}
		}
	}
}

// TestRefusedRecords has a proxy that will not take some records for good.
func TestRefusedRecords(t *testing.T) {
	for _, form := range restForms {
		for _, code := range []int{400, 40002, 413, 422, 42206} {
			server := start(t, httpserver.Options{})
			sink := newSink(t, http.Options{URL: server.URL(), Form: form})
			server.Fail(httpserver.Fault{Code: code, From: 3, To: 5})
			err := sink.Send(t.Context(), uplinktest.Records(1, 10))
			if !uplink.IsPermanent(err) || fmt.Sprint(uplink.Poisoned(err)) != "[3 4]" {
				t.Errorf("%v: Send: %v, poison %v, want [3 4]", form, err, uplink.Poisoned(err))
			}
			if got := len(server.Records()); got != 8 {
				t.Errorf("%v: %d records arrived, want 8", form, got)
			}
		}
	}
}

// TestStrimzi answers as Strimzi's bridge does: 500 for whatever befalls a
// record, so that its words have to tell.
func TestStrimzi(t *testing.T) {
	server := start(t, httpserver.Options{})
	sink := newSink(t, http.Options{URL: server.URL(), Form: http.KafkaRESTv2})
	server.Fail(httpserver.Fault{Status: 200, Body: `{"offsets":[{"partition":0,"offset":5},
		{"error_code":500,"message":"The request included a message larger than the max message size the server will accept."}]}`})
	err := sink.Send(t.Context(), uplinktest.Records(1, 2))
	if !uplink.IsPermanent(err) || fmt.Sprint(uplink.Poisoned(err)) != "[1]" {
		t.Errorf("Send: %v, poison %v, want [1]", err, uplink.Poisoned(err))
	}
	server.Fail(httpserver.Fault{Status: 200, Body: `{"offsets":[{"partition":0,"offset":5},{"error_code":500,"message":"Expiring 1 record(s) for t-0:120000 ms has passed since batch creation"}]}`})
	fails(t, sink, uplinktest.Records(11, 2), "Expiring 1 record(s)", "1 of 2")
}

// TestStrangeAnswers are those of servers that are no REST proxy, or broken: none
// acknowledges anything.
func TestStrangeAnswers(t *testing.T) {
	for _, form := range restForms {
		for _, answer := range []string{
			"", "{", "{}", "[]", "null", "true", `"offsets"`, "OK", `{"offsets":{}}`, `{"offsets":null}`,
			`{"offsets":[]}`,
			`{"offsets":[{"partition":0,"offset":1}]}`,
			`{"offsets":[{"partition":0,"offset":1},{"partition":0,"offset":2},{"partition":0,"offset":3}]}`,
			`{"offsets":[{"partition":0,"offset":1},{"partition":0,"offset":2}`,
			`{"offsets":[{"partition":0,"offset":1}],"offsets":[{"partition":0,"offset":1}]}`,
			`{"error_code":200,"offset":1}`,
			`{"error_code":200,"offset":1}{"error_code":200,"offset":2}{"error_code":200,"offset":3}`,
			`{"error_code":200,"offset":1}{"error_code":200,`,
			`{"error_code":"no"}`,
			`<!DOCTYPE html><title>Welcome to the train's WLAN</title>`,
		} {
			server := start(t, httpserver.Options{})
			sink := newSink(t, http.Options{URL: server.URL(), Form: form})
			server.Fail(httpserver.Fault{Status: 200, Body: answer})
			err := sink.Send(t.Context(), uplinktest.Records(1, 2))
			if err == nil || uplink.IsPermanent(err) {
				t.Errorf("%v, answer %s: %v, want a transient error", form, answer, err)
			}
		}
	}
}

func TestResumeAfter(t *testing.T) {
	server := start(t, httpserver.Options{})
	sink := newSink(t, http.Options{URL: server.URL(), Form: http.KafkaRESTv3})
	server.Fail(httpserver.Fault{Status: 200, Body: `{"error_code":429,"message":"Rate limit exceeded","resume_after_ms":1500}`})
	err := fails(t, sink, uplinktest.Records(1, 3), "429 Rate limit exceeded")
	var wants interface{ RetryAfter() time.Duration }
	if !errors.As(err, &wants) || wants.RetryAfter() != 1500*time.Millisecond {
		t.Errorf("%v does not say when to come again", err)
	}
}

func TestCluster(t *testing.T) {
	server := start(t, httpserver.Options{Clusters: []string{"a/b"}, Topics: []string{"drives-van-17"}})
	sink := newSink(t, http.Options{URL: server.URL() + "/kafka/", Form: http.KafkaRESTv3, Topic: "drives-{device}"})
	send(t, sink, uplinktest.Records(1, 3))
	requests := server.Requests()
	if len(requests) != 2 || requests[0].Path != "/kafka/v3/clusters" || requests[1].Path != "/kafka/v3/clusters/a%2Fb/topics/drives-van-17/records" {
		t.Errorf("requests: %v", requests)
	}

	server = start(t, httpserver.Options{Clusters: []string{"a", "b"}})
	sink = newSink(t, http.Options{URL: server.URL(), Form: http.KafkaRESTv3})
	fails(t, sink, uplinktest.Records(1, 3), "(a, b)", "set the sink's cluster")
	sink = newSink(t, http.Options{URL: server.URL(), Form: http.KafkaRESTv3, Cluster: "b"})
	send(t, sink, uplinktest.Records(1, 3))

	server = start(t, httpserver.Options{Clusters: []string{}})
	sink = newSink(t, http.Options{URL: server.URL(), Form: http.KafkaRESTv3})
	fails(t, sink, uplinktest.Records(1, 3), "names no cluster")
}

func TestTopicMissing(t *testing.T) {
	for _, form := range restForms {
		server := start(t, httpserver.Options{Topics: []string{}})
		sink := newSink(t, http.Options{URL: server.URL(), Form: form})
		fails(t, sink, uplinktest.Records(1, 3), "404", "topic exists", "milepost.records")
	}
}

// TestPartialSuccess has an OpenTelemetry server drop points: it does not say
// which, and must not be asked again.
func TestPartialSuccess(t *testing.T) {
	server := start(t, httpserver.Options{Refuse: refusePoison, DropPoints: true})
	sink := newSink(t, http.Options{URL: server.URL(), Encoding: uplink.OTLP})
	records := uplinktest.Records(1, 10)
	records[2], records[5] = poison(3), poison(6)
	err := sink.Send(t.Context(), records)
	if !uplink.IsPermanent(err) || len(uplink.Poisoned(err)) != 2 {
		t.Fatalf("Send: %v, poison %v, want 2", err, uplink.Poisoned(err))
	}
	has(t, err, "dropped 2 data points of 10", "does not say which", "out of range")
	send(t, sink, records[:8])
	if got := len(server.Requests()); got != 1 {
		t.Errorf("%d requests, want 1: what was partly taken must not be sent again", got)
	}
}

func TestPartialSuccessInJSON(t *testing.T) {
	for answer, want := range map[string]int{
		`{}`: 0,
		`{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"no"}}`:  3,
		`{"partialSuccess":{"rejectedDataPoints":2}}`:                        2,
		`{"partialSuccess":{"rejectedDataPoints":"0","errorMessage":"old"}}`: 0,
		`{"partialSuccess":{"rejectedDataPoints":"99"}}`:                     10,
		`{"partialSuccess":{"rejectedDataPoints":"-1"}}`:                     0,
		`{"partialSuccess":`: 0,
	} {
		server := start(t, httpserver.Options{})
		sink := newSink(t, http.Options{URL: server.URL(), Encoding: uplink.OTLP})
		server.Fail(httpserver.Fault{Status: 200, Body: answer})
		err := sink.Send(t.Context(), uplinktest.Records(1, 10))
		if got := len(uplink.Poisoned(err)); got != want || err != nil && !uplink.IsPermanent(err) {
			t.Errorf("%s: %v, %d dropped, want %d", answer, err, got, want)
		}
	}
}
