package socketcan

import (
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
)

// startBus reads a bus; what comes is handed over frame by frame.
func startBus(t *testing.T, o BusOptions) (*Bus, <-chan can.Frame) {
	t.Helper()
	b := NewBus(o)
	received := make(chan can.Frame, 10000)
	go func() {
		defer close(received)
		frames := make([]can.Frame, 32)
		for {
			n, err := b.Read(frames)
			for _, f := range frames[:n] {
				received <- f
			}
			if err != nil {
				if err != io.EOF {
					t.Errorf("reading the bus: %v", err)
				}
				return
			}
		}
	}()
	t.Cleanup(func() {
		b.Close()
		for range received { // it ends
		}
	})
	return b, received
}

// next is the next frame that is no error frame.
func next(t *testing.T, received <-chan can.Frame) can.Frame {
	t.Helper()
	for {
		f := nextAny(t, received)
		if f.Flags&can.Error == 0 {
			return f
		}
	}
}

func nextAny(t *testing.T, received <-chan can.Frame) can.Frame {
	t.Helper()
	select {
	case f, ok := <-received:
		if !ok {
			t.Fatal("the bus has ended")
		}
		return f
	case <-time.After(10 * time.Second):
		t.Fatal("no frame comes")
	}
	panic("unreachable")
}

