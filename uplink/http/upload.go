package http

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
)

// upload is the body of one attempt to send a request, and what is known of how
// far it got. Its methods are safe for concurrent use.
type upload struct {
	body []byte
	// over is set when the answer was read. Where that came before all of the body
	// was sent, net/http may still want to send the rest, but the memory is used for
	// the next request by then.
	mu   sync.Mutex
	over bool
	// asks says that the server is asked (Expect: 100-continue) whether it wants
	// the body. net/http sends it anyway after an answer such as 503 that leaves the
	// connection open: a megabyte for nothing. So reading it is held up as soon as
	// there is an answer, until it turns out to be an interim one.
	asks    bool
	interim chan struct{} // closed with the first interim answer
	done    chan struct{} // closed when the answer was read
	close1  sync.Once     // of interim
	close2  sync.Once     // of done

	reused   atomic.Bool  // the connection had been used before
	answered atomic.Bool  // a byte of an answer has come
	left     atomic.Int64 // of the body, not yet taken by net/http
	interims atomic.Int32
	early    bool // the answer came before the body was taken
}

func newUpload(body []byte, asks bool) *upload {
	return &upload{body: body, asks: asks, interim: make(chan struct{}), done: make(chan struct{})}
}

// maxInterims limits the interim answers (1xx) to a request.
const maxInterims = 50

// trace returns a context with which net/http tells how far it is.
func (u *upload) trace(ctx context.Context, w *watch) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			u.reused.Store(info.Reused)
			w.enter(sending)
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { w.enter(waiting) },
		GotFirstResponseByte: func() {
			u.answered.Store(true)
			w.enter(receiving)
		},
		Got100Continue: func() { u.close1.Do(func() { close(u.interim) }) },
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			u.close1.Do(func() { close(u.interim) })
			if u.interims.Add(1) > maxInterims {
				return errors.New("the server sends one interim answer after the other")
			}
			return nil
		},
	})
}

// reader makes a reader of the body, from its begin.
func (u *upload) reader() (io.ReadCloser, error) {
	u.left.Store(int64(len(u.body)))
	return &uploadReader{u, bytes.NewReader(u.body)}, nil
}

// release ends a reader that is held up, and every other: the body is not read any
// more.
func (u *upload) release() {
	u.mu.Lock()
	u.over = true
	u.mu.Unlock()
	u.close2.Do(func() { close(u.done) })
}

type uploadReader struct {
	u *upload
	r *bytes.Reader
}

func (r *uploadReader) Read(b []byte) (int, error) {
	if r.u.asks && r.u.answered.Load() {
		select {
		case <-r.u.interim:
		case <-r.u.done:
			return 0, errEarly
		}
	}
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	if r.u.over {
		return 0, errEarly
	}
	n, err := r.r.Read(b)
	r.u.left.Store(int64(r.r.Len()))
	return n, err
}

func (r *uploadReader) Close() error { return nil }
