package http_test

import (
	"errors"
	"fmt"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/http"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/httpserver"
)

// TestStatuses has servers refuse a group in every way: only two blame the
// records, and none loses them.
func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		status    int
		permanent bool
		words     string
	}{
		{400, true, "400 Bad Request: told so"},
		{401, false, "check token"},
		{402, false, "402"},
		{403, false, "check token"},
		{404, false, "check the URL's path"},
		{405, false, "nothing can be posted there"},
		{407, false, "wants a user"},
		{408, false, "408"},
		{409, false, "409"},
		{410, false, "410"},
		{415, false, "check the sink's encoding"},
		{422, true, "422"},
		{425, false, "425"},
		{429, false, "429 Too Many Requests: told so"},
		{300, false, "redirection to nowhere"},
		{304, false, "304"},
		{500, false, "500"},
		{502, false, "502"},
		{503, false, "503"},
		{504, false, "504"},
		{599, false, "599"},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			server := start(t, httpserver.Options{})
			sink := newSink(t, http.Options{URL: server.URL() + "/in?key=hunter2"})
			server.Fail(httpserver.Fault{Status: c.status, Body: `{"message":"told\n so"}`})
			err := sink.Send(t.Context(), uplinktest.Records(1, 10))
			if err == nil || uplink.IsPermanent(err) != c.permanent || uplink.Poisoned(err) != nil {
				t.Fatalf("Send: %v, permanent %t, want %t", err, uplink.IsPermanent(err), c.permanent)
			}
			has(t, err, c.words, server.URL()+"/in")
			received(t, server, 0, 0)
			send(t, sink, uplinktest.Records(1, 10))
			received(t, server, 10, 1)
		})
	}
}

func TestOneInvalidRecordIsNamed(t *testing.T) {
	server := start(t, httpserver.Options{Refuse: refusePoison})
	sink := newSink(t, http.Options{URL: server.URL()})
	err := sink.Send(t.Context(), []uplink.Record{poison(1)})
	if !uplink.IsPermanent(err) || fmt.Sprint(uplink.Poisoned(err)) != "[0]" {
		t.Errorf("Send: %v, poison %v, want [0]", err, uplink.Poisoned(err))
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		header map[string]string
		want   time.Duration
	}{
		{map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{map[string]string{"Retry-After": " 0"}, 0},
		{map[string]string{}, 0},
		{map[string]string{"Retry-After": "-1"}, 0},
		{map[string]string{"Retry-After": "soon"}, 0},
		{map[string]string{"Retry-After": "86400"}, 15 * time.Minute},
		{map[string]string{"Retry-After": "99999999999999999999999"}, 15 * time.Minute},
		// A clock that was never set must not matter: the server's own counts.
		{map[string]string{"Retry-After": "Thu, 01 Jan 1970 00:02:00 GMT", "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}, 2 * time.Minute},
		{map[string]string{"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT", "Date": "Thu, 01 Jan 1970 00:02:00 GMT"}, 0},
		{map[string]string{"Retry-After": "Fri, 31 Dec 2100 00:00:00 GMT"}, 15 * time.Minute},
	} {
		server := start(t, httpserver.Options{})
		sink := newSink(t, http.Options{URL: server.URL()})
		header := make(nethttp.Header)
		for name, value := range c.header {
			header.Set(name, value)
		}
		server.Fail(httpserver.Fault{Status: 503, Header: header})
		err := fails(t, sink, uplinktest.Records(1, 10), "503")
		var wants interface{ RetryAfter() time.Duration }
		got := time.Duration(0)
		if errors.As(err, &wants) {
			got = wants.RetryAfter()
		}
		if got != c.want {
			t.Errorf("%v: after %v, want %v", c.header, got, c.want)
		}
	}
}

// TestTooLarge has a server that takes small bodies only: the sink finds out how
// small, and which record is too large for any.
func TestTooLarge(t *testing.T) {
	for _, o := range []http.Options{{}, {Encoding: uplink.OTLP, Compression: "none"}, {Form: http.KafkaRESTv2}, {Form: http.KafkaRESTv3}} {
		t.Run(fmt.Sprint(o.Form, " ", o.Encoding), func(t *testing.T) {
			server := start(t, httpserver.Options{MaxBody: 5000})
			o.URL = server.URL()
			sink := newSink(t, o)
			records := uplinktest.Records(1, 200)
			records[100] = long(101, 6000)
			err := sink.Send(t.Context(), records)
			if !uplink.IsPermanent(err) || fmt.Sprint(uplink.Poisoned(err)) != "[100]" {
				t.Fatalf("Send: %v, poison %v, want [100]", err, uplink.Poisoned(err))
			}
			has(t, err, "413")
			rest := append(records[:100:100], records[101:]...)
			send(t, sink, rest)
			if got := len(server.Records()); got != 199 {
				t.Errorf("%d records arrived, want 199: what was taken must not be sent again", got)
			}
			before := len(server.Requests())
			send(t, sink, uplinktest.Records(1001, 200))
			for _, r := range server.Requests()[before:] {
				if r.Status != 200 {
					t.Errorf("a request was answered with %d: the limit was not learnt", r.Status)
				}
			}
		})
	}
}

func TestLargerThanMaxBody(t *testing.T) {
	server := start(t, httpserver.Options{})
	sink := newSink(t, http.Options{URL: server.URL(), MaxBody: 3000})
	records := uplinktest.Records(1, 10)
	records[3] = long(4, 3000)
	err := sink.Send(t.Context(), records)
	if !uplink.IsPermanent(err) || fmt.Sprint(uplink.Poisoned(err)) != "[3]" {
		t.Fatalf("Send: %v, poison %v, want [3]", err, uplink.Poisoned(err))
	}
	has(t, err, "3000 bytes", server.Addr())
}

func long(sequence uint64, n int) uplink.Record {
	r := uplinktest.Records(sequence, 1)[0]
	group := *r.Group
	group.Name = strings.Repeat("x", n)
	r.Group = &group
	return r
}

// TestCompressionRefused has servers that know nothing of compressed bodies. One
// that takes them for garbage blames the records: none may be lost for that, nor
// delivered twice.
func TestCompressionRefused(t *testing.T) {
	server := start(t, httpserver.Options{Plain: true})
	sink := newSink(t, http.Options{URL: server.URL(), Compression: "zstd"})
	fails(t, sink, uplinktest.Records(1, 10), "zstd", "compression to none")
	received(t, server, 10, 1) // it was tried whether it is the compression
	send(t, sink, uplinktest.Records(1, 10))
	received(t, server, 10, 1)
	for range 2 {
		fails(t, sink, uplinktest.Records(11, 10), "compression to none")
	}
	received(t, server, 10, 1)

	server = start(t, httpserver.Options{})
	sink = newSink(t, http.Options{URL: server.URL(), Compression: "gzip"})
	server.Fail(httpserver.Fault{Status: 415})
	fails(t, sink, uplinktest.Records(1, 10), "415", "gzip", "compression to none")
	send(t, sink, uplinktest.Records(1, 10))
}

func TestPoisonToCompressedIsPoison(t *testing.T) {
	server := start(t, httpserver.Options{Refuse: refusePoison})
	sink := newSink(t, http.Options{URL: server.URL(), Compression: "gzip"})
	for range 2 { // before and after a compressed body was taken
		if err := sink.Send(t.Context(), []uplink.Record{poison(1)}); !uplink.IsPermanent(err) {
			t.Errorf("Send: %v, want a permanent error", err)
		}
		send(t, sink, uplinktest.Records(1, 10))
	}
}
