package socketcan

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
)

// Socket is one raw CAN socket on one interface. It is a can.Source of one bus:
// Read is for one goroutine at a time, everything else is safe for concurrent
// use.
//
// When the interface goes down, Read says syscall.ENETDOWN once, and goes on when
// the interface is up again. When the interface is gone, Read says syscall.ENODEV
// once; a new interface of the same name needs a new Socket. What was received
// before can still be read in both cases.
type Socket struct {
	name     string
	index    int // of the interface
	buses    []string
	file     *os.File
	conn     syscall.RawConn
	streams  *can.Streams
	clock    *hardwareClock // nil: the kernel's time stamps
	coalesce time.Duration
	granted  int // receive buffer

	// Used by Read.
	batch    batch
	receive  func(fd uintptr) bool // batch.receive, made once: a closure for each call would be an allocation
	poll     bool                  // do not wait
	emptied  time.Time             // when Read last took all that there was
	pause    *time.Timer
	received atomic.Uint64
	strange  atomic.Uint64
	syscalls atomic.Uint64

	dropped  wrappingCounter
	deadline atomic.Int64 // Unix nanoseconds, 0: none
	closed   chan struct{}
	close    sync.Once
}

// Open opens a socket on an interface, whether that is up or not.
func Open(o Options) (*Socket, error) { return open(o, new(can.Streams)) }

func open(o Options, streams *can.Streams) (*Socket, error) {
	// A socket that can neither be inherited nor block a thread.
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.CAN_RAW)
	if err != nil {
		return nil, fmt.Errorf("%s: opening a CAN socket: %w%s", o.Interface, err, socketHint(err))
	}
	index, err := bindCAN(fd, &o)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", o.Interface, err)
	}
	s, err := newSocket(fd, &o, streams)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", o.Interface, err)
	}
	s.index = index
	return s, nil
}

func socketHint(err error) string {
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return " (the kernel has no CAN: load its module with `modprobe can`; under systemd, RestrictAddressFamilies must name AF_CAN)"
	case errors.Is(err, unix.EPROTONOSUPPORT):
		return " (load the module: `modprobe can_raw`)"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return " (a container or a seccomp filter forbids it)"
	}
	return ""
}

// bindCAN sets what only CAN sockets have and binds the socket to its interface.
func bindCAN(fd int, o *Options) (index int, err error) {
	if o.Filters != nil {
		if err := setFilters(fd, o.Filters); err != nil {
			return 0, err
		}
	}
	if o.Errors {
		if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_ERR_FILTER, errorMask); err != nil {
			return 0, fmt.Errorf("asking for error frames: %w", err)
		}
	}
	// On an interface for classical CAN only, this changes nothing.
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1); err != nil && err != unix.ENOPROTOOPT {
		return 0, fmt.Errorf("asking for CAN FD frames: %w", err)
	}
	request, err := unix.NewIfreq(o.Interface)
	if err != nil {
		return 0, fmt.Errorf("not the name of an interface: %w", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, fmt.Errorf("there is no such interface: %w", err)
	}
	index = int(request.Uint32())
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: index}); err != nil {
		if err == unix.ENODEV {
			return 0, fmt.Errorf("not a CAN interface, or just removed: %w", err)
		}
		return 0, fmt.Errorf("binding to the interface: %w", err)
	}
	return index, nil
}

// newSocket takes over a non-blocking datagram socket, of whatever family; the
// tests give it others than CAN's. If it fails, fd is still the caller's.
func newSocket(fd int, o *Options, streams *can.Streams) (*Socket, error) {
	s := &Socket{
		name:     o.Interface,
		buses:    []string{o.Bus},
		streams:  streams,
		coalesce: min(o.Coalesce, maxCoalesce),
		closed:   make(chan struct{}),
	}
	if o.Bus == "" {
		s.buses[0] = o.Interface
	}
	if err := s.stampTimes(fd, o.HardwareTime); err != nil {
		return nil, fmt.Errorf("asking for the times of frames: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
		return nil, fmt.Errorf("asking for the count of dropped frames: %w", err)
	}
	s.sizeBuffer(fd, o.ReceiveBuffer)
	s.file = os.NewFile(uintptr(fd), o.Interface)
	conn, err := s.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	s.conn = conn
	s.batch.init()
	s.receive = func(fd uintptr) bool {
		s.syscalls.Add(1)
		return s.batch.receive(int(fd)) || s.poll
	}
	s.pause = time.NewTimer(time.Hour)
	s.pause.Stop()
	return s, nil
}

// stampTimes prefers the time stamps that have 64 bits on 32-bit machines, too
// (Linux 5.1).
func (s *Socket) stampTimes(fd int, hardware bool) error {
	if hardware {
		const flags = unix.SOF_TIMESTAMPING_RX_HARDWARE | unix.SOF_TIMESTAMPING_RAW_HARDWARE |
			unix.SOF_TIMESTAMPING_RX_SOFTWARE | unix.SOF_TIMESTAMPING_SOFTWARE
		s.clock = &hardwareClock{}
		return setEither(fd, unix.SO_TIMESTAMPING_NEW, unix.SO_TIMESTAMPING, flags)
	}
	return setEither(fd, unix.SO_TIMESTAMPNS_NEW, unix.SO_TIMESTAMPNS, 1)
}

func setEither(fd, option, older, value int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, value)
	if err == unix.ENOPROTOOPT {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, older, value)
	}
	return err
}

