package http

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// network makes the connections of a Sink, counts their bytes and can end them
// all. It is safe for concurrent use.
type network struct {
	timeout time.Duration // of connecting
	ctx     context.Context
	cancel  context.CancelFunc

	sent, received atomic.Uint64

	mu    sync.Mutex
	open  map[*connection]bool
	ended bool
}

func newNetwork(timeout time.Duration) *network {
	n := &network{timeout: timeout, open: make(map[*connection]bool)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// connection counts what goes over the socket, TLS included.
type connection struct {
	net.Conn
	of *network
}

var errEnded = errors.New("the sink is closed")

// dial connects. net/http goes on dialling when its request has ended, so the
// end of the network ends it.
func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	stop := context.AfterFunc(n.ctx, cancel)
	defer stop()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &connection{conn, n}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		conn.Close()
		return nil, errEnded
	}
	n.open[c] = true
	return c, nil
}

func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.of.received.Add(uint64(n))
	return n, err
}

func (c *connection) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.of.sent.Add(uint64(n))
	return n, err
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// hangUp ends all connections there are.
func (n *network) hangUp() {
	n.mu.Lock()
	var open []*connection
	for c := range n.open {
		open = append(open, c)
	}
	n.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// end ends all connections, and lets none begin.
func (n *network) end() {
	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
	n.cancel()
	n.hangUp()
}
