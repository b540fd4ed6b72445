package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// webSocket carries MQTT in binary messages, as section 6 of MQTT 3.1.1 wants
// it. paho's own would dial by itself: its bytes could not be counted, nor a
// handshake that hangs be ended.
type webSocket struct {
	*websocket.Conn
	raw     net.Conn
	reader  io.Reader  // of the present message; nil between two
	writing sync.Mutex // paho's pings come from a goroutine of their own
}

// openWebSocket makes the handshake over a connection that dial opens.
func openWebSocket(ctx context.Context, u *url.URL, header http.Header, config *tls.Config, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*webSocket, error) {
	var raw net.Conn
	dialer := websocket.Dialer{
		Proxy: http.ProxyFromEnvironment,
		NetDialContext: func(ctx context.Context, network, addr string) (_ net.Conn, err error) {
			raw, err = dial(ctx, network, addr)
			return raw, err
		},
		TLSClientConfig: config,
		Subprotocols:    []string{"mqtt"},
	}
	conn, response, err := dialer.DialContext(ctx, u.String(), header)
	switch {
	case err == nil:
		return &webSocket{Conn: conn, raw: raw}, nil
	case response != nil: // the URL's query and the headers may be secret, the answer's status is not
		return nil, fmt.Errorf("the server answers %q where a WebSocket was asked for: check the path %q and the headers", response.Status, u.Path)
	}
	return nil, err
}

// Read implements net.Conn.
func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.reader == nil {
			_, reader, err := w.NextReader()
			if err != nil {
				return 0, err
			}
			w.reader = reader
		}
		n, err := w.reader.Read(p)
		if err == io.EOF { // of the message
			w.reader, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (w *webSocket) Write(p []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetDeadline implements net.Conn. The library's own deadlines must not be set
// while it writes.
func (w *webSocket) SetDeadline(t time.Time) error { return w.raw.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (w *webSocket) SetReadDeadline(t time.Time) error { return w.raw.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (w *webSocket) SetWriteDeadline(t time.Time) error { return w.raw.SetWriteDeadline(t) }