// sizeBuffer asks for a receive buffer, as large as may be: without rights the
// kernel gives what net.core.rmem_max allows.
func (s *Socket) sizeBuffer(fd, bytes int) {
	if bytes == 0 {
		bytes = defaultReceiveBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
	if twice, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
		s.granted = twice / 2 // the kernel doubles what it is asked for, socket(7)
	}
}

// Buses implements can.Source: there is one.
func (s *Socket) Buses() []string { return s.buses }

// Read takes up to 64 frames from the kernel with one system call; it waits for
// the first. After SetReadDeadline's time it returns os.ErrDeadlineExceeded, after
// Close os.ErrClosed.
func (s *Socket) Read(frames []can.Frame) (n int, err error) {
	if err := s.gather(); err != nil {
		return 0, err
	}
	return s.read(frames, false)
}

// readNow is Read that does not wait: without frames n is 0.
func (s *Socket) readNow(frames []can.Frame) (n int, err error) { return s.read(frames, true) }

func (s *Socket) read(frames []can.Frame, poll bool) (n int, err error) {
	for len(frames) > 0 {
		s.batch.want = min(len(frames), batchSize)
		s.poll = poll
		if err := s.conn.Read(s.receive); err != nil {
			return 0, s.ended(err)
		}
		if s.batch.err == unix.EAGAIN { // readNow
			return 0, nil
		}
		if s.batch.err != 0 {
			return 0, fmt.Errorf("%s: receiving: %w", s.name, s.batch.err)
		}
		if s.coalesce > 0 && s.batch.got < s.batch.want {
			s.emptied = time.Now()
		}
		if n = s.decode(frames); n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// decode turns the batch into frames.
func (s *Socket) decode(frames []can.Frame) (n int) {
	for i := range s.batch.got {
		f := &frames[n]
		data, size, c := s.batch.message(i)
		if c.hasDropped {
			s.dropped.observe(c.dropped)
		}
		if !decodeFrame(f, data, size) {
			s.strange.Add(1)
			continue
		}
		f.Time = c.software
		if s.clock != nil {
			f.Time = s.clock.systemTime(c.software, c.hardware)
		}
		if c.local {
			f.Flags |= can.Sent
		}
		f.Bus = 0
		f.Stream = can.NoStream
		if f.Flags&(can.Error|can.Remote) == 0 {
			f.Stream = s.streams.Number(0, f.ID, f.Flags&can.Extended != 0)
		}
		n++
	}
	s.received.Add(uint64(n))
	return n
}

// gather leaves frames in the kernel for a while, but not beyond the deadline.
func (s *Socket) gather() error {
	if s.coalesce <= 0 || s.emptied.IsZero() {
		return nil
	}
	wait := s.coalesce - time.Since(s.emptied)
	s.emptied = time.Time{}
	if d := s.deadline.Load(); d != 0 {
		wait = min(wait, time.Until(time.Unix(0, d)))
	}
	if wait <= 0 {
		return nil
	}
	s.pause.Reset(wait)
	select {
	case <-s.pause.C:
	case <-s.closed:
		s.pause.Stop()
		return os.ErrClosed
	}
	return nil
}

// ended says why there is no more waiting for frames: the runtime's own error for a
// closed file is none that can be compared with.
func (s *Socket) ended(err error) error {
	select {
	case <-s.closed:
		return os.ErrClosed
	default:
		return err // os.ErrDeadlineExceeded
	}
}

// SetReadDeadline is when Read gives up waiting; the zero time is never. It
// applies to a Read that is waiting, too.
func (s *Socket) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		s.deadline.Store(0)
	} else {
		s.deadline.Store(t.UnixNano())
	}
	if err := s.file.SetReadDeadline(t); err != nil {
		return s.ended(err)
	}
	return nil
}

// Close ends a Read that is waiting.
func (s *Socket) Close() (err error) {
	s.close.Do(func() {
		s.observeDropped()
		close(s.closed)
		err = s.file.Close()
	})
	return err
}

// Stats are the counters so far, after Close those of the end.
func (s *Socket) Stats() SocketStats {
	s.observeDropped()
	return SocketStats{
		Received:      s.received.Load(),
		Dropped:       s.dropped.Load(),
		Malformed:     s.strange.Load(),
		Syscalls:      s.syscalls.Load(),
		ReceiveBuffer: s.granted,
	}
}

// observeDropped asks the kernel, which tells Read of drops with the next frame
// only.
func (s *Socket) observeDropped() {
	_ = s.conn.Control(func(fd uintptr) { // fails once closed
		if _, n, ok := memoryInfo(int(fd)); ok {
			s.dropped.observe(n)
		}
	})
}

// empty reports that no frame waits to be read, as far as the kernel tells.
func (s *Socket) empty() (empty bool) {
	_ = s.conn.Control(func(fd uintptr) {
		queued, _, ok := memoryInfo(int(fd))
		empty = ok && queued == 0
	})
	return empty
}
