// Package httpserver is a server for tests and the lab that takes what package
// http sends: batches, OpenTelemetry metrics, and the requests of both versions
// of the Kafka REST proxy. It can be made to fail in the ways that servers do.
package httpserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"
	"slices"
	"sync"
	"time"

	"milepost/uplink"
	"milepost/uplink/uplinktest/loopback"
)

// Options configure a Server.
type Options struct {
	// Addr to listen at; empty is a free port of the loopback interface.
	Addr string
	// TLS makes it a server of https, with HTTP/2 where NextProtos has "h2".
	TLS *tls.Config
	// Token, or Username and Password, are what requests must have, if set.
	Token, Username, Password string
	// MaxBody is above what a body may have, in bytes as they are sent; what is
	// longer is answered with 413 before it is read. 0 is without limit.
	MaxBody int64
	// Plain has it know nothing of compressed bodies: it takes them as they are.
	Plain bool
	// Deduplicate answers a request whose path and Idempotency-Key it has as
	// before, without taking its records again.
	Deduplicate bool
	// Refuse gives the reason why a record is refused, if it is: by the REST
	// proxies alone, otherwise with the whole request (400). With DropPoints an
	// OpenTelemetry server takes the others (partial success).
	Refuse     func(*uplink.Record) string
	DropPoints bool
	// Clusters that GET /v3/clusters names; none is one.
	Clusters []string
	// Topics that exist, if not all do.
	Topics []string
}

// Request is one that the server got.
type Request struct {
	Method, Path string
	Proto        string
	Header       nethttp.Header
	// Records is how many it has brought; Status how it was answered (0: not at
	// all).
	Records, Status int
}

// Server is such a server. It is safe for concurrent use.
type Server struct {
	o    Options
	addr string

	mu       sync.Mutex
	server   *nethttp.Server
	idle     map[net.Conn]bool
	serving  sync.WaitGroup
	records  []uplink.Record
	requests []Request
	faults   []Fault
	answers  map[string]result // by path and Idempotency-Key
}

// Fault is how the server fails a request.
type Fault struct {
	// Status and Body are answered instead of taking the records; Header with any
	// answer.
	Status int
	Body   string
	Header nethttp.Header
	// Early answers before the body is read.
	Early bool
	// Take takes the records all the same.
	Take bool
	// Drop ends the connection instead of answering, Truncate in the midst of the
	// answer. Hang waits until the client has gone.
	Drop, Truncate, Hang bool
	// Drip is the time between the bytes of the answer.
	Drip time.Duration
	// Code, if not 0, is what the REST proxies say of the records from From to To
	// (0: the last one), which are not taken.
	Code, From, To int
}

// Start makes a server.
func Start(o Options) (*Server, error) {
	s := &Server{o: o, addr: o.Addr, answers: make(map[string]result)}
	if s.addr == "" {
		var err error
		if s.addr, err = loopback.Address(); err != nil {
			return nil, fmt.Errorf("http server: %w", err)
		}
	}
	return s, s.Restart()
}

// Addr is where it listens; it survives a Restart.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// URL is that of its root.
func (s *Server) URL() string {
	if s.o.TLS != nil {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// Restart starts the server, with what it had, unless it runs.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("http server: %w", err)
	}
	s.addr = listener.Addr().String()
	s.idle = make(map[net.Conn]bool)
	protocols := new(nethttp.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.o.TLS != nil && slices.Contains(s.o.TLS.NextProtos, "h2"))
	server := &nethttp.Server{Handler: nethttp.HandlerFunc(s.serve), ConnState: s.connState, TLSConfig: s.o.TLS.Clone(), Protocols: protocols, ErrorLog: silent}
	s.server = server
	s.serving.Go(func() {
		if s.o.TLS != nil {
			server.ServeTLS(listener, "", "")
		} else {
			server.Serve(listener)
		}
	})
	return nil
}

// Stop ends all connections, as a crash would. What was taken stays.
func (s *Server) Stop() error {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Close()
	s.serving.Wait()
	if errors.Is(err, nethttp.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) connState(conn net.Conn, state nethttp.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == nethttp.StateIdle {
		s.idle[conn] = true
	} else {
		delete(s.idle, conn)
	}
}

// CloseIdle ends the connections on which there is no request, as servers do
// after a time.
func (s *Server) CloseIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.idle {
		conn.Close()
	}
}

// Fail makes the next requests for records fail, each in one of the ways.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Records is what was taken, in the order of arrival, repeats included; of one
// OpenTelemetry request in the order of the sequences.
func (s *Server) Records() []uplink.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]uplink.Record(nil), s.records...)
}

// Requests is all requests, in the order in which they were done with.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}
