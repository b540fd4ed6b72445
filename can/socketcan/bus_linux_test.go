package socketcan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
)

// pretence is a system with one interface, whose frames are datagrams. It is what
// the race detector can run, and what can fail as asked; a kernel's own interfaces
// are in the tests of `make test-kernel`.
type pretence struct {
	mu        sync.Mutex
	link      *Link  // nil: absent
	changed   func() // nil: nobody watches
	tries     []time.Time
	configure error
	restarts  int
	socket    *Socket // the last one
	peer      int
}

func (p *pretence) system() system {
	return system{
		readLink: func(name string) (Link, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.link == nil {
				return Link{}, fmt.Errorf("interface %s: %w", name, syscall.ENODEV)
			}
			return *p.link, nil
		},
		close: func() {},
		configure: func(name string, o LinkOptions) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.tries = append(p.tries, time.Now())
			return p.configure
		},
		restart: func(string) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.restarts++
			p.link.State = ErrorActive
			return nil
		},
		open: func(o Options, streams *can.Streams) (*Socket, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			s, peer, err := newUDPSocket(o, streams)
			if err != nil {
				return nil, err
			}
			s.index = p.link.Index
			p.socket, p.peer = s, peer
			return s, nil
		},
		watch: func(changed func()) (func(), error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.changed = changed
			return func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.changed = nil
			}, nil
		},
	}
}

// set makes the interface what link says, and tells who watches.
func (p *pretence) set(link *Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = link
	if p.changed != nil {
		p.changed()
	}
}

// replace removes the interface and makes another. Nobody at the other end is the
// error that datagrams have.
func (p *pretence) replace(t *testing.T, link *Link) {
	p.set(link)
	p.mu.Lock()
	defer p.mu.Unlock()
	unix.Close(p.peer)
	err := p.socket.conn.Control(func(fd uintptr) { _, _ = unix.Write(int(fd), []byte{0}) })
	if err != nil {
		t.Error(err)
	}
}

func (p *pretence) send(t *testing.T, canID uint32, data ...byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sendTo(t, p.peer, canID, data...)
}

// TestBus has everything at once, for the race detector: an interface that is
// replaced again and again, bus-off, deadlines, somebody who asks for its health.
func TestBus(t *testing.T) {
	udpSocket(t, Options{}) // skips where there can be none
	p := &pretence{}
	b := newBus(BusOptions{Interface: "can0", Link: &LinkOptions{Restart: time.Millisecond}, CountForeign: true, Coalesce: time.Microsecond}, p.system())
	received := make(chan can.Frame, 1000)
	var all sync.WaitGroup
	all.Go(func() {
		defer close(received)
		frames := make([]can.Frame, 8)
		for {
			n, err := b.Read(frames)
			for _, f := range frames[:n] {
				received <- f
			}
			if err == io.EOF {
				return
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
				return
			}
		}
	})
	stop := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				b.Health()
				if err := b.SetReadDeadline(time.Now().Add(3 * time.Millisecond)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	wait := func(what string, reached func(Health) bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			h := b.Health()
			if reached(h) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("never %s: %+v", what, h)
			}
		}
	}
	for round := range 3 {
		// The second is the same interface: its socket has failed all the same.
		link := &Link{Index: 1 + round/2, Up: true, Kind: "can", State: ErrorActive}
		if round == 0 {
			wait("absent", func(h Health) bool { return errors.Is(h.Err, syscall.ENODEV) })
			p.set(link)
		} else {
			p.replace(t, link)
		}
		wait("open", func(h Health) bool { return h.Err == nil && h.Opened == uint64(round+1) })
		<-b.Begun()
		for i := range uint32(10) {
			p.send(t, i, 1)
			if f := <-received; f.ID != i || f.Stream != i {
				t.Fatalf("round %d, frame %d: %+v", round, i, f)
			}
		}
		p.mu.Lock()
		p.link.State = BusOff
		p.mu.Unlock()
		p.send(t, unix.CAN_ERR_FLAG|unix.CAN_ERR_BUSOFF, make([]byte, 8)...)
		<-received
		wait("restarted", func(h Health) bool { return h.Restarts == uint64(round+1) })
	}
	if h := b.Health(); h.Received != 33 || h.Errors.BusOff != 3 || h.Dropped != 0 || h.Foreign != 0 {
		t.Errorf("%+v", h)
	}
	close(stop)
	b.Close()
	all.Wait()
	if p.changed != nil {
		t.Error("it still watches")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestBusWaits: what cannot be set up is tried less and less often, at once when
// the interface changes, and logged now and then.
func TestBusWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		p := &pretence{link: &Link{Index: 1, Kind: "can"}, configure: errors.New("no rights")}
		b := newBus(BusOptions{Interface: "can0", Link: &LinkOptions{}, Logger: slog.New(slog.NewTextHandler(&lines, nil))}, p.system())
		select {
		case <-b.Begun():
			t.Error("it has begun before anybody reads it")
		default:
		}
		ended := make(chan error)
		go func() {
			_, err := b.Read(make([]can.Frame, 1))
			ended <- err
		}()
		<-b.Begun()
		if h := b.Health(); h.Err == nil {
			t.Error("it has begun, and does not say why it is not open")
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		n := len(p.tries)
		if n < 24*3600/30 || n > 24*3600/20 {
			t.Errorf("%d tries in a day", n)
		}
		for i := 1; i < 5; i++ {
			pause, doubled := p.tries[i].Sub(p.tries[i-1]), firstPause<<(i-1)
			if pause > doubled || pause < doubled*3/4 {
				t.Errorf("pause %d is %v", i, pause)
			}
		}
		if got := strings.Count(lines.String(), "\n"); got < 20 || got > 26 {
			t.Errorf("%d lines in a day", got)
		}
		// It comes anew: at once. The same again: not at all.
		for range 10 {
			p.set(&Link{Index: 2, Kind: "can"})
			synctest.Wait()
		}
		if got := len(p.tries); got != n+1 {
			t.Errorf("%d tries for one change", got-n)
		}
		if h := b.Health(); h.Err == nil || time.Since(h.Since) < 24*time.Hour || h.Opened != 0 {
			t.Errorf("%+v", h)
		}
		b.Close()
		if err := <-ended; err != io.EOF {
			t.Errorf("the end is %v", err)
		}
		if p.changed != nil {
			t.Error("it still watches")
		}
	})
}

