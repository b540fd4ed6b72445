package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// writeTimeout limits one write to the socket, and with it the time for which
// paho may hold a message that it can no longer send.
const writeTimeout = 5 * time.Second

// connection is one connection to the broker, from CONNECT to its loss.
type connection struct {
	client paho.Client
	socket net.Conn
	// lost is closed when the connection is; lostBy is set before.
	lost   chan struct{}
	lostBy error
	// messages go to the publisher, the goroutine that calls Publish, which can
	// block for writeTimeout. It ends when messages is closed.
	messages  chan *message
	published chan struct{} // closed when it has ended
}

// dial connects. Everything, handshakes included, ends soon after ctx does.
func dial(ctx context.Context, u *url.URL, o *Options) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	c := &connection{
		lost:      make(chan struct{}),
		messages:  make(chan *message),
		published: make(chan struct{}),
	}
	stop := func() bool { return true }
	options := paho.NewClientOptions().
		AddBroker("tcp://" + u.Host). // for paho's loop only: the next line dials
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			socket, err := open(ctx, u, o.TLS)
			if err != nil {
				return nil, err
			}
			c.socket = socket
			stop = context.AfterFunc(ctx, func() { socket.Close() })
			return socket, nil
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
		SetConnectionLostHandler(func(_ paho.Client, err error) {
			c.lostBy = err
			close(c.lost)
		})
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
	go c.publisher()
	if !stop() { // ctx ended in the last instant and has closed the socket
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

// cause is why the connection was lost; it may be called when lost is closed.
func (c *connection) cause() error {
	if c.lostBy == nil {
		return fmt.Errorf("connection lost")
	}
	return fmt.Errorf("connection lost: %w", c.lostBy)
}

// abort ends the connection without any more ado. The socket is not closed,
// which paho would not notice: its deadline makes the pending reads and writes
// fail.
func (c *connection) abort() {
	c.socket.SetDeadline(time.Unix(1, 0))
	close(c.messages)
	<-c.published
	c.client.Disconnect(uint(writeTimeout / time.Millisecond))
}

// disconnect ends the connection as the protocol wants it.
func (c *connection) disconnect() {
	close(c.messages)
	<-c.published
	c.client.Disconnect(uint(writeTimeout / time.Millisecond))
}
