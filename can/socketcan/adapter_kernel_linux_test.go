package socketcan

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
)

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
	h = until(t, b, "warned", func(h Health) bool { return h.Link.State == ErrorWarning && h.Errors.Warning == 1 })
	if h.TxErrors != 0 || h.RxErrors != 96 {
		t.Errorf("error counters %d and %d", h.TxErrors, h.RxErrors)
	}
	a.say("sp128000")
	h = until(t, b, "passive", func(h Health) bool { return h.Link.State == ErrorPassive && h.Errors.Passive == 1 })
	if h.RxErrors != 128 || h.Link.Device.ErrorPassive != 1 {
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
