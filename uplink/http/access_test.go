package http_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/http"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/httpserver"
)

func TestToken(t *testing.T) {
	server := start(t, httpserver.Options{Token: "hunter2hunter2"})
	sink := newSink(t, http.Options{URL: server.URL(), Token: "hunter2"})
	fails(t, sink, uplinktest.Records(1, 10), "401", "check token", "[secret]") // which the server repeats
	received(t, server, 0, 0)

	token := "hunter2-old"
	var broken error
	sink = newSink(t, http.Options{URL: server.URL(), TokenSource: func() (string, error) { return token, broken }})
	fails(t, sink, uplinktest.Records(1, 10), "401", "[secret]")
	token = "hunter2hunter2\n" // as files end
	send(t, sink, uplinktest.Records(1, 10))
	broken = errors.New("open token.txt: no such file")
	fails(t, sink, uplinktest.Records(11, 10), "no token: open token.txt: no such file", server.Addr())
	broken = nil
	for _, token = range []string{"", " ", "hunter2 hunter2", "hunter2\r\nX: y", "hünter2"} {
		fails(t, sink, uplinktest.Records(11, 10), "token")
	}
	received(t, server, 10, 1)
}

func TestBasicAuthentication(t *testing.T) {
	server := start(t, httpserver.Options{Username: "van", Password: "hunter2"})
	sink := newSink(t, http.Options{URL: server.URL(), Username: "van", Password: "wrong:hunter2"})
	err := fails(t, sink, uplinktest.Records(1, 10), "401", "check token, username and password")
	if strings.Contains(err.Error(), "dmFuOndyb25nOmh1bnRlcjI") {
		t.Errorf("the error tells the password in base64: %v", err)
	}
	sink = newSink(t, http.Options{URL: server.URL(), Username: "van", Password: "hunter2"})
	send(t, sink, uplinktest.Records(1, 10))
}

func TestHeaders(t *testing.T) {
	server := start(t, httpserver.Options{})
	sink := newSink(t, http.Options{URL: server.URL() + "/in/{device}?a=b", Encoding: uplink.Protobuf, Compression: "gzip", Header: map[string]string{"x-fleet": "north", "User-Agent": "van"}})
	send(t, sink, uplinktest.Records(1, 10))
	r := server.Requests()[0]
	for name, want := range map[string]string{
		"X-Fleet": "north", "User-Agent": "van", "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "Expect": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.Path != "/in/van-17" {
		t.Errorf("path %s", r.Path)
	}
}

// TestDevices sends what two devices have recorded, mixed: each to its own path.
func TestDevices(t *testing.T) {
	records := uplinktest.Records(1, 10)
	for i := range records {
		if i%2 == 1 {
			records[i].Device = "bus 1/ä"
		}
	}
	server := start(t, httpserver.Options{Refuse: refusePoison})
	sink := newSink(t, http.Options{URL: server.URL() + "/{device}"})
	send(t, sink, records)
	sink = newSink(t, http.Options{URL: server.URL(), Form: http.KafkaRESTv2, Topic: "t.{device}"})
	records[5].Group = poison(6).Group
	err := sink.Send(t.Context(), records)
	if got := uplink.Poisoned(err); len(got) != 1 || got[0] != 5 {
		t.Errorf("Send: %v, poison %v, want [5]", err, got)
	}
	var paths []string
	for _, r := range server.Requests() {
		paths = append(paths, r.Path)
	}
	if got, want := strings.Join(paths, " "), "/van-17 /bus%201%2F%C3%A4 /topics/t.van-17 /topics/t.bus_1___"; got != want {
		t.Errorf("paths %s\nwant  %s", got, want)
	}
}

