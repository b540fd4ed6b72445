package http_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/http"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/httpserver"
)

// quick are limits for servers that do not do their part.
func quick(url string) http.Options {
	return http.Options{URL: url, StallTimeout: 200 * time.Millisecond, AnswerTimeout: 200 * time.Millisecond}
}

// TestBadAnswers has servers answer wrongly: none of it is an acknowledgement,
// none of it hangs or fills the memory, and the next try arrives.
func TestBadAnswers(t *testing.T) {
	text := strings.Repeat("x", 10_000)
	for _, c := range []struct {
		name  string
		fault httpserver.Fault
		words string
	}{
		{"dropped before", httpserver.Fault{Drop: true}, "EOF"},
		{"dropped after", httpserver.Fault{Drop: true, Take: true}, "EOF"},
		{"hangs", httpserver.Fault{Hang: true}, "no answer in 200ms"},
		{"cut off", httpserver.Fault{Status: 200, Body: text, Truncate: true}, "ends early"},
		{"dripping", httpserver.Fault{Status: 200, Body: text, Drip: 5 * time.Millisecond}, "bytes of the answer in 200ms"},
		{"dripping refusal", httpserver.Fault{Status: 503, Body: text, Drip: 5 * time.Millisecond}, "503"},
		{"web page", httpserver.Fault{Status: 200, Body: "\r\n<!doctype HTML><html>Welcome! Please log in."}, "the network wants a login"},
		{"long refusal", httpserver.Fault{Status: 500, Body: strings.Repeat(text, 100)}, "500"},
		{"control characters", httpserver.Fault{Status: 500, Body: "a\x1b[2Jb\u2028c\xff"}, "500 Internal Server Error: a [2Jb c?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := start(t, httpserver.Options{})
			o := http.Options{URL: server.URL()}
			if c.fault.Hang || c.fault.Drip > 0 { // the others have time, as this machine may be busy
				o = quick(server.URL())
			}
			sink := newSink(t, o)
			server.Fail(c.fault)
			err := fails(t, sink, uplinktest.Records(1, 100), c.words, server.Addr())
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			persist(t, sink, uplinktest.Records(1, 100))
		})
	}
}

// TestLongAnswer is one that a generic server may give: what it says beyond its
// status does not matter.
func TestLongAnswer(t *testing.T) {
	server := start(t, httpserver.Options{})
	sink := newSink(t, http.Options{URL: server.URL()})
	server.Fail(httpserver.Fault{Status: 201, Body: strings.Repeat("x", 1<<20), Take: true})
	send(t, sink, uplinktest.Records(1, 100))
	if _, in := sink.Traffic(); in > 900<<10 {
		t.Errorf("%d bytes of the answer were read", in)
	}
	received(t, server, 100, 1)
}

// TestBomb has a proxy answer with 64 MiB of zeroes in 64 KiB of gzip.
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeroes := make([]byte, 1<<20)
	for range 64 {
		z.Write(zeroes)
	}
	z.Close()
	for _, form := range []http.Form{http.KafkaRESTv2, http.Generic} {
		server := start(t, httpserver.Options{})
		o := http.Options{URL: server.URL(), Form: form}
		sink := newSink(t, o)
		server.Fail(httpserver.Fault{Status: 200, Body: bomb.String(), Header: nethttp.Header{"Content-Encoding": {"gzip"}}})
		if form == http.Generic {
			send(t, sink, uplinktest.Records(1, 10))
			continue
		}
		fails(t, sink, uplinktest.Records(1, 10), "is not what a server of the form kafka-rest-v2 gives")
	}
}

