// Package slcan is the far end of a serial line on which Linux runs slcan: a CAN
// adapter, and with it the bus. Its owner is every other node of that bus, sends
// frames at will, sees what the kernel sends, and decides on errors.
package slcan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"milepost/can"
)

// State is the state of a CAN controller.
type State byte

// The states, as adapters write them.
const (
	Active  State = 'a'
	Warning State = 'w'
	Passive State = 'p'
	BusOff  State = 'b'
)

// Fault is an error on the bus, or in the adapter.
type Fault byte

// The faults, as adapters write them.
const (
	Acknowledgement Fault = 'a'
	DominantBit     Fault = 'b' // bit 0 was not seen as sent
	RecessiveBit    Fault = 'B'
	Checksum        Fault = 'c'
	Form            Fault = 'f'
	Stuff           Fault = 's'
	ReceiveOverrun  Fault = 'o'
	SendOverrun     Fault = 'O'
)

// bitrates are what S0 to S8 mean, in bit/s.
var bitrates = [...]uint32{10e3, 20e3, 50e3, 100e3, 125e3, 250e3, 500e3, 800e3, 1000e3}

// Adapter is an adapter. It is safe for concurrent use.
type Adapter struct {
	line io.ReadWriter

	writing sync.Mutex // a call's bytes stay together

	mu       sync.Mutex
	status   Status
	received []can.Frame
	changed  chan struct{} // closed by the next change
	ended    error
}

// Status is what the kernel has told an adapter to be, and what went through it.
type Status struct {
	Open       bool
	ListenOnly bool
	Bitrate    uint32 // bit/s; 0 before it was set
	// Received are frames that the kernel has sent, Sent those that it was given.
	Received, Sent uint64
	// Dropped are frames that came while the channel was closed: as on a bus
	// that nobody listens to.
	Dropped uint64
	// Unknown are commands that this adapter does not know.
	Unknown uint64
}

// New makes an adapter at the end of a line, with its channel closed.
func New(line io.ReadWriter) *Adapter {
	return &Adapter{line: line, changed: make(chan struct{})}
}

// maxCommand bounds what the kernel may send without an end: a frame has at most
// 1 + 8 + 1 + 16 characters.
const maxCommand = 64

// Run does what comes over the line until that ends.
func (a *Adapter) Run() error {
	in := bufio.NewReader(a.line)
	var command []byte
	for {
		b, err := in.ReadByte()
		if err != nil {
			if err != io.EOF {
				err = fmt.Errorf("slcan: %w", err)
			}
			a.mu.Lock()
			a.ended = err
			a.changeLocked()
			a.mu.Unlock()
			if err == io.EOF {
				return nil
			}
			return err
		}
		switch {
		case b == '\r':
			a.do(command)
			command = command[:0]
		case len(command) < maxCommand:
			command = append(command, b)
		}
	}
}

func (a *Adapter) do(command []byte) {
	if len(command) == 0 {
		return // an empty line asks for nothing
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changeLocked()
	s := &a.status
	switch {
	case string(command) == "C":
		s.Open = false
	case string(command) == "O", string(command) == "L":
		s.Open, s.ListenOnly = true, command[0] == 'L'
	case command[0] == 'S' && len(command) == 2 && int(command[1]-'0') < len(bitrates):
		s.Bitrate = bitrates[command[1]-'0']
	default:
		f, err := parseFrame(command)
		if err != nil || !s.Open || s.ListenOnly {
			s.Unknown++
			return
		}
		s.Received++
		a.received = append(a.received, f)
	}
}

func (a *Adapter) changeLocked() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// Status returns the present one.
func (a *Adapter) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// Received is what the kernel has sent so far.
func (a *Adapter) Received() []can.Frame {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.received)
}

// Wait waits until a condition holds, which is asked after each command of the
// kernel.
func (a *Adapter) Wait(ctx context.Context, condition func(Status) bool) error {
	for {
		a.mu.Lock()
		status, changed, ended := a.status, a.changed, a.ended
		a.mu.Unlock()
		if condition(status) {
			return nil
		}
		if ended != nil {
			return fmt.Errorf("slcan: the line has ended: %w", ended)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("slcan: %w while the adapter is %+v", context.Cause(ctx), status)
		}
	}
}

// Send gives frames of the bus to the kernel, in order. It takes as long as the
// line does. Where the channel is closed, they are dropped and counted.
func (a *Adapter) Send(frames ...can.Frame) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	var text []byte
	for i := range frames {
		var err error
		if text, err = appendFrame(text, &frames[i]); err != nil {
			return err
		}
	}
	a.mu.Lock()
	open := a.status.Open
	if open {
		a.status.Sent += uint64(len(frames))
	} else {
		a.status.Dropped += uint64(len(frames))
	}
	a.mu.Unlock()
	if !open {
		return nil
	}
	return a.write(text)
}

// SetState tells the kernel of the controller's state and its error counters.
func (a *Adapter) SetState(state State, receiveErrors, sendErrors int) error {
	if receiveErrors < 0 || receiveErrors > 999 || sendErrors < 0 || sendErrors > 999 {
		return errors.New("slcan: an error counter has three digits")
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	return a.write(fmt.Appendf(nil, "s%c%03d%03d\r", state, receiveErrors, sendErrors))
}

// Report tells the kernel of faults, as those of one error frame.
func (a *Adapter) Report(faults ...Fault) error {
	if len(faults) == 0 || len(faults) > 9 {
		return errors.New("slcan: one error frame has 1 to 9 faults")
	}
	text := fmt.Appendf(nil, "e%d", len(faults))
	for _, f := range faults {
		text = append(text, byte(f))
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	return a.write(append(text, '\r'))
}

func (a *Adapter) write(text []byte) error {
	if _, err := a.line.Write(text); err != nil {
		return fmt.Errorf("slcan: %w", err)
	}
	return nil
}
