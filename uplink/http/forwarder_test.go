package http_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/http"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/httpserver"
	"milepost/uplink/uplinktest/proxy"
)

const (
	entries         = 40
	recordsAnEntry  = 25
	scenarioRecords = entries * recordsAnEntry
)

// queue holds entries that stand for the records from 1 on.
func queue() *uplinktest.Queue {
	q := uplinktest.NewQueue()
	for i := range uint64(entries) {
		q.Append(binary.BigEndian.AppendUint64(nil, 1+i*recordsAnEntry), 0)
	}
	q.End()
	return q
}

func decode(payload []byte, dst []uplink.Record) ([]uplink.Record, error) {
	return append(dst, uplinktest.Records(binary.BigEndian.Uint64(payload), recordsAnEntry)...), nil
}

// scenario is a server, the link to it and a sink, and what befalls them.
type scenario struct {
	name string
	// begin is called before the Forwarder runs, trouble each time that a request
	// was answered or has failed.
	options httpserver.Options
	begin   func(t *testing.T, server *httpserver.Server, link *proxy.Proxy)
	trouble func(failures uint64, server *httpserver.Server, link *proxy.Proxy)
	records int // in a group, at most; 100 if 0
	// failures that there must have been, at least; poisoned records, exactly.
	failures, poisoned uint64
}

// TestForwarder drives the sink with a Forwarder through all that goes wrong on
// the way: the counters balance, each record arrives once where the server heeds
// the idempotency key, and none is lost.
func TestForwarder(t *testing.T) {
	unavailable := httpserver.Fault{Status: 503}
	scenarios := []scenario{
		{
			name:  "the server is down at boot",
			begin: func(t *testing.T, server *httpserver.Server, _ *proxy.Proxy) { server.Stop() },
			trouble: func(failures uint64, server *httpserver.Server, _ *proxy.Proxy) {
				if failures == 5 {
					server.Restart()
				}
			},
			failures: 5,
		},
		{
			name:  "answers are lost",
			begin: func(_ *testing.T, server *httpserver.Server, _ *proxy.Proxy) { lose(server, 7) },
			// The first of them can be on a connection that was used before.
			failures: 4,
		},
		{
			name: "the server is killed in the midst of requests",
			begin: func(_ *testing.T, server *httpserver.Server, _ *proxy.Proxy) {
				server.Fail(httpserver.Fault{}, httpserver.Fault{Hang: true, Take: true})
			},
			trouble: func(failures uint64, server *httpserver.Server, _ *proxy.Proxy) {
				if failures == 1 {
					server.Stop()
				}
				if failures == 4 {
					server.Restart()
				}
			},
			failures: 4,
		},
		{
			name:  "the link is cut",
			begin: func(_ *testing.T, _ *httpserver.Server, link *proxy.Proxy) { link.CutAfter(30_000) },
			trouble: func(failures uint64, _ *httpserver.Server, link *proxy.Proxy) {
				if failures > 0 && failures < 6 {
					link.Heal()
					link.CutAfter(int64(20_000 + 7000*failures))
				} else if failures >= 6 {
					link.Heal()
				}
			},
			failures: 3,
		},
		{
			name:    "a round trip of 200 ms",
			begin:   func(_ *testing.T, _ *httpserver.Server, link *proxy.Proxy) { link.SetLatency(100 * time.Millisecond) },
			records: 500,
		},
		{
			name: "too many requests",
			begin: func(_ *testing.T, server *httpserver.Server, _ *proxy.Proxy) {
				limited := httpserver.Fault{Status: 429, Header: nethttp.Header{"Retry-After": {"0"}}}
				server.Fail(httpserver.Fault{}, limited, limited, httpserver.Fault{}, limited, unavailable)
			},
			failures: 4,
		},
		{
			name:    "bodies are too large",
			options: httpserver.Options{MaxBody: 9000},
		},
		{
			name:     "poison",
			options:  httpserver.Options{Refuse: everyNth(100)},
			poisoned: scenarioRecords / 100,
		},
		{
			name: "everything at once",
			begin: func(_ *testing.T, server *httpserver.Server, link *proxy.Proxy) {
				link.SetLatency(2 * time.Millisecond)
				for range 4 {
					server.Fail(unavailable, httpserver.Fault{Drop: true, Take: true}, httpserver.Fault{Drop: true}, httpserver.Fault{Code: 50003, From: 20, To: 60}, httpserver.Fault{})
				}
			},
			options:  httpserver.Options{Refuse: everyNth(500), MaxBody: 40_000},
			failures: 4, // drops of a connection that was used before are made good at once
			poisoned: scenarioRecords / 500,
		},
	}
	for _, s := range scenarios {
		for _, form := range []http.Form{http.Generic, http.KafkaRESTv2, http.KafkaRESTv3} {
			t.Run(fmt.Sprint(s.name, ", ", form), func(t *testing.T) {
				t.Parallel()
				s.run(t, form)
			})
		}
	}
}

