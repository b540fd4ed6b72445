package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const (
	// writeTimeout limits one write of paho to the socket: on a slow link the
	// largest payload needs some seconds.
	writeTimeout = 20 * time.Second
	// goodbye limits sending DISCONNECT.
	goodbye = time.Second
)

// connection is one connection to the broker, from CONNECT to its loss.
type connection struct {
	client paho.Client
	socket *socket
	// messages go to the publisher, the goroutine that calls Publish, which
	// blocks while a write does. It ends when messages is closed.
	messages  chan *message
	published chan struct{} // closed when it has ended
}

// dial connects. Everything, handshakes included, ends soon after ctx does.
func dial(ctx context.Context, u *url.URL, o *Options) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	c := &connection{messages: make(chan *message), published: make(chan struct{})}
	stop := func() bool { return true }
	options := paho.NewClientOptions().
		AddBroker("tcp://" + u.Host). // for paho's loop only: the next line dials
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			conn, err := open(ctx, u, o.TLS)
			if err != nil {
				return nil, err
			}
			c.socket = newSocket(conn)
			stop = context.AfterFunc(ctx, func() { conn.Close() })
			return c.socket, nil
		}).
		SetProtocolVersion(4).
		SetClientID(o.ClientID).
		SetUsername(o.Username).
		SetPassword(o.Password).
		SetStore(paho.NewMemoryStore()).
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(false).
		SetKeepAlive(o.KeepAlive).
		SetConnectTimeout(o.DialTimeout).
		SetWriteTimeout(writeTimeout).
		SetConnectionLostHandler(func(_ paho.Client, err error) { c.socket.fail(err) })
	c.client = paho.NewClient(options)
	token := c.client.Connect()
	<-token.Done()
	if err := token.Error(); err != nil {
		if c.socket != nil {
			c.socket.Close()
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no answer within %v: %w", o.DialTimeout, err)
		}
		return nil, err
	}
	c.socket.armed.Store(true)
	go c.publisher()
	if !stop() { // ctx ended in the last instant and has closed the connection
		c.abort()
		return nil, ctx.Err()
	}
	return c, nil
}

func open(ctx context.Context, u *url.URL, config *tls.Config) (net.Conn, error) {
	var dialer net.Dialer
	if u.Scheme == "mqtt" {
		return dialer.DialContext(ctx, "tcp", u.Host)
	}
	return (&tls.Dialer{NetDialer: &dialer, Config: config}).DialContext(ctx, "tcp", u.Host)
}

func (c *connection) publisher() {
	defer close(c.published)
	for m := range c.messages {
		m.token <- c.client.Publish(m.topic, 1, false, m.payload)
	}
}

// lost is closed when the connection is.
func (c *connection) lost() <-chan struct{} { return c.socket.failed }

// cause is why the connection was lost; for when lost is closed.
func (c *connection) cause() error { return fmt.Errorf("connection lost: %w", c.socket.err) }

var errAborted = errors.New("given up")

// abort ends the connection without any more ado.
func (c *connection) abort() {
	c.socket.fail(errAborted)
	c.socket.SetDeadline(time.Unix(1, 0)) // ends a write that is under way
	c.disconnect()
}

// disconnect ends the connection as the protocol wants it.
func (c *connection) disconnect() {
	close(c.messages)
	<-c.published
	c.client.Disconnect(uint(goodbye / time.Millisecond))
}
