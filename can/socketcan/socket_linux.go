package socketcan

import (
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
	take     func(fd uintptr)      // the same, not waiting
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

// readNow is Read that does not wait, whatever the deadline: without frames n is 0.
func (s *Socket) readNow(frames []can.Frame) (n int, err error) { return s.read(frames, true) }

func (s *Socket) read(frames []can.Frame, poll bool) (n int, err error) {
	for len(frames) > 0 {
		s.batch.want = min(len(frames), batchSize)
		if err := s.call(poll); err != nil {
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

// call fills the batch. The runtime's Read does not ask the kernel at all once the
// deadline has passed, so that only Control tells that nothing waits.
func (s *Socket) call(poll bool) error {
	if poll {
		return s.conn.Control(s.take)
	}
	return s.conn.Read(s.receive)
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