// until waits for a state that Health has to tell of.
func until(t *testing.T, b *Bus, what string, reached func(Health) bool) Health {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	for {
		if b.o.Bitrate == 0 { // whose load is no matter: look now
			b.asking.Lock()
			b.asked = time.Time{}
			b.asking.Unlock()
		}
		h := b.Health()
		if reached(h) {
			return h
		}
		if time.Now().After(end) {
			t.Fatalf("never %s: %+v", what, h)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func isRead(h Health) bool { return h.Err == nil && h.Opened > 0 }

// TestKernelBus: one Bus through absence, down, up, removal and return.
func TestKernelBus(t *testing.T) {
	inGuest(t)
	b, received := startBus(t, BusOptions{Interface: "vcan0", Name: "body"})
	until(t, b, "absent", func(h Health) bool { return errors.Is(h.Err, unix.ENODEV) && !h.Present && !h.Since.IsZero() })

	addVirtualDown(t, "vcan0", classicalSize)
	t.Cleanup(func() { _ = removeLink("vcan0") })
	until(t, b, "down", func(h Health) bool { return errors.Is(h.Err, unix.ENETDOWN) && h.Present && !h.Link.Up })

	setUp(t, "vcan0", true)
	until(t, b, "read", isRead)
	peer := newSender(t, "vcan0")
	peer.send(0x101, 1)
	if f := next(t, received); f.ID != 0x101 || f.Stream != 0 {
		t.Fatalf("%+v", f)
	}
	peer.send(0x102, 1)
	if f := next(t, received); f.ID != 0x102 || f.Stream != 1 {
		t.Fatalf("%+v", f)
	}

	// Down: what was received before is still delivered.
	peer.send(0x103, 1)
	setUp(t, "vcan0", false)
	if f := next(t, received); f.ID != 0x103 || f.Stream != 2 {
		t.Fatalf("%+v", f)
	}
	until(t, b, "down", func(h Health) bool { return errors.Is(h.Err, unix.ENETDOWN) })
	setUp(t, "vcan0", true)
	h := until(t, b, "read", isRead)
	if h.Opened != 1 {
		t.Errorf("opened %d times for an interface that went down and up", h.Opened)
	}
	peer.send(0x101, 2)
	if f := next(t, received); f.ID != 0x101 || f.Stream != 0 {
		t.Fatalf("%+v", f)
	}

	// Removed and made anew, several times, without leaving anything behind.
	files, routines := openFiles(t), runtime.NumGoroutine()
	defer func() {
		if n, m := openFiles(t), runtime.NumGoroutine(); n > files || m > routines {
			t.Errorf("%d files and %d goroutines, before %d and %d", n, m, files, routines)
		}
	}()
	for round := range 3 {
		peer.send(0x102, 3)
		if err := removeLink("vcan0"); err != nil {
			t.Fatal(err)
		}
		if f := next(t, received); f.ID != 0x102 || f.Stream != 1 {
			t.Fatalf("%+v", f)
		}
		addVirtualDown(t, "vcan0", fdSize)
		setUp(t, "vcan0", true)
		h := until(t, b, "read again", func(h Health) bool { return isRead(h) && h.Opened == uint64(round+2) })
		if h.Errors != (ErrorCounters{}) {
			t.Errorf("errors %+v", h.Errors)
		}
		unix.Close(peer.fd)
		peer.fd = newSender(t, "vcan0").fd
		peer.sendFD(0x101, 0, make([]byte, 20))
		if f := next(t, received); f.ID != 0x101 || f.Stream != 0 || f.Len != 20 {
			t.Fatalf("%+v", f)
		}
	}
	if h := b.Health(); h.Received != 10 || h.Dropped != 0 {
		t.Errorf("%d received, %d dropped, of 10", h.Received, h.Dropped)
	}
	b.Close()
	if _, ok := <-received; ok {
		t.Error("frames after Close")
	}
}

// TestKernelBusBringsUp: an interface that somebody takes down is brought up again.
func TestKernelBusBringsUp(t *testing.T) {
	inGuest(t)
	addVirtualDown(t, "vcan0", classicalSize)
	t.Cleanup(func() { _ = removeLink("vcan0") })
	b, received := startBus(t, BusOptions{Interface: "vcan0", Link: &LinkOptions{FD: true, TxQueueLen: 77}})
	h := until(t, b, "read", isRead)
	link, err := ReadLink("vcan0")
	if err != nil || link.MTU != fdSize || link.TxQueueLen != 77 || !link.Up || link.Kind != "vcan" {
		t.Fatalf("%+v, %v", link, err)
	}
	setUp(t, "vcan0", false)
	peer := newSender(t, "vcan0")
	until(t, b, "up again", func(h Health) bool { return isRead(h) && h.Link.Up })
	peer.send(1)
	if f := next(t, received); f.ID != 1 {
		t.Errorf("%+v", f)
	}
	if h.Opened != 1 {
		t.Errorf("opened %d times", h.Opened)
	}
}

// TestKernelBusFlaps: what goes down and up faster than it can be looked at is read
// again as soon as it stays up.
func TestKernelBusFlaps(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	b, received := startBus(t, BusOptions{Interface: "vcan0"})
	until(t, b, "read", isRead)
	for range 20 {
		setUp(t, "vcan0", false)
		setUp(t, "vcan0", true)
	}
	newSender(t, "vcan0").send(0x42)
	if f := next(t, received); f.ID != 0x42 {
		t.Errorf("%+v", f)
	}
	if h := until(t, b, "read", isRead); h.Opened != 1 {
		t.Errorf("opened %d times", h.Opened)
	}
}

func TestKernelBusDeadline(t *testing.T) {
	inGuest(t)
	b := NewBus(BusOptions{Interface: "vcan0"})
	defer b.Close()
	frames := make([]can.Frame, 4)
	timeout := func(when string) {
		t.Helper()
		for range 3 {
			deadline := time.Now().Add(20 * time.Millisecond)
			if err := b.SetReadDeadline(deadline); err != nil {
				t.Fatal(err)
			}
			if n, err := b.Read(frames); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s: %d frames, %v", when, n, err)
			}
			if time.Now().Before(deadline) {
				t.Errorf("%s: it did not wait", when)
			}
		}
	}
	timeout("absent")
	addVirtual(t, "vcan0")
	// The interface was seen to come, or a later try sees it.
	for end := time.Now().Add(5 * time.Second); b.Health().Opened == 0; {
		timeout("coming")
		if time.Now().After(end) {
			t.Fatal("it is never opened")
		}
	}
	timeout("idle")
	setUp(t, "vcan0", false)
	timeout("down")
	setUp(t, "vcan0", true)
	newSender(t, "vcan0").send(5)
	if err := b.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Read(frames); n != 1 || err != nil {
		t.Errorf("%d frames, %v", n, err)
	}
	// From elsewhere, while Read waits.
	for _, when := range []string{"attached", "absent"} {
		time.AfterFunc(30*time.Millisecond, func() { _ = b.SetReadDeadline(time.Now()) })
		if n, err := b.Read(frames); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d frames, %v", when, n, err)
		}
		_ = b.SetReadDeadline(time.Time{})
		_ = removeLink("vcan0")
	}
	// So does Close.
	time.AfterFunc(30*time.Millisecond, func() { b.Close() })
	if n, err := b.Read(frames); n != 0 || err != io.EOF {
		t.Errorf("%d frames, %v", n, err)
	}
	if n, err := b.Read(frames); n != 0 || err != io.EOF {
		t.Errorf("after that: %d frames, %v", n, err)
	}
}

// TestKernelForeign: what the filters keep away is counted by the interface, and
// the bus's load is that of all frames.
func TestKernelForeign(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	b, received := startBus(t, BusOptions{Interface: "vcan0", Filters: CompileFilters([]Wanted{{ID: 0x10}}), CountForeign: true, Bitrate: 500000})
	until(t, b, "read", isRead)
	peer := newSender(t, "vcan0")
	const ours, others = 100, 900
	begin := time.Now()
	for i := range ours + others {
		id := uint32(0x20)
		if i%10 == 0 {
			id = 0x10
		}
		peer.send(id, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55)
	}
	for range ours {
		if f := next(t, received); f.ID != 0x10 {
			t.Fatalf("%+v", f)
		}
	}
	h := until(t, b, "foreign frames", func(h Health) bool { return h.Foreign == others && !math.IsNaN(h.Load) })
	took := time.Since(begin)
	if h.Received != ours || h.Dropped != 0 {
		t.Errorf("%d received, %d dropped", h.Received, h.Dropped)
	}
	// 111 bits and the stuff bits of ID and CRC, a thousand times, in a time that
	// is at least a second and at most what has passed.
	bits := float64(ours+others) * 118
	if h.Load > bits/500000 || h.Load < 0.9*bits/500000/(took.Seconds()+1) {
		t.Errorf("the load is %v; %v of it were sent in %v", h.Load, bits/500000, took)
	}
	if h := until(t, b, "idle", func(h Health) bool { return h.Load == 0 }); h.Foreign != others {
		t.Errorf("%d foreign frames later", h.Foreign)
	}
}

// TestKernelCoalesce: with coalescing, one system call takes many frames.
func TestKernelCoalesce(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	s := openSocket(t, Options{Interface: "vcan0", Coalesce: 50 * time.Millisecond})
	peer := newSender(t, "vcan0")
	const frames = 300
	go func() {
		for i := range frames {
			peer.send(uint32(i))
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for i, f := range readFrames(t, s, frames) {
		if f.ID != uint32(i) {
			t.Fatalf("frame %d has ID %X", i, f.ID)
		}
	}
	if n := s.Stats().Syscalls; n > frames/8 {
		t.Errorf("%d system calls for %d frames", n, frames)
	}
}
