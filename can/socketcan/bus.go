package socketcan

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"milepost/can"
)

// BusOptions of NewBus. Interface must be set; the rest may be zero.
type BusOptions struct {
	// Interface is the name of the network interface, such as can0.
	Interface string
	// Name is the bus's in Buses, the interface's if empty.
	Name string
	// Link is how the interface should be: it is brought up so, and again each time
	// it comes back; a controller in bus-off is restarted. Nil leaves the interface
	// to others: it is read while they have it up.
	Link *LinkOptions
	// Filters, ReceiveBuffer, HardwareTime and Coalesce are those of Options.
	Filters       []Filter
	ReceiveBuffer int
	HardwareTime  bool
	Coalesce      time.Duration
	// CountForeign counts the frames that the filters keep away.
	CountForeign bool
	// Bitrate and DataBitrate in bit/s are taken for Health.Load where the interface
	// has none, such as vcan.
	Bitrate, DataBitrate uint32
	// Logger gets a line when the bus comes and goes; nil discards them.
	Logger *slog.Logger
}

// Bus is a bus that is looked after: Read waits while the interface is absent or
// down, brings it up as configured, and goes on when it comes back, be it the same
// or one that was plugged in anew. It is a can.Source whose streams keep their
// numbers through all of that.
//
// Read is for one goroutine at a time; all else is safe for concurrent use. Nothing
// runs between calls of Read but, while the interface is awaited, a goroutine that
// listens for it; Close ends that.
type Bus struct {
	o       BusOptions
	sys     system
	log     quietLog
	buses   []string
	streams can.Streams
	closed  chan struct{}
	close   sync.Once
	kicked  chan struct{} // the deadline has changed
	begun   chan struct{} // closed by the first try
	first   sync.Once

	// Used by Read.
	draining  bool          // the interface is down or gone: what was received before is still to be read
	orphaned  bool          // the socket's interface is gone for good
	attached  bool          // the socket is bound to an interface that is up
	changes   chan struct{} // the watcher has seen something
	began     time.Time     // when it was attached last
	tried     time.Time     // when that was last tried, zero: now is the time
	pause     backoff       // until it is tried again
	seen      Link          // how the interface was then
	isDevice  bool          // the interface is a controller
	untilNext int           // frames until the next that is measured
	care      backoff       // between attempts to restart the controller

	notArrived atomic.Uint64 // frames of this socket that the interface does not count as received

	mu            sync.Mutex // for what follows; held for moments
	deadline      time.Time
	careAt        time.Time // when to look after a controller in bus-off, zero: no need
	socket        *Socket
	setTo         time.Time // the socket's deadline
	unwatch       func()    // nil: nobody watches the interfaces
	mix           frameMix
	health        Health // Received and Dropped are those of former sockets
	arrivedBefore uint64 // what the interface had received when the socket was opened
	foreignBefore uint64 // Health.Foreign then

	asking sync.Mutex // Health reads the interface, once at a time
	asked  time.Time
}

// errNoSocketCAN is what systems other than Linux say.
var errNoSocketCAN = errors.New("live CAN buses need Linux's SocketCAN")

// system is what a Bus needs of the operating system.
type system struct {
	readLink  func(name string) (Link, error)
	configure func(name string, o LinkOptions) error
	restart   func(name string) error
	open      func(o Options, streams *can.Streams) (*Socket, error)
	watch     func(changed func()) (stop func(), err error)
	close     func()
}

// NewBus returns a Bus. It does nothing until it is read.
func NewBus(o BusOptions) *Bus {
	a := new(asker)
	return newBus(o, system{a.readLink, Configure, Restart, open, watchLinks, a.close})
}

func newBus(o BusOptions, sys system) *Bus {
	if o.Name == "" {
		o.Name = o.Interface
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Bus{
		o: o, sys: sys,
		log:     quietLog{logger: o.Logger.With("bus", o.Name, "interface", o.Interface)},
		buses:   []string{o.Name},
		closed:  make(chan struct{}),
		kicked:  make(chan struct{}, 1),
		begun:   make(chan struct{}),
		changes: make(chan struct{}, 1),
	}
}

// Buses implements can.Source: there is one.
func (b *Bus) Buses() []string { return b.buses }

// Begun is closed when Read has tried for the first time to open the interface: from
// then on its frames are received, or Health says why not.
func (b *Bus) Begun() <-chan struct{} { return b.begun }

// Read returns frames as they come, and waits through whatever happens to the
// interface. It returns os.ErrDeadlineExceeded from the time on that SetReadDeadline
// set, if no frame waits to be read, io.EOF after Close, and errors.ErrUnsupported on
// systems without SocketCAN.
func (b *Bus) Read(frames []can.Frame) (n int, err error) {
	if len(frames) == 0 {
		return 0, nil
	}
	for {
		if !b.attached && !b.draining {
			if err := b.attach(); err != nil {
				return 0, b.end(err)
			}
		}
		n, err := b.readSocket(frames)
		late := errors.Is(err, os.ErrDeadlineExceeded) && b.passed()
		if late { // what came before the deadline may wait all the same, if nobody asked for a while
			n, err = b.socket.readNow(frames)
		}
		if n > 0 {
			b.examine(frames[:n])
			return n, nil
		}
		switch {
		case err == nil && late:
			return 0, os.ErrDeadlineExceeded
		case err == nil: // drained
			b.draining = false
		case errors.Is(err, os.ErrDeadlineExceeded):
			b.careForBusOff()
		case errors.Is(err, os.ErrClosed):
			return 0, b.end(io.EOF)
		default:
			// Down, gone, or something unheard of: the socket still has what came
			// before, and attach finds out what is the matter.
			b.detach(err)
			b.note(err)
		}
	}
}

// readSocket reads from the socket, until the deadline or until a controller in
// bus-off is to be cared for.
func (b *Bus) readSocket(frames []can.Frame) (int, error) {
	b.mu.Lock()
	socket := b.socket
	err := b.armLocked()
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if b.draining {
		return socket.readNow(frames)
	}
	return socket.Read(frames)
}

// armLocked gives the socket the deadline that it should have.
func (b *Bus) armLocked() error {
	until := earlier(b.deadline, b.careAt)
	if until.Equal(b.setTo) {
		return nil
	}
	b.setTo = until
	return b.socket.SetReadDeadline(until)
}

// end is the last of a Read that returns an error.
func (b *Bus) end(err error) error {
	if b.isClosed() {
		return io.EOF
	}
	return err
}

func (b *Bus) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

func (b *Bus) passed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.deadline.IsZero() && !time.Now().Before(b.deadline)
}

// SetReadDeadline is when Read gives up waiting; the zero time is never. It applies
// to a Read that is waiting, too.
func (b *Bus) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadline = t
	if b.socket != nil {
		if err := b.armLocked(); err != nil && !errors.Is(err, os.ErrClosed) {
			return err
		}
	}
	select {
	case b.kicked <- struct{}{}:
	default:
	}
	return nil
}

// Close ends a Read that is waiting, and the Bus.
func (b *Bus) Close() error {
	b.close.Do(func() {
		close(b.closed)
		b.stopWatching()
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.socket != nil {
			b.socket.Close()
		}
		b.sys.close()
	})
	return nil
}

// earlier is the earlier of two times, of which the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
