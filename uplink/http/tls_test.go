package http_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"milepost/uplink/http"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/certificates"
	"milepost/uplink/uplinktest/httpserver"
)

func authority(t *testing.T) *certificates.Authority {
	t.Helper()
	a, err := certificates.New("milepost test authority")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// peer is the configuration of one whose certificate ends in the given time.
func peer(t *testing.T, a *certificates.Authority, name string, left time.Duration, mutual bool) *tls.Config {
	t.Helper()
	certificate, key, err := a.Issue(name, time.Now().Add(left))
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Config(certificate, key, mutual)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func trusting(t *testing.T, a *certificates.Authority) *tls.Config {
	t.Helper()
	c, err := a.Config(nil, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTLS sends with client certificates, and counts the bytes. It is HTTP/1.1,
// whatever else the server offers.
func TestTLS(t *testing.T) {
	a := authority(t)
	for name, offered := range map[string][]string{"HTTP/1.1 alone": nil, "HTTP/2 first": {"h2", "http/1.1"}} {
		t.Run(name, func(t *testing.T) {
			c := peer(t, a, "server", time.Minute, true)
			c.NextProtos = offered
			server := start(t, httpserver.Options{TLS: c, Deduplicate: true})
			link := through(t, server)
			o := quick("https://" + link.Addr())
			o.TLS = peer(t, a, "van-17", time.Minute, false)
			o.AnswerTimeout = time.Second
			sink := newSink(t, o)
			for i := range uint64(20) {
				send(t, sink, uplinktest.Records(1+100*i, 100))
				if i%5 == 0 {
					server.CloseIdle()
				}
			}
			received(t, server, 2000, 1)
			for _, r := range server.Requests() {
				if r.Proto != "HTTP/1.1" {
					t.Fatalf("a request of %s, want HTTP/1.1", r.Proto)
				}
			}
			if sent, _ := sink.Traffic(); sent < 20*100*100 {
				t.Errorf("%d bytes are said to be sent", sent)
			}

			// A link that dies under a connection, and comes back with what it held.
			link.Stall()
			fails(t, sink, uplinktest.Records(2001, 100), "no answer in 1s", link.Addr())
			link.Heal()
			send(t, sink, uplinktest.Records(2001, 100))
			received(t, server, 2100, 1)
		})
	}
}

func TestTLSFailures(t *testing.T) {
	a, stranger := authority(t), authority(t)
	long := func(mutual bool) *tls.Config { return peer(t, a, "server", time.Minute, mutual) }
	at := func(when time.Time) *tls.Config {
		c := trusting(t, a)
		c.Time = func() time.Time { return when }
		return c
	}
	for _, c := range []struct {
		name           string
		server, client *tls.Config
		words          string
	}{
		{"expired", peer(t, a, "server", -time.Minute, false), trusting(t, a), "expired"},
		{"another authority", long(false), trusting(t, stranger), "set the CA"},
		{"no client certificate", long(true), trusting(t, a), "check certificate and key"},
		{"a stranger's client certificate", long(true), func() *tls.Config {
			c := peer(t, stranger, "van-17", time.Minute, false)
			c.RootCAs = trusting(t, a).RootCAs
			return c
		}(), "check certificate and key"},
		{"another name", long(false), func() *tls.Config { c := trusting(t, a); c.ServerName = "example.org"; return c }(), "example.org"},
		{"no clock", long(false), at(time.Unix(3600, 0)), "the clock of this machine looks unset (it says 1970-01-01 01:00:00)"},
		{"a clock of the firmware", long(false), at(time.Date(2019, 2, 14, 0, 0, 0, 0, time.UTC)), "looks unset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := start(t, httpserver.Options{TLS: c.server})
			sink := newSink(t, http.Options{URL: server.URL(), TLS: c.client})
			// With TLS 1.3 the server's word on a client's certificate comes after the
			// handshake, and a reset may overtake it.
			var err error
			for range 100 {
				if err = fails(t, sink, uplinktest.Records(1, 10), server.Addr()); strings.Contains(err.Error(), c.words) {
					return
				}
			}
			t.Errorf("%q is missing in: %v", c.words, err)
		})
	}

	// A clock that is off by a year is not unset.
	server := start(t, httpserver.Options{TLS: long(false)})
	sink := newSink(t, http.Options{URL: server.URL(), TLS: at(time.Now().AddDate(-1, -1, 0))})
	if err := fails(t, sink, uplinktest.Records(1, 10), "not yet valid"); strings.Contains(err.Error(), "unset") {
		t.Error(err)
	}
}

// TestWrongScheme has http spoken to https and the other way round: the records
// are not to blame.
func TestWrongScheme(t *testing.T) {
	a := authority(t)
	secure := start(t, httpserver.Options{TLS: peer(t, a, "server", time.Minute, false)})
	sink := newSink(t, http.Options{URL: "http://" + secure.Addr()})
	fails(t, sink, uplinktest.Records(1, 10), "the server wants https")

	plain := start(t, httpserver.Options{})
	sink = newSink(t, http.Options{URL: "https://" + plain.Addr(), TLS: trusting(t, a)})
	fails(t, sink, uplinktest.Records(1, 10), "the URL says https, but the server does not speak TLS")
}
