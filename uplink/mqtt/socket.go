package mqtt

import (
	"net"
	"sync"
	"sync/atomic"
)

// socket stands between paho and the connection, so that paho is the last one
// to learn of a failure.
//
// A Publish that is waiting to be taken when paho stops its workers hangs until
// its write timeout. So after a failure writes go nowhere, with success, which
// lets every Publish through (only a PUBACK completes a message, so that nothing
// is taken for delivered), and the failed read does not return until paho is
// told to disconnect.
type socket struct {
	net.Conn
	// armed is set after the MQTT handshake; until then failures are paho's.
	armed atomic.Bool
	// failed is closed by the first failure, with err set before.
	failed   chan struct{}
	err      error
	failOnce sync.Once
	// closed is closed by Close.
	closed    chan struct{}
	closeOnce sync.Once
}

func newSocket(c net.Conn) *socket {
	return &socket{Conn: c, failed: make(chan struct{}), closed: make(chan struct{})}
}

// fail notes the first failure.
func (s *socket) fail(err error) {
	s.failOnce.Do(func() {
		s.err = err
		close(s.failed)
	})
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
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

// Close implements net.Conn.
func (s *socket) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	return s.Conn.Close()
}