// TestBusDeadlineWhileAbsent: the watch and the pauses outlast deadlines.
func TestBusDeadlineWhileAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pretence{link: &Link{Index: 1, Kind: "can"}, configure: errors.New("no rights")}
		b := newBus(BusOptions{Interface: "can0", Link: &LinkOptions{}}, p.system())
		begin := time.Now()
		for i := range 1000 {
			at := begin.Add(time.Duration(i+1) * 100 * time.Millisecond)
			if err := b.SetReadDeadline(at); err != nil {
				t.Fatal(err)
			}
			if n, err := b.Read(make([]can.Frame, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(at) {
				t.Fatalf("%d frames, %v at %v, the deadline is %v", n, err, time.Since(begin), at.Sub(begin))
			}
		}
		if n := len(p.tries); n < 8 || n > 14 { // 0, .25, .75, 1.75, … 31, 61, 91 s, less jitter
			t.Errorf("%d tries", n)
		}
		b.Close()
		if p.changed != nil {
			t.Error("it still watches")
		}
	})
}

func TestBusElsewhere(t *testing.T) {
	p := &pretence{link: &Link{Index: 1, Up: true}}
	sys := p.system()
	sys.open = func(Options, *can.Streams) (*Socket, error) { return nil, errNoSocketCAN }
	b := newBus(BusOptions{Interface: "can0"}, sys)
	defer b.Close()
	if _, err := b.Read(make([]can.Frame, 1)); !errors.Is(err, errNoSocketCAN) {
		t.Errorf("%v", err)
	}
}

// TestBusAddsUp: what was sent is received or dropped, over all the sockets that a
// Bus has had, and what an interface had received before it went is delivered.
func TestBusAddsUp(t *testing.T) {
	udpSocket(t, Options{}) // skips where there can be none
	p := &pretence{link: &Link{Index: 1, Up: true}}
	b := newBus(BusOptions{Interface: "can0", ReceiveBuffer: 8192}, p.system())
	defer b.Close()
	frames := make([]can.Frame, 4)
	read := func(enough uint64) {
		t.Helper()
		if err := b.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for got := uint64(0); got < enough; {
			n, err := b.Read(frames)
			if err != nil {
				t.Fatal(err)
			}
			got += uint64(n)
		}
	}
	if err := b.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(frames); !errors.Is(err, os.ErrDeadlineExceeded) { // it is open now
		t.Fatal(err)
	}
	const each = 500
	for round := range 3 {
		for i := range uint32(each) {
			p.send(t, i)
		}
		s := p.socket
		p.replace(t, &Link{Index: round + 2, Up: true})
		queued := each - s.Stats().Dropped
		if queued == 0 || queued == each {
			t.Fatalf("%d of %d frames are in the queue", queued, each)
		}
		read(queued)
		if err := b.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for b.Health().Opened < uint64(round+2) { // until the next one is open
			if _, err := b.Read(frames); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			if err := b.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		if h := b.Health(); h.Received+h.Dropped != uint64(round+1)*each || h.Dropped == 0 {
			t.Errorf("%d received and %d dropped of %d", h.Received, h.Dropped, (round+1)*each)
		}
	}
}