// TestEarlyAnswer has servers that answer before they have read a large body.
func TestEarlyAnswer(t *testing.T) {
	records := uplinktest.Records(1, 5000) // some 3 MB
	for _, c := range []struct {
		status int
		words  string
	}{
		{503, "503"},
		{200, "before it had the whole request"},
	} {
		server := start(t, httpserver.Options{})
		o := http.Options{URL: server.URL(), MaxBody: 8 << 20}
		sink := newSink(t, o)
		server.Fail(httpserver.Fault{Status: c.status, Early: true})
		fails(t, sink, records, c.words)
		if sent, _ := sink.Traffic(); sent > 100_000 {
			t.Errorf("%d bytes were sent: a server is asked before it gets a large body", sent)
		}
		send(t, sink, records)
		received(t, server, 5000, 1)
	}
}

// TestNoExpectation has a server that reads little, answers and hangs up, and
// knows nothing of "Expect".
func TestNoExpectation(t *testing.T) {
	address := raw(t, func(conn net.Conn) {
		io.ReadFull(conn, make([]byte, 2000))
		io.WriteString(conn, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
	})
	o := quick("http://" + address)
	o.AnswerTimeout = 5 * time.Second
	sink := newSink(t, o)
	err := fails(t, sink, uplinktest.Records(1, 300), "429")
	var wants interface{ RetryAfter() time.Duration }
	if !errors.As(err, &wants) || wants.RetryAfter() != 3*time.Second {
		t.Errorf("%v does not say when to come again", err)
	}
}

// TestInterimAnswers has a server that says a lot before it answers.
func TestInterimAnswers(t *testing.T) {
	address := raw(t, func(conn net.Conn) {
		r, err := nethttp.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(conn, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
	})
	sink := newSink(t, quick("http://"+address))
	send(t, sink, uplinktest.Records(1, 10))
}

// TestNoHTTP has servers that speak something else, or nothing.
func TestNoHTTP(t *testing.T) {
	for _, c := range []struct{ says, words string }{
		{"", "EOF"},
		{"SSH-2.0-OpenSSH_9.2\r\n", "malformed HTTP"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "ends early"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "ends early"},
		{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000), "exceeded"},
	} {
		address := raw(t, func(conn net.Conn) {
			r, err := nethttp.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			io.WriteString(conn, c.says)
		})
		sink := newSink(t, quick("http://"+address))
		fails(t, sink, uplinktest.Records(1, 10), c.words, address)
	}
}

// raw serves connections by hand.
func raw(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { listener.Close() })
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	return listener.Addr().String()
}

// TestStaleConnection has a server close idle connections, as all do: that is no
// failure.
func TestStaleConnection(t *testing.T) {
	server := start(t, httpserver.Options{})
	sink := newSink(t, http.Options{URL: server.URL()})
	for i := range uint64(10) {
		send(t, sink, uplinktest.Records(1+10*i, 10))
		server.CloseIdle()
	}
	received(t, server, 100, 1)
	server.Stop()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	send(t, sink, uplinktest.Records(101, 10))
	received(t, server, 110, 1)
}

// TestKeepAlive counts the bytes of a hundred requests: they share a connection,
// and Traffic sees what the link does.
func TestKeepAlive(t *testing.T) {
	server := start(t, httpserver.Options{})
	link := through(t, server)
	sink := newSink(t, http.Options{URL: "http://" + link.Addr()})
	for i := range uint64(100) {
		send(t, sink, uplinktest.Records(1+i, 1))
	}
	link.Cut() // a second connection would fail
	link.Heal()
	sent, got := sink.Traffic()
	if passed := link.Passed(); int64(sent) != passed {
		t.Errorf("%d bytes are said to be sent, the link has seen %d", sent, passed)
	}
	if got < 100*100 || got > 100*1000 {
		t.Errorf("%d bytes are said to be received", got)
	}
}

// TestCancelled ends a Send in every phase.
func TestCancelled(t *testing.T) {
	for _, fault := range []httpserver.Fault{{Hang: true}, {Status: 200, Body: strings.Repeat("x", 60_000), Drip: 10 * time.Millisecond}} {
		server := start(t, httpserver.Options{})
		sink := newSink(t, http.Options{URL: server.URL()})
		server.Fail(fault)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := sink.Send(ctx, uplinktest.Records(1, 10))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || uplink.IsPermanent(err) {
			t.Errorf("Send: %v, want %v", err, context.DeadlineExceeded)
		}
		send(t, sink, uplinktest.Records(1, 10))
	}
}

