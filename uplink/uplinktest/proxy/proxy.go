// Package proxy is a TCP link for tests and the lab: it can be slow, cut and
// silent.
package proxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// Proxy forwards TCP connections to a target. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // on any change of what follows
	latency time.Duration
	stalled bool
	cut     bool
	closed  bool
	links   map[*link]bool
	passed  int64
	fuse    int64 // bytes until the cut; 0: none is ordered
}

// link is one connection through the proxy.
type link struct{ client, server net.Conn }

// Start makes a proxy to target, on a free port of the loopback interface.
func Start(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, links: make(map[*link]bool)}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	return p, nil
}

// Addr is the address to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetLatency delays everything that comes from now on, in each direction.
func (p *Proxy) SetLatency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// Cut closes all connections with a reset and every new one at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.reset()
	p.changed.Broadcast()
}

// Stall lets nothing through any more, but keeps connections and accepts new
// ones, as a radio link out of coverage does.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = true
	p.changed.Broadcast()
}

// Heal undoes Cut, Stall and CutAfter.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.stalled, p.fuse = false, false, 0
	p.changed.Broadcast()
}

// Passed is the number of bytes that went from clients to the target.
func (p *Proxy) Passed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

// CutAfter cuts the link in the moment when n more bytes would have gone from
// clients to the target: less than the whole of what is under way may arrive.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fuse = max(n, 1)
}

// Close ends the proxy and all connections, and waits for its goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.reset()
	p.changed.Broadcast()
	p.mu.Unlock()
	err := p.listener.Close()
	p.running.Wait()
	return err
}

// reset closes all connections. The caller holds the mutex.
func (p *Proxy) reset() {
	for l := range p.links {
		l.close()
	}
	clear(p.links)
}

func (l *link) close() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	refuse := p.cut || p.closed
	p.mu.Unlock()
	if refuse {
		(&link{client, client}).close()
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		(&link{client, client}).close()
		return
	}
	l := &link{client, server}
	p.mu.Lock()
	if p.cut || p.closed {
		l.close()
	} else {
		p.links[l] = true
	}
	p.mu.Unlock()
	var directions sync.WaitGroup
	directions.Go(func() { p.copy(server, client, true) })
	directions.Go(func() { p.copy(client, server, false) })
	directions.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	l.close()
}

// chunk is what was read at once, and when it may go on.
type chunk struct {
	data []byte
	due  time.Time
}

// copy forwards one direction. Reading goes on while chunks wait for their time,
// so that latency does not limit throughput.
func (p *Proxy) copy(dst io.WriteCloser, src net.Conn, up bool) {
	chunks := make(chan chunk, 1024)
	p.running.Go(func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 32<<10)
			n, err := src.Read(buffer)
			if n > 0 {
				p.mu.Lock()
				due := time.Now().Add(p.latency)
				p.mu.Unlock()
				chunks <- chunk{buffer[:n], due}
			}
			if err != nil {
				return
			}
		}
	})
	for c := range chunks {
		time.Sleep(time.Until(c.due))
		p.mu.Lock()
		for p.stalled && !p.cut && !p.closed {
			p.changed.Wait()
		}
		blown := false
		if up {
			if n := int64(len(c.data)); p.fuse > 0 {
				if blown = p.fuse <= n; blown {
					c.data = c.data[:p.fuse]
				}
				p.fuse -= int64(len(c.data))
			}
			p.passed += int64(len(c.data))
		}
		p.mu.Unlock()
		if _, err := dst.Write(c.data); err != nil {
			break
		}
		if blown {
			p.Cut()
			break
		}
	}
	dst.Close()
	src.Close()
	for range chunks { // lets the reader end
	}
}
