package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// traffic counts bytes on the wire.
type traffic struct{ sent, received atomic.Uint64 }

// dialer makes connections that count their bytes.
type dialer struct {
	net     net.Dialer
	timeout time.Duration // of a dial with all its handshakes
	traffic *traffic
}

// newDialer makes a dialer. The kernel ends its connections when a peer has
// acknowledged nothing for patience, or has not answered probes for as long: that
// a link is dead shows before a time limit of ours does, and a broker that is
// merely slow is left its time.
func newDialer(timeout, patience time.Duration, t *traffic) *dialer {
	probe := max(patience/3, time.Second)
	return &dialer{
		net: net.Dialer{
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probe, Interval: probe, Count: 2},
			Control:         limitUnacknowledged(patience),
		},
		timeout: timeout,
		traffic: t,
	}
}

// dial connects; with a TLS configuration, handshake included.
func (d *dialer) dial(ctx context.Context, network, address string, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	socket, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	counted := &counted{socket, d.traffic}
	if config == nil {
		return counted, nil
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			socket.Close()
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	conn := tls.Client(counted, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		socket.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return conn, nil
}

// counted is a connection that counts.
type counted struct {
	net.Conn
	traffic *traffic
}

// Read implements net.Conn.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.traffic.received.Add(uint64(n))
	return n, err
}

// Write implements net.Conn.
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.traffic.sent.Add(uint64(n))
	return n, err
}

// until makes a connection that lasts as long as a context does: a client that is
// closed waits for the answers to some requests, which a silent link never
// brings.
func until(connected context.Context, conn net.Conn) net.Conn {
	return &connection{conn, context.AfterFunc(connected, func() { conn.Close() })}
}

// connection is one that forgets what would close it when it is closed.
type connection struct {
	net.Conn
	forget func() bool
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.forget()
	return c.Conn.Close()
}

// dials is a hook that remembers why the client does not reach a broker: the
// client itself says only that it ran out of time.
type dials struct {
	mu  sync.Mutex
	err error // of the last one
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (d *dials) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// failure is the error of the last dial, nil if it succeeded or none was tried.
func (d *dials) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// tlsConfig is that of connections to brokers, nil without TLS.
func (p *producer) tlsConfig() *tls.Config {
	if !p.target.tls {
		return nil
	}
	return cmp.Or(p.o.TLS, new(tls.Config))
}
