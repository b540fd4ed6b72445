package socketcan

import (
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
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

func TestKernelBusDeadline(t *testing.T) {
	inGuest(t)
	b := NewBus(BusOptions{Interface: "vcan0"})
	defer b.Close()
	frames := make([]can.Frame, 4)
	timeout := func(when string) {
		t.Helper()
		for range 3 {
			if err := b.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			if n, err := b.Read(frames); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s: %d frames, %v", when, n, err)
			}
			if time.Since(begin) < 15*time.Millisecond {
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

// TestKernelAdapter: a serial adapter's whole life.
func TestKernelAdapter(t *testing.T) {
	inGuest(t)
	a := plugIn(t, "can0")
	b, received := startBus(t, BusOptions{Interface: "can0", Link: &LinkOptions{Bitrate: 500000}})
	h := until(t, b, "read", isRead)
	expectCommands(t, a, "S6\r", "L\r") // 500 kbit/s; listen only
	link, err := ReadLink("can0")
	if err != nil || link.Kind != "can" || link.Bitrate != 500000 || link.Modes&ListenOnly == 0 || !link.Up || link.State != ErrorActive {
		t.Fatalf("%+v, %v", link, err)
	}

	a.say("t1238DEADBEEF00112233", "T18FF12342AABB", "r3212")
	for _, want := range []can.Frame{
		{ID: 0x123, Len: 8, Stream: 0},
		{ID: 0x18FF1234, Flags: can.Extended, Len: 2, Stream: 1},
		{ID: 0x321, Flags: can.Remote, Len: 2, Stream: can.NoStream},
	} {
		if f := next(t, received); f.ID != want.ID || f.Flags != want.Flags || f.Len != want.Len || f.Stream != want.Stream {
			t.Errorf("%+v, want %+v", f, want)
		}
	}

	// Errors on the bus: acknowledgement, bit and stuff, an overrun.
	a.say("e1a", "e2bs", "e1c", "e1o")
	h = until(t, b, "errors", func(h Health) bool { return h.Errors.Frames >= 4 })
	// (slcan calls a CRC error a bit error, too.)
	if e := h.Errors; e.NoAck != 1 || e.Bit != 2 || e.Stuff != 1 || e.CRC != 1 || e.RxOverflow != 1 {
		t.Errorf("%+v", e)
	}

	// The controller's state.
	a.say("sw096000")
	h = until(t, b, "warned", func(h Health) bool { return h.Link.State == ErrorWarning })
	if h.Errors.Warning != 1 || h.TxErrors != 96 && h.RxErrors != 96 {
		t.Errorf("%+v", h)
	}
	a.say("sp128000")
	h = until(t, b, "passive", func(h Health) bool { return h.Link.State == ErrorPassive })
	if h.Errors.Passive != 1 || h.Link.Device.ErrorPassive != 1 {
		t.Errorf("%+v", h)
	}
	drainCommands(a)
	begin := time.Now()
	a.say("sb256000")
	h = until(t, b, "off the bus", func(h Health) bool { return h.Errors.BusOff == 1 })
	// The driver cannot restart it; the Bus does, by taking it down and up.
	h = until(t, b, "restarted", func(h Health) bool { return isRead(h) && h.Restarts == 1 && h.Link.State == ErrorActive })
	if since := time.Since(begin); since < defaultRestart {
		t.Errorf("restarted after %v", since)
	}
	if h.Link.Device.BusOff != 1 || h.Opened != 1 {
		t.Errorf("%+v", h)
	}
	expectCommands(t, a, "C\r", "S6\r", "L\r")
	a.say("t1231FF")
	if f := next(t, received); f.ID != 0x123 || f.Stream != 0 {
		t.Errorf("%+v", f)
	}

	// Unplugged and plugged in again.
	for range 2 {
		opened := b.Health().Opened
		a.say("t1241AA") // must not be lost over it
		if f := next(t, received); f.ID != 0x124 || f.Stream != 2 {
			t.Errorf("%+v", f)
		}
		a.unplug()
		until(t, b, "gone", func(h Health) bool { return !h.Present && h.Err != nil })
		a = plugIn(t, "can0")
		until(t, b, "back", func(h Health) bool { return isRead(h) && h.Opened == opened+1 })
		expectCommands(t, a, "S6\r", "L\r")
		a.say("T18FF12342AABB")
		if f := next(t, received); f.ID != 0x18FF1234 || f.Stream != 1 {
			t.Errorf("%+v", f)
		}
	}
}

// expectCommands waits for commands of the kernel to the adapter, in this order.
func expectCommands(t *testing.T, a *adapter, want ...string) {
	t.Helper()
	var seen []string
	timeout := time.After(10 * time.Second)
	for len(want) > 0 {
		select {
		case c := <-a.commands:
			seen = append(seen, c)
			if c == want[0] {
				want = want[1:]
			} else if strings.ContainsAny(c[:1], "OtTrR") {
				t.Errorf("the kernel transmits, or is about to: %q", c)
			}
		case <-timeout:
			t.Fatalf("the kernel never says %q, but %q", want, seen)
		}
	}
}

func drainCommands(a *adapter) (commands []string) {
	for {
		select {
		case c := <-a.commands:
			commands = append(commands, c)
		default:
			return commands
		}
	}
}

func TestKernelConfigure(t *testing.T) {
	inGuest(t)
	a := plugIn(t, "can0")
	check := func(o LinkOptions, contains ...string) {
		t.Helper()
		err := Configure("can0", o)
		if err == nil && len(contains) > 0 {
			t.Errorf("%+v: no error", o)
		}
		for _, text := range contains {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %v; want %q in it", o, err, text)
			}
		}
		if err != nil && len(contains) == 0 {
			t.Errorf("%+v: %v", o, err)
		}
	}
	check(LinkOptions{}, "can0", "no bit rate")
	check(LinkOptions{Bitrate: 500001, FD: true}, "can0", "CAN FD")
	check(LinkOptions{Bitrate: 123456}, "can0", "123456 bit/s")
	check(LinkOptions{Bitrate: 250000, OneShot: true}, "one-shot")
	check(LinkOptions{Bitrate: 250000})
	expectCommands(t, a, "S5\r", "L\r")
	// As it should be: left alone.
	link, _ := ReadLink("can0")
	check(LinkOptions{Bitrate: 250000})
	check(LinkOptions{})
	a.say("t0010") // a frame behind whatever the kernel might have said
	time.Sleep(50 * time.Millisecond)
	if said := drainCommands(a); len(said) > 0 {
		t.Errorf("set as it was, the kernel says %q", said)
	}
	// Otherwise: set anew.
	check(LinkOptions{Bitrate: 500000, Transmit: true})
	var said []string
	for !slices.Contains(said, "O\r") {
		said = append(said, <-a.commands)
	}
	if !slices.Contains(said, "S6\r") {
		t.Errorf("the kernel says %q", said)
	}
	again, _ := ReadLink("can0")
	if link.Bitrate != 250000 || again.Bitrate != 500000 || again.Modes&ListenOnly != 0 || link.Modes&ListenOnly == 0 {
		t.Errorf("%+v, then %+v", link, again)
	}

	addVirtual(t, "vcan0")
	for _, o := range []LinkOptions{{Bitrate: 500000}, {DataBitrate: 2000000}, {Restart: time.Second}, {OneShot: true}, {BusErrorReporting: true}, {SamplePoint: 800}} {
		if err := Configure("vcan0", o); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "vcan") {
			t.Errorf("%+v on a virtual interface: %v", o, err)
		}
	}
	if err := Configure("vcan0", LinkOptions{}); err != nil {
		t.Error(err)
	}
	if err := Configure("can7", LinkOptions{}); !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "vcan0") {
		t.Errorf("an interface that is not there: %v", err)
	}
	if err := Configure("lo", LinkOptions{}); err == nil || !strings.Contains(err.Error(), "no CAN interface") {
		t.Errorf("an interface that is none of CAN: %v", err)
	}
}

// TestKernelWithoutRights: reading needs none, setting says which.
func TestKernelWithoutRights(t *testing.T) {
	inGuest(t)
	addVirtualDown(t, "vcan1", classicalSize)
	t.Cleanup(func() { _ = removeLink("vcan1") })
	addVirtual(t, "vcan0")
	dropRights(t, func() {
		if link, err := ReadLink("vcan0"); err != nil || !link.Up {
			t.Errorf("%+v, %v", link, err)
		}
		if err := Configure("vcan0", LinkOptions{}); err != nil {
			t.Errorf("setting what is set: %v", err)
		}
		if err := Configure("vcan1", LinkOptions{}); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("without rights: %v", err)
		}
		s, err := Open(Options{Interface: "vcan0"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got := s.Stats().ReceiveBuffer; got <= 0 || got >= defaultReceiveBuffer {
			t.Errorf("the receive buffer is %d bytes", got)
		}
	})
}