// TestProxy sends through an HTTP proxy that wants a password: plain requests by
// their whole URL, TLS through a tunnel.
func TestProxy(t *testing.T) {
	var seen []string
	address := raw(t, func(conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			q, err := nethttp.ReadRequest(r)
			if err != nil {
				return
			}
			if q.Header.Get("Proxy-Authorization") == "" {
				io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
				return
			}
			seen = append(seen, q.Method)
			server, err := net.Dial("tcp", q.Host)
			if err != nil {
				return
			}
			defer server.Close()
			if q.Method == nethttp.MethodConnect {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				go io.Copy(server, r)
				io.Copy(conn, server)
				return
			}
			q.Write(server)
			answer, err := nethttp.ReadResponse(bufio.NewReader(server), q)
			if err != nil {
				return
			}
			answer.Write(conn)
		}
	})
	a := authority(t)
	plain := start(t, httpserver.Options{})
	secure := start(t, httpserver.Options{TLS: peer(t, a, "server", time.Minute, false)})
	for _, server := range []*httpserver.Server{plain, secure} {
		o := http.Options{URL: server.URL(), TLS: trusting(t, a), Proxy: "http://me:hunter2@" + address}
		sink := newSink(t, o)
		send(t, sink, uplinktest.Records(1, 10))
		sink.Close()
		o.Proxy = "http://" + address
		fails(t, newSink(t, o), uplinktest.Records(1, 10), "wants a user and a password")
	}
	if got := strings.Join(seen, " "); got != "POST CONNECT" {
		t.Errorf("the proxy saw %s", got)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    http.Options
		want string // in the error; "" is none
	}{
		{http.Options{URL: "http://host"}, ""},
		{http.Options{URL: "https://[::1]:8443/a/{device}/b?x=y"}, ""},
		{http.Options{URL: "https://host", Form: http.KafkaRESTv3, Topic: "a.{device}-b_C", Cluster: "lkc-1"}, ""},
		{http.Options{}, "it has to be http://"},
		{http.Options{URL: "host:80"}, "it has to be http://"},
		{http.Options{URL: "kafka://host"}, "it has to be http://"},
		{http.Options{URL: "http://"}, "it has to be http://"},
		{http.Options{URL: "http://me:hunter2@host"}, "set username and password apart"},
		{http.Options{URL: "ftp://me:hunter2@host"}, "it has to be http://"},
		{http.Options{URL: "http://me:hunter2@host:port"}, "cannot be parsed"},
		{http.Options{URL: "http://host/%zz?hunter2"}, "invalid URL escape"},
		{http.Options{URL: "http://{device}.host"}, "the URL"},
		{http.Options{URL: "http://host/{signal}"}, "only placeholder"},
		{http.Options{URL: "http://host/?d={device}"}, "only placeholder"},
		{http.Options{URL: "http://host/#x"}, "fragment"},
		{http.Options{URL: "http://host", Form: 9}, "is not a form"},
		{http.Options{URL: "http://host", Encoding: uplink.CSV}, "csv is for files"},
		{http.Options{URL: "http://host", Compression: "brotli"}, "unknown compression"},
		{http.Options{URL: "http://host", Topic: "t"}, "are for the forms"},
		{http.Options{URL: "http://host", Cluster: "c"}, "are for the forms"},
		{http.Options{URL: "http://host", Form: http.KafkaRESTv2, Cluster: "c"}, "kafka-rest-v3"},
		{http.Options{URL: "http://host", Form: http.KafkaRESTv2, Topic: "a/b"}, "letters, digits"},
		{http.Options{URL: "http://host", Form: http.KafkaRESTv2, Topic: "{bus}"}, "letters, digits"},
		{http.Options{URL: "http://host", Form: http.KafkaRESTv2, Encoding: uplink.OTLP}, "json or protobuf"},
		{http.Options{URL: "http://host?a", Form: http.KafkaRESTv2}, "query"},
		{http.Options{URL: "http://host/{device}", Form: http.KafkaRESTv2}, "in the topic"},
		{http.Options{URL: "http://host", JSONArray: true, Encoding: uplink.Protobuf}, "JSON array"},
		{http.Options{URL: "http://host", Token: "hunter2", Username: "a"}, "use one"},
		{http.Options{URL: "http://host", Token: "hunter2", TokenSource: func() (string, error) { return "", nil }}, "use one"},
		{http.Options{URL: "http://host", MaxBody: -1}, "hold a record"},
		{http.Options{URL: "http://host", Header: map[string]string{"authorization": "hunter2"}}, "not yours"},
		{http.Options{URL: "http://host", Header: map[string]string{"a b": "hunter2"}}, "not a header's name"},
		{http.Options{URL: "http://host", Header: map[string]string{"A": "hunter2\r\nB: c"}}, "control characters"},
		{http.Options{URL: "http://host", Proxy: "me:hunter2@proxy:3128"}, "the proxy has to be"},
		{http.Options{URL: "http://host", Proxy: "none"}, ""},
	} {
		_, err := http.New(c.o)
		switch {
		case err == nil && c.want != "":
			t.Errorf("%+v: no error, want %q", c.o, c.want)
		case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v, want %q", err, c.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

func TestForms(t *testing.T) {
	for _, f := range []http.Form{http.Generic, http.KafkaRESTv2, http.KafkaRESTv3} {
		if got, err := http.ParseForm(f.String()); got != f || err != nil {
			t.Errorf("%v is parsed as %v, %v", f, got, err)
		}
	}
	if _, err := http.ParseForm("rest"); err == nil || !strings.Contains(err.Error(), "kafka-rest-v2") {
		t.Errorf("an unknown form: %v", err)
	}
}