// everyNth refuses a record of n.
func everyNth(n uint64) func(*uplink.Record) string {
	return func(r *uplink.Record) string {
		if r.Sequence%n == 7 {
			return tooLarge
		}
		return ""
	}
}

// lose makes the next answers get lost.
func lose(server *httpserver.Server, n int) {
	for range n {
		server.Fail(httpserver.Fault{Drop: true, Take: true})
	}
}

// troubled calls a function around each Send.
type troubled struct {
	uplink.Sink
	after func(err error)
}

func (s *troubled) Send(ctx context.Context, records []uplink.Record) error {
	err := s.Sink.Send(ctx, records)
	s.after(err)
	return err
}

func (s *scenario) run(t *testing.T, form http.Form) {
	options := s.options
	options.Deduplicate = true
	server := start(t, options)
	link := through(t, server)
	o := http.Options{URL: "http://" + link.Addr(), Form: form, StallTimeout: 2 * time.Second, AnswerTimeout: time.Second}
	if form == http.KafkaRESTv3 {
		o.Cluster = "lkc-1"
	}
	sink := newSink(t, o)
	if s.begin != nil {
		s.begin(t, server, link)
	}
	failures := uint64(0)
	f := uplink.NewForwarder(queue(), &troubled{sink, func(err error) {
		if err != nil && !uplink.IsPermanent(err) {
			failures++
		}
		if s.trouble != nil {
			s.trouble(failures, server, link)
		}
	}}, uplink.ForwarderOptions{Decode: decode, MaxRecords: cmp.Or(s.records, 100), MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
	stats := f.Stats()
	if stats.Entries != entries || stats.Acknowledged != entries || stats.Pending != 0 ||
		stats.Records != scenarioRecords || stats.Sent+stats.Poisoned != scenarioRecords || stats.Poisoned != s.poisoned || stats.Failures < s.failures {
		t.Errorf("the counters are not as they should be (%d failures, %d poisoned): %+v", s.failures, s.poisoned, stats)
	}
	count := make(map[uplink.Key]int)
	for _, r := range server.Records() {
		count[r.Key()]++
	}
	for key, n := range count {
		if n != 1 {
			t.Fatalf("%s arrived %d times", key, n)
		}
	}
	if uint64(len(count)) != stats.Sent {
		t.Errorf("%d records arrived, %d are said to be sent", len(count), stats.Sent)
	}
}

// TestWithoutDeduplication is the counterpart: the same lost answers, with a
// server that does not heed the key, end in repeats. So the test above can fail.
func TestWithoutDeduplication(t *testing.T) {
	server := start(t, httpserver.Options{})
	sink := newSink(t, http.Options{URL: server.URL()})
	lose(server, 3)
	f := uplink.NewForwarder(queue(), sink, uplink.ForwarderOptions{Decode: decode, MaxRecords: 100, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(server.Records()); got != scenarioRecords+300 {
		t.Errorf("%d records arrived, want %d and 300 repeats", got, scenarioRecords)
	}
}

// TestTokenRenewed has a token that the server no longer takes: nothing is lost
// until it is renewed.
func TestTokenRenewed(t *testing.T) {
	server := start(t, httpserver.Options{Token: "new-token"})
	token, asked := "old-token", 0
	sink := newSink(t, http.Options{URL: server.URL(), TokenSource: func() (string, error) {
		if asked++; asked > 3 {
			token = "new-token"
		}
		return token, nil
	}})
	f := uplink.NewForwarder(queue(), sink, uplink.ForwarderOptions{Decode: decode, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stats := f.Stats(); stats.Sent != scenarioRecords || stats.Failures != 3 {
		t.Errorf("%+v", stats)
	}
	received(t, server, scenarioRecords, 1)
}

// TestIdempotencyKeys: the same records have the same key, whatever they are
// encoded to, and others another.
func TestIdempotencyKeys(t *testing.T) {
	key := func(o http.Options, records []uplink.Record) string {
		server := start(t, httpserver.Options{})
		o.URL = server.URL()
		send(t, newSink(t, o), records)
		requests := server.Requests()
		return requests[len(requests)-1].Header.Get("Idempotency-Key")
	}
	records := uplinktest.Records(1, 10)
	want := key(http.Options{}, records)
	if want != "0d15ea5e-0405-4607-8809-0a0b0c0d0e0f-1-10-10-"+want[len(want)-32:] {
		t.Errorf("key %s", want)
	}
	for _, o := range []http.Options{{Compression: "gzip"}, {Encoding: uplink.OTLP}, {Form: http.KafkaRESTv2}, {Form: http.KafkaRESTv3}} {
		if got := key(o, records); got != want {
			t.Errorf("%+v: key %s, want %s", o, got, want)
		}
	}
	others := [][]uplink.Record{records[:9], records[1:], uplinktest.Records(2, 10), uplinktest.Records(1, 10), uplinktest.Records(1, 10)}
	others[3][5].Device = "van-18"
	others[4][5].Boot[3]++
	seen := map[string]bool{want: true}
	for _, records := range others {
		got := key(http.Options{}, records)
		if seen[got] {
			t.Errorf("key %s is that of other records", got)
		}
		seen[got] = true
	}
}

// TestServerRefusesEverything: a wrong path, a proxy in between or a wrong content
// type get 400 or 422 for whatever is sent. No record is set aside for that.
func TestServerRefusesEverything(t *testing.T) {
	for _, form := range []http.Form{http.Generic, http.KafkaRESTv2, http.KafkaRESTv3} {
		for _, status := range []int{400, 422} {
			t.Run(fmt.Sprint(form, " ", status), func(t *testing.T) {
				t.Parallel()
				server := start(t, httpserver.Options{})
				for range 500 {
					server.Fail(httpserver.Fault{Status: status, Body: `{"message":"no such thing"}`})
				}
				o := http.Options{URL: server.URL(), Form: form}
				if form == http.KafkaRESTv3 {
					o.Cluster = "lkc-1"
				}
				cause := ""
				var f *uplink.Forwarder
				f = uplink.NewForwarder(queue(), &troubled{newSink(t, o), func(error) {
					if s := f.Stats(); s.Failures > 0 && !s.Up {
						cause = s.Cause
					}
				}}, uplink.ForwarderOptions{Decode: decode, MaxRecords: 100, MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond})
				if err := f.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := f.Stats()
				if s.Sent != scenarioRecords || s.Poisoned != 0 || s.Outages != 1 {
					t.Errorf("%+v", s)
				}
				for _, words := range []string{"check how the sink", fmt.Sprint(status), "no such thing", server.Addr()} {
					if !strings.Contains(cause, words) {
						t.Errorf("the cause does not say %q: %s", words, cause)
					}
				}
				received(t, server, scenarioRecords, 1)
			})
		}
	}
}
