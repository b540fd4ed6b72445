package update

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// fileServer serves a file over links that break.
type fileServer struct {
	body      []byte
	breakAt   int  // a link brings so many bytes; 0: all
	stall     bool // it then hangs instead of breaking
	noRanges  bool
	changes   bool // the file is another one each time
	status    int  // answered instead, from the second request on
	requests  atomic.Int32
	ranges    atomic.Int32
	stop      chan struct{}
	noLengths bool
}

func (s *fileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	tag := `"1"`
	if s.changes {
		tag = fmt.Sprintf("%q", fmt.Sprint(n))
	}
	w.Header().Set("ETag", tag)
	if n > 1 && s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	from := 0
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !s.noRanges && r.Header.Get("If-Range") == tag {
		from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.body)-1, len(s.body)))
		s.ranges.Add(1)
	}
	if !s.noLengths {
		w.Header().Set("Content-Length", fmt.Sprint(len(s.body)-from))
	}
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	body := s.body[from:]
	if s.breakAt > 0 && s.breakAt < len(body) {
		w.Write(body[:s.breakAt])
		w.(http.Flusher).Flush()
		if s.stall {
			select {
			case <-s.stop:
			case <-r.Context().Done():
			}
		}
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}

func TestDownload(t *testing.T) {
	body := payload(1, 300<<10)
	for name, c := range map[string]struct {
		server *fileServer
		opts   DownloadOptions
		says   string // the error, nothing for none
	}{
		"at once":          {server: &fileServer{}},
		"no length":        {server: &fileServer{noLengths: true}},
		"link breaks":      {server: &fileServer{breakAt: 70_000}},
		"link stalls":      {server: &fileServer{breakAt: 110_000, stall: true}, opts: DownloadOptions{Stall: 100 * time.Millisecond}},
		"file changes":     {server: &fileServer{breakAt: 70_000, changes: true}, says: "has changed"},
		"file is gone":     {server: &fileServer{breakAt: 70_000, status: 410}, says: "410 Gone"},
		"server in need":   {server: &fileServer{breakAt: 70_000, status: 503}, opts: DownloadOptions{GiveUp: 50 * time.Millisecond}, says: "nothing came for 50ms"},
		"link never lasts": {server: &fileServer{breakAt: 70_000, noRanges: true}, opts: DownloadOptions{GiveUp: 50 * time.Millisecond}, says: "nothing came for 50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.server.body, c.server.stop = body, make(chan struct{})
			server := httptest.NewServer(c.server)
			defer server.Close()
			defer close(c.server.stop)
			c.opts.Wait = time.Millisecond
			broke := 0
			c.opts.Broken = func(at int64, err error) { broke++ }
			d, err := OpenURL(t.Context(), strings.Replace(server.URL, "//", "//user:secret@", 1)+"/f?token=secret", c.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			got, err := io.ReadAll(iotest.HalfReader(d))
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "/f") || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v", err)
				}
				if !bytes.HasPrefix(body, got) {
					t.Error("read something else")
				}
				return
			}
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d of %d bytes, %v", len(got), len(body), err)
			}
			if c.server.breakAt > 0 && (broke < 2 || int(c.server.ranges.Load()) != broke) {
				t.Errorf("broke %d times, %d ranges asked for", broke, c.server.ranges.Load())
			}
		})
	}
}

// TestDownloadWithoutRanges: a server that knows none costs time, and no more.
func TestDownloadWithoutRanges(t *testing.T) {
	body := payload(1, 300<<10)
	s := &fileServer{body: body, noRanges: true, breakAt: 70_000}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.requests.Load() == 2 {
			s.breakAt = 0
		}
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	d, err := OpenURL(t.Context(), server.URL, DownloadOptions{Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, body) || s.requests.Load() != 3 {
		t.Errorf("%d of %d bytes in %d requests, %v", len(got), len(body), s.requests.Load(), err)
	}
}

// TestDownloadRefused: what is wrong at the first request is said at once, and
// without what may be secret in the address.
func TestDownloadRefused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	plain := httptest.NewTLSServer(http.NotFoundHandler()) // whose certificate nobody knows
	defer server.Close()
	defer plain.Close()
	for address, says := range map[string]string{
		"ftp://host/secret":                   "http",
		"http:///secret":                      "host",
		"http://[::secret/":                   "address",
		server.URL + "/f?token=secret":        "404",
		"http://127.0.0.1:1/f?token=secret":   "refused",
		plain.URL + "/f?token=secret":         "certificate",
		"http://user:secret@127.0.0.1:1/file": "refused",
	} {
		_, err := OpenURL(t.Context(), address, DownloadOptions{})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
