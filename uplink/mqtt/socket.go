package mqtt

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"
)

// traffic counts the bytes of all connections of a Sink, as the TCP sockets see
// them: TLS and WebSocket frames are included, TCP and IP are not.
type traffic struct{ sent, received atomic.Uint64 }

// counted is a TCP connection that counts.
type counted struct {
	net.Conn
	traffic *traffic
}

// Read implements net.Conn.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.traffic.received.Add(uint64(n))
	return n, err
}

// Write implements net.Conn. It counts beforehand, so that what is acknowledged
// is counted, and takes back what was not written.
func (c *counted) Write(p []byte) (int, error) {
	c.traffic.sent.Add(uint64(len(p)))
	n, err := c.Conn.Write(p)
	if left := len(p) - n; left > 0 {
		c.traffic.sent.Add(-uint64(left))
	}
	return n, err
}

// socket stands between paho and the connection, so that paho is the last one
// to learn of a failure.
//
// A Publish that is waiting to be taken when paho stops its workers hangs until
// its write timeout. So after a failure writes go nowhere, with success, which
// lets every Publish through (only a PUBACK completes a message, so that nothing
// is taken for delivered), and the failed read does not return until paho is
// told to disconnect.
type socket struct {
	net.Conn // the connection that carries MQTT: TCP, TLS or a WebSocket
	raw      net.Conn
	// buffered saves paho's reads of one to two bytes from being system calls.
	buffered *bufio.Reader
	// handshake is how many bytes of CONNACK paho still has to read; armed is set
	// after the last. Until then failures are paho's.
	handshake int
	armed     atomic.Bool
	// packets counts what paho has read.
	packets packetCounter
	// opened is when the socket was made, heard how long after that something was
	// last received, in nanoseconds.
	opened time.Time
	heard  atomic.Int64
	// failed is closed by the first failure, with err set before.
	failed   chan struct{}
	err      error
	failOnce sync.Once
	// closed is closed by Close.
	closed    chan struct{}
	closeOnce sync.Once
}

// connackSize is what a CONNACK takes.
const connackSize = 4

func newSocket(conn, raw net.Conn) *socket {
	return &socket{
		Conn: conn, raw: raw, buffered: bufio.NewReaderSize(conn, 4<<10), handshake: connackSize,
		opened: time.Now(), failed: make(chan struct{}), closed: make(chan struct{}),
	}
}

// fail notes the first failure and ends all reads and writes.
func (s *socket) fail(err error) {
	s.failOnce.Do(func() {
		s.err = err
		close(s.failed)
		s.raw.Close()
	})
}

// Read implements net.Conn. It is called by one goroutine at a time.
func (s *socket) Read(p []byte) (int, error) {
	n, err := s.buffered.Read(p)
	s.heard.Store(int64(time.Since(s.opened)))
	s.packets.read(p[:n])
	if s.handshake > 0 {
		if s.handshake -= n; s.handshake <= 0 {
			s.armed.Store(true)
		}
	}
	if err != nil && s.armed.Load() {
		s.fail(err)
		<-s.closed
	}
	return n, err
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	if !s.armed.Load() {
		return s.Conn.Write(p)
	}
	select {
	case <-s.failed:
		return len(p), nil
	default:
	}
	if _, err := s.Conn.Write(p); err != nil {
		s.fail(err)
	}
	return len(p), nil
}

// Close implements net.Conn. It does not wait for the other side, as a closing
// TLS connection may.
func (s *socket) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	return s.raw.Close()
}

// packetCounter follows the framing of MQTT: a type, a length of 7 bits a byte,
// so many bytes.
type packetCounter struct {
	publishes atomic.Uint64 // of which the header was read

	state  int // what comes next: 0 a type, 1 a byte of the length, 2 the rest
	header byte
	shift  uint
	rest   int
}

// read takes the next bytes.
func (c *packetCounter) read(p []byte) {
	for len(p) > 0 {
		switch c.state {
		case 0:
			c.header, c.shift, c.rest, c.state = p[0]>>4, 0, 0, 1
			p = p[1:]
		case 1:
			c.rest |= int(p[0]&0x7f) << c.shift
			if c.shift += 7; p[0] < 0x80 || c.shift == 28 {
				if c.header == packets.Publish {
					c.publishes.Add(1)
				}
				if c.state = 2; c.rest == 0 {
					c.state = 0
				}
			}
			p = p[1:]
		default:
			n := min(c.rest, len(p))
			if c.rest -= n; c.rest == 0 {
				c.state = 0
			}
			p = p[n:]
		}
	}
}

// silence is how long nothing was received.
func (s *socket) silence() time.Duration {
	return time.Since(s.opened) - time.Duration(s.heard.Load())
}

// wsaConnReset is ECONNRESET where Windows reports it; no other system has an
// error of this number.
const wsaConnReset = syscall.Errno(10054)

// closedByPeer reports whether an error of a connection says that someone has
// ended it, the broker or what is between, and not that nothing gets through.
func closedByPeer(err error) bool {
	return closedInOrder(err) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, wsaConnReset)
}

// closedInOrder reports whether it was ended as a program does it, without a
// reset.
func closedInOrder(err error) bool {
	var closing *websocket.CloseError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &closing)
}
