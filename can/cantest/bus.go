package cantest

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"milepost/can"
)

// Bus is a CAN bus in memory. Any number of goroutines may send on it, and any
// number of Receivers listen.
type Bus struct {
	name string

	mu        sync.Mutex
	receivers []*Receiver
	closed    bool
}

// ErrClosed is the error of sending on a closed Bus.
var ErrClosed = errors.New("bus is closed")

// NewBus makes a bus without listeners.
func NewBus(name string) *Bus { return &Bus{name: name} }

// Send delivers a copy of the frame to all Receivers. It never waits: a Receiver
// whose queue is full loses the frame and counts it. A frame without a Time gets
// that of the clock. Bus and Stream are set by the Receivers.
func (b *Bus) Send(f can.Frame) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if f.Time == 0 {
		f.Time = time.Now().UnixNano()
	}
	for _, r := range b.receivers {
		r.put(&f)
	}
	return nil
}

// Receive attaches a Receiver whose queue holds at most the given number of
// frames, at least one. It hears what is sent from now on; on a closed bus that
// is nothing.
func (b *Bus) Receive(queue int) *Receiver {
	r := &Receiver{names: []string{b.name}, bus: b, queue: make([]can.Frame, max(queue, 1))}
	r.arrived.L = &r.mu
	b.mu.Lock()
	defer b.mu.Unlock()
	r.closed = b.closed
	if !b.closed {
		b.receivers = append(b.receivers, r)
	}
	return r
}

// Close ends the bus. Receivers deliver what they have queued and then io.EOF.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, r := range b.receivers {
		r.end()
	}
	b.receivers = nil
	return nil
}

// Receiver is a listener of a Bus: a can.Source with a bounded queue, as a
// socket is one. One goroutine may Read, any may call Dropped and Close.
type Receiver struct {
	names   []string
	bus     *Bus
	streams can.Streams

	mu      sync.Mutex
	arrived sync.Cond
	queue   []can.Frame // a ring
	first   int
	queued  int
	dropped uint64
	closed  bool
	// deadline is when a Read that waits returns, alarm wakes it up then.
	deadline time.Time
	alarm    *time.Timer
}

// SetReadDeadline makes a Read that waits beyond t return os.ErrDeadlineExceeded;
// frames that wait come first. The zero time is none.
func (r *Receiver) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alarm != nil {
		r.alarm.Stop()
	}
	r.deadline = t
	if !t.IsZero() {
		r.alarm = time.AfterFunc(time.Until(t), func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.arrived.Broadcast()
		})
	}
	return nil
}

// overdue says whether the deadline has passed.
func (r *Receiver) overdue() bool {
	return !r.deadline.IsZero() && !time.Now().Before(r.deadline)
}

// Read implements can.Source: it waits for a frame.
func (r *Receiver) Read(frames []can.Frame) (n int, err error) {
	if len(frames) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	for r.queued == 0 && !r.closed && !r.overdue() {
		r.arrived.Wait()
	}
	if r.queued == 0 && !r.closed { // overdue
		r.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	}
	for n < len(frames) && r.queued > 0 {
		frames[n] = r.queue[r.first]
		r.first = (r.first + 1) % len(r.queue)
		r.queued--
		n++
	}
	r.mu.Unlock()
	if n == 0 {
		return 0, io.EOF
	}
	for i := range frames[:n] {
		frames[i].Bus = 0
		number(&r.streams, &frames[i])
	}
	return n, nil
}

// Buses implements can.Source.
func (r *Receiver) Buses() []string { return r.names }

// Dropped counts the frames that were lost because the queue was full, since the
// Receiver was attached: what the kernel counts for SO_RXQ_OVFL.
func (r *Receiver) Dropped() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// Close detaches the Receiver: a waiting Read ends.
func (r *Receiver) Close() error {
	r.bus.detach(r)
	r.end()
	return nil
}

func (b *Bus) detach(r *Receiver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.receivers {
		if other == r {
			b.receivers = append(b.receivers[:i], b.receivers[i+1:]...)
			return
		}
	}
}

func (r *Receiver) put(f *can.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queued == len(r.queue) {
		r.dropped++
		return
	}
	r.queue[(r.first+r.queued)%len(r.queue)] = *f
	r.queued++
	r.arrived.Signal()
}

func (r *Receiver) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.arrived.Broadcast()
}
