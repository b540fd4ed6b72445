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
	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	// goodbye limits what Close still has to say.
	goodbye = time.Second
	// pingDelay is how much later than after KeepAlive the answer to paho's ping
	// may come: it looks every 5 s, and a slow link takes its time.
	pingDelay = 15 * time.Second
	// never is longer than a connection lives.
	never = 10 * 365 * 24 * time.Hour
)

// connection is one connection to the broker, from CONNECT to its loss.
type connection struct {
	client paho.Client
	socket *socket
	since  time.Time
	// greeted is set when greet was called, repeatAt is when Presence is to be
	// online once more, zero if it is not.
	greeted  bool
	repeatAt time.Time
	arrivals arrivals
}

// dial connects. Everything, handshakes included, ends soon after ctx does.
func (s *Sink) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.DialTimeout, fmt.Errorf("not connected after %v", s.o.DialTimeout))
	defer cancel()
	c, err := s.handshake(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return c, err
}

func (s *Sink) handshake(ctx context.Context) (*connection, error) {
	var opening opening
	defer opening.end() // unless it has come to something
	conn, err := opening.open(ctx, s)
	if err != nil {
		return nil, err
	}
	c := &connection{socket: newSocket(conn, opening.raw), since: time.Now()}
	c.client = paho.NewClient(s.clientOptions(c))
	token := c.client.Connect()
	<-token.Done()
	if err := token.Error(); err != nil {
		return nil, err
	}
	if !opening.done() { // ctx ended in the last instant and has closed the connection
		c.abort()
		return nil, ctx.Err()
	}
	return c, nil
}

func (s *Sink) clientOptions(c *connection) *paho.ClientOptions {
	o := paho.NewClientOptions().
		AddBroker("tcp://" + s.url.Host). // for paho's loop only: the connection is there
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return c.socket, nil }).
		SetProtocolVersion(4).
		SetClientID(s.o.ClientID).
		SetUsername(s.o.Username).
		SetPassword(s.o.Password).
		SetStore(noStore{}).
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(true).
		SetKeepAlive(s.o.KeepAlive).
		// paho would stop its workers, perhaps in the very moment of a Publish. The
		// silence is noticed before something is sent, and while it is.
		SetPingTimeout(never).
		SetConnectTimeout(s.o.DialTimeout).
		SetWriteTimeout(s.o.AckTimeout).
		SetConnectionLostHandler(func(_ paho.Client, err error) { c.socket.fail(err) }) // by what it cannot read
	if p := &s.o.Presence; p.Topic != "" {
		o.SetBinaryWill(p.Topic, p.Offline, 1, !p.Transient)
	}
	if s.twin != nil {
		o.SetDefaultPublishHandler(s.twin.handler(&c.arrivals))
	}
	return o
}

// opening is a connection that is being made. It is closed when its context ends
// before it is done.
type opening struct {
	raw  net.Conn // nil before there is one
	stop func() bool
}

// open makes the connection that MQTT goes over.
func (o *opening) open(ctx context.Context, s *Sink) (net.Conn, error) {
	switch s.url.Scheme {
	case "ws", "wss":
		return openWebSocket(ctx, s.url, s.o.Header, s.o.TLS, func(ctx context.Context, _, addr string) (net.Conn, error) {
			return o.dial(ctx, addr, &s.traffic)
		})
	case "mqtts":
		raw, err := o.dial(ctx, s.url.Host, &s.traffic)
		if err != nil {
			return nil, err
		}
		c := tls.Client(raw, s.o.TLS)
		return c, c.HandshakeContext(ctx)
	}
	return o.dial(ctx, s.url.Host, &s.traffic)
}

func (o *opening) dial(ctx context.Context, addr string, t *traffic) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	o.raw = &counted{conn, t}
	o.stop = context.AfterFunc(ctx, func() { conn.Close() })
	return o.raw, nil
}

// done says that the connection is made. It returns false if it was closed.
func (o *opening) done() bool {
	ok := o.stop()
	o.raw = nil
	return ok
}

func (o *opening) end() {
	if o.raw != nil {
		o.stop()
		o.raw.Close()
	}
}

// lost is closed when the connection is.
func (c *connection) lost() <-chan struct{} { return c.socket.failed }

// abort ends the connection without any more ado.
func (c *connection) abort() {
	c.socket.fail(errAborted)
	c.client.Disconnect(uint(goodbye / time.Millisecond))
}

var errAborted = errors.New("given up")

// noStore is paho's store of unacknowledged messages, which only a reconnection
// would need.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