func TestRedirections(t *testing.T) {
	elsewhere := start(t, httpserver.Options{})
	for _, c := range []struct {
		status   int
		location string
		words    string // in the error; "" is none
	}{
		{307, "/new?a=b", ""},
		{308, "new", ""},
		{302, "/new", "would lose the records"},
		{301, "/new", "would lose the records"},
		{303, "/new", "would lose the records"},
		{307, elsewhere.URL() + "/login?token=hunter2", "another server, is not followed"},
		{308, "https://" + elsewhere.Addr(), "another server, is not followed"},
		{307, "//user:hunter2@" + elsewhere.Addr(), "another server, is not followed"},
		{307, "", "nowhere"},
		{307, "http://[", "nowhere"},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.location), func(t *testing.T) {
			server := start(t, httpserver.Options{Token: "hunter2"})
			sink := newSink(t, http.Options{URL: server.URL() + "/old", Token: "hunter2"})
			server.Fail(httpserver.Fault{Status: c.status, Header: nethttp.Header{"Location": {c.location}}})
			if c.words != "" {
				fails(t, sink, uplinktest.Records(1, 10), c.words)
				return
			}
			send(t, sink, uplinktest.Records(1, 10))
			received(t, server, 10, 1)
		})
	}
	if got := elsewhere.Requests(); len(got) != 0 {
		t.Errorf("the other server got %v", got)
	}
	server := start(t, httpserver.Options{})
	sink := newSink(t, http.Options{URL: server.URL()})
	loop := httpserver.Fault{Status: 307, Header: nethttp.Header{"Location": {"/"}}}
	server.Fail(loop, loop, loop, loop)
	fails(t, sink, uplinktest.Records(1, 10), "more than 3 redirections")
}

// TestRefusedUnseen has a server that refuses a large body before it has seen it
// and keeps the connection: the body stays here.
func TestRefusedUnseen(t *testing.T) {
	got := make(chan int64, 1)
	address := raw(t, func(conn net.Conn) {
		r, err := nethttp.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy")
		n, _ := io.Copy(io.Discard, r.Body)
		got <- n
	})
	o := quick("http://" + address)
	o.AnswerTimeout, o.MaxBody = 5*time.Second, 8<<20
	sink := newSink(t, o)
	fails(t, sink, uplinktest.Records(1, 5000), "503 Service Unavailable: busy")
	if n := <-got; n != 0 {
		t.Errorf("the server got %d bytes that it did not want", n)
	}
}

// TestDeadConnection has a connection die without a word, as one does behind an
// address translation that forgot it: the next Send has a new one.
func TestDeadConnection(t *testing.T) {
	a := authority(t)
	c := peer(t, a, "server", time.Minute, false)
	server := start(t, httpserver.Options{TLS: c})
	dead := make(chan struct{})
	var connections atomic.Int32
	address := raw(t, func(client net.Conn) {
		upstream, err := net.Dial("tcp", server.Addr())
		if err != nil {
			return
		}
		defer upstream.Close()
		first := connections.Add(1) == 1
		go io.Copy(client, upstream)
		buffer := make([]byte, 64<<10)
		for {
			n, err := client.Read(buffer)
			if err != nil {
				return
			}
			select {
			case <-dead:
				if first {
					continue // into the void
				}
			default:
			}
			upstream.Write(buffer[:n])
		}
	})
	o := quick("https://" + address)
	o.TLS, o.AnswerTimeout = trusting(t, a), time.Second
	sink := newSink(t, o)
	send(t, sink, uplinktest.Records(1, 10))
	close(dead)
	fails(t, sink, uplinktest.Records(11, 10), "no answer in 1s")
	send(t, sink, uplinktest.Records(11, 10))
	received(t, server, 20, 1)
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}
