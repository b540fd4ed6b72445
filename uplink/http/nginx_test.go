package http_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/http"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/certificates"
	"milepost/uplink/uplinktest/httpserver"
	"milepost/uplink/uplinktest/loopback"
)

// nginx is a real server between the sink and the fake one, as the fleets of
// this world have it: it ends TLS, wants client certificates, limits bodies and
// speaks HTTP/2.
type nginx struct {
	t    *testing.T
	path string
	dir  string
	addr string
	cmd  *exec.Cmd
}

func startNginx(t *testing.T, a *certificates.Authority, upstream string) *nginx {
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is missing (Debian: apt-get install nginx-light, it is in /usr/sbin)")
	}
	n := &nginx{t: t, path: path, dir: t.TempDir()}
	if n.addr, err = loopback.Address(); err != nil {
		t.Fatal(err)
	}
	certificate, key, err := a.Issue("nginx", time.Now().Add(30*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	// The workers of a server that root starts are nobody's.
	for path := n.dir; len(path) > len(os.TempDir()); path = filepath.Dir(path) {
		os.Chmod(path, 0o755)
	}
	n.write("ca.pem", a.PEM())
	n.write("nginx.pem", certificate)
	n.write("nginx.key", key)
	n.write("nginx.conf", fmt.Appendf(nil, `
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr crit;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	client_max_body_size 16k;
	keepalive_timeout 1s;
	limit_req_zone $binary_remote_addr zone=busy:32k rate=1r/m;
	server {
		listen %[2]s ssl http2;
		ssl_certificate %[1]s/nginx.pem;
		ssl_certificate_key %[1]s/nginx.key;
		ssl_client_certificate %[1]s/ca.pem;
		ssl_verify_client on;
		location / { proxy_pass http://%[3]s; proxy_http_version 1.1; }
		location /busy { limit_req zone=busy; limit_req_status 429; proxy_pass http://%[3]s; }
		location /moved { return 308 /; }
		location /bad { return 400; }
		location /invalid { return 422; }
		location /files/ { alias %[1]s/; }
		location /left { return 302 https://example.org/; }
	}
}
`, n.dir, n.addr, upstream))
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *nginx) write(name string, text []byte) {
	if err := os.WriteFile(filepath.Join(n.dir, name), text, 0o644); err != nil {
		n.t.Fatal(err)
	}
}

func (n *nginx) start() {
	n.cmd = exec.Command(n.path, "-e", "stderr", "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"))
	var words strings.Builder
	n.cmd.Stderr = &words
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := net.Dial("tcp", n.addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			n.stop()
			n.t.Fatalf("nginx does not start: %v\n%s", err, words.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// stop stops nginx and its workers at once.
func (n *nginx) stop() {
	n.cmd.Process.Signal(os.Interrupt)
	n.cmd.Wait()
}

func TestNginx(t *testing.T) {
	a := authority(t)
	server := start(t, httpserver.Options{Deduplicate: true, Refuse: refusePoison})
	n := startNginx(t, a, server.Addr())
	client := peer(t, a, "van-17", time.Minute, false)
	options := func(path string) http.Options {
		return http.Options{URL: "https://" + n.addr + path, TLS: client, Compression: "gzip"}
	}

	t.Run("a drive", func(t *testing.T) {
		sink := newSink(t, options("/"))
		for i := range uint64(30) {
			send(t, sink, uplinktest.Records(1+10*i, 10))
		}
		received(t, server, 300, 1)
	})
	t.Run("bodies are too large", func(t *testing.T) {
		for _, form := range []http.Form{http.KafkaRESTv2, http.KafkaRESTv3} {
			o := options("/")
			o.Compression, o.Form = "none", form
			before := len(server.Records())
			sink := newSink(t, o)
			records := uplinktest.Records(1001, 200)
			records[20] = long(1021, 17_000)
			err := sink.Send(t.Context(), records)
			if !uplink.IsPermanent(err) || fmt.Sprint(uplink.Poisoned(err)) != "[20]" {
				t.Fatalf("Send: %v, poison %v, want [20]", err, uplink.Poisoned(err))
			}
			has(t, err, "413 Request Entity Too Large")
			send(t, sink, append(records[:20:20], records[21:]...))
			if got := len(server.Records()) - before; got != 199 {
				t.Errorf("%v: %d records arrived, want 199", form, got)
			}
		}
	})
	t.Run("too many requests", func(t *testing.T) {
		sink := newSink(t, options("/busy"))
		send(t, sink, uplinktest.Records(4001, 1))
		fails(t, sink, uplinktest.Records(4002, 1), "429 Too Many Requests")
	})
	t.Run("redirections", func(t *testing.T) {
		send(t, newSink(t, options("/moved")), uplinktest.Records(5001, 10))
		fails(t, newSink(t, options("/left")), uplinktest.Records(5001, 10), "another server", "https://example.org/")
	})
	t.Run("certificates", func(t *testing.T) {
		o := options("/")
		o.TLS = trusting(t, a)
		// nginx answers those without a certificate with 400: not the records' fault.
		fails(t, newSink(t, o), uplinktest.Records(1, 10), "400", "a client certificate that it trusts")
		o.TLS = peer(t, authority(t), "stranger", time.Minute, false)
		o.TLS.RootCAs = client.RootCAs
		fails(t, newSink(t, o), uplinktest.Records(1, 10), "400", "a client certificate that it trusts")
		o = options("/")
		o.URL = "http://" + n.addr
		fails(t, newSink(t, o), uplinktest.Records(1, 10), "400", "the server wants https")
	})
	t.Run("it refuses everything", func(t *testing.T) {
		for path, status := range map[string]string{"/bad": "400", "/invalid": "422", "/files/nginx.pem": "405"} {
			f := uplink.NewForwarder(queue(), newSink(t, options(path)), uplink.ForwarderOptions{
				Decode: decode, MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, GiveUp: 100 * time.Millisecond,
			})
			has(t, f.Run(t.Context()), "given up", status, n.addr+path)
			if s := f.Stats(); s.Poisoned != 0 || s.Sent != 0 || s.Up || s.Acknowledged != 0 {
				t.Errorf("%s: %+v", path, s)
			}
		}
	})
	t.Run("the server behind it is down", func(t *testing.T) {
		sink := newSink(t, options("/"))
		send(t, sink, uplinktest.Records(6001, 10))
		server.Stop()
		fails(t, sink, uplinktest.Records(6011, 10), "502 Bad Gateway")
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		send(t, sink, uplinktest.Records(6011, 10))
	})
	t.Run("nginx restarts", func(t *testing.T) {
		sink := newSink(t, options("/"))
		for i := range uint64(3) {
			send(t, sink, uplinktest.Records(7001+10*i, 10))
			n.stop()
			fails(t, sink, uplinktest.Records(7011+10*i, 10), n.addr)
			n.start()
		}
		send(t, sink, uplinktest.Records(7031, 10))
	})
	t.Run("idle connections are closed", func(t *testing.T) {
		sink := newSink(t, options("/"))
		for i := range uint64(2) {
			send(t, sink, uplinktest.Records(8001+10*i, 10))
			time.Sleep(1500 * time.Millisecond) // nginx's keepalive_timeout is a second
		}
	})
	seen := make(map[uplink.Key]int)
	for _, r := range server.Records() {
		if seen[r.Key()]++; seen[r.Key()] > 2 { // the two REST forms send the same records
			t.Fatalf("%s arrived %d times", r.Key(), seen[r.Key()])
		}
	}
}
