package clock

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"milepost/aggregate"
	"milepost/uplink"
)

// TestHost: whatever kernel this is, its clocks can be read.
func TestHost(t *testing.T) {
	c, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixNano()
	offset, clock := c.Stamp(now)
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	if up := time.Duration(now - offset).Seconds(); clock == aggregate.ClockUnknown || up < float64(info.Uptime)-60 || up > float64(info.Uptime)+60 {
		t.Errorf("the clock is %v, and the system up for %v s; the kernel says %v s", clock, up, info.Uptime)
	}
	if c.Boot() == (uplink.BootID{}) {
		t.Error("no boot ID")
	}
	for range 100 {
		if again, _ := c.Stamp(now); again != offset && clock == synchronized {
			t.Errorf("the offset was %d and is %d", offset, again)
		}
	}
}

// guestOnly skips a test that sets the clock.
func guestOnly(t *testing.T) {
	if os.Getenv("MILEPOST_UML") == "" {
		t.Skip("setting the clock needs a kernel of its own: `make test-kernel`")
	}
}

func setClock(t *testing.T, at time.Time) {
	t.Helper()
	to := unix.NsecToTimeval(at.UnixNano())
	if err := unix.Settimeofday(&to); err != nil {
		t.Fatalf("set the clock to %v: %v", at, err)
	}
}

// TestKernelSteps: the kernel tells of each step by itself.
func TestKernelSteps(t *testing.T) {
	guestOnly(t)
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- watchSteps(ctx, func() { told <- struct{}{} }) }()
	wait := func(what string) {
		t.Helper()
		select {
		case <-told:
		case err := <-ended:
			t.Fatalf("%s: ended with %v", what, err)
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is not told", what)
		}
	}
	wait("the beginning")
	for _, at := range []time.Time{time.Unix(5000, 0), time.Unix(1_800_000_000, 0), time.Unix(1_799_990_000, 0), time.Unix(1_800_000_000, 0)} {
		setClock(t, at)
		wait("a step to " + at.String())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestKernelClock: a boot in 1970 that is set, back and forth, and synchronized.
// Datagrams with the kernel's own times stand for frames.
func TestKernelClock(t *testing.T) {
	guestOnly(t)
	receiver, sender := datagrams(t)
	discipline(t, unix.STA_UNSYNC)
	setClock(t, time.Unix(5000, 0)) // not before the boot clock, which the kernel refuses
	table := filepath.Join(t.TempDir(), "clock")
	c, err := Open(Options{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan Event, 100)
	c.Subscribe(func(e Event) { events <- e })
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		c.Run(ctx)
	}()
	expect := func(kind Kind, clock aggregate.Clock) (e Event) {
		t.Helper()
		for {
			select {
			case e = <-events:
				if e.Kind == kind && e.State.Clock == clock {
					return e
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("not told of %d with the clock %v", kind, clock)
			}
		}
	}

	// record is that of the window of a frame which was sent under one offset and
	// is read under another one.
	wall := int64(5000)
	record := func(what string, to int64, want aggregate.Clock) uplink.Record {
		t.Helper()
		if _, err := unix.Write(sender, []byte("frame")); err != nil {
			t.Fatal(err)
		}
		state := c.State()
		if to != wall {
			setClock(t, time.Unix(to, 0))
			wall = to
		}
		at := receive(t, receiver)
		offset, clock := c.Stamp(at)
		if clock != want || distance(offset, state.Offset) > minStep {
			t.Errorf("%s: the frame of %v has the clock %v with the offset %d, want %v and %d", what, time.Unix(0, at).UTC(), clock, offset, want, state.Offset)
		}
		start := at - at%1e9
		return uplink.Record{Boot: c.Boot(), Start: start, Duration: 1e9, Clock: clock, Uptime: start - offset}
	}
	const right = 1_800_000_000
	records := []uplink.Record{
		record("in 1970", 5000, unset),
		record("forward by years", right-7200, unset),
		record("back by an hour", right-10800, set),
		record("back to 1970", 9000, set),
		record("forward again", right, unset),
	}
	if e := expect(Stepped, set); e.By <= 0 {
		t.Errorf("the first step is %v", e.By)
	}
	discipline(t, 0)
	e := expect(OffsetLearnt, synchronized)
	c.Redate(records)
	for i, r := range records {
		// All of them were made in the last moments before the clock was right.
		at := time.Unix(0, r.Start)
		if r.Clock != synchronized || r.Start-r.Uptime != e.State.Learnt.Offset || at.Before(time.Unix(right-120, 0)) || at.After(time.Unix(right+120, 0)) {
			t.Errorf("record %d is of %v, moved by %v, %v", i, at.UTC(), time.Duration(r.Moved), r.Clock)
		}
	}
	cancel()
	<-ran
	kept, err := loadTable(table)
	if l, _ := kept.find(c.Boot()); err != nil || l != e.State.Learnt {
		t.Errorf("the table has %+v of %v, want %+v: %v", l, c.Boot(), e.State.Learnt, err)
	}
}

// discipline tells the kernel what NTP says.
func discipline(t *testing.T, status int32) {
	t.Helper()
	timex := unix.Timex{Modes: unix.ADJ_STATUS | unix.ADJ_MAXERROR | unix.ADJ_ESTERROR, Status: status, Maxerror: 1000, Esterror: 1000}
	if _, err := unix.Adjtimex(&timex); err != nil {
		t.Fatal("adjtimex: ", err)
	}
}

// datagrams makes two sockets; what the first one receives has the kernel's time.
func datagrams(t *testing.T) (receiver, sender int) {
	t.Helper()
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	receiver, sender = socket(), socket()
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(receiver, loopback); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(receiver, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		t.Fatal(err)
	}
	address, err := unix.Getsockname(receiver)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(sender, address); err != nil {
		t.Fatal(err)
	}
	return receiver, sender
}

func receive(t *testing.T, fd int) (at int64) {
	t.Helper()
	payload, control := make([]byte, 64), make([]byte, 128)
	_, n, _, _, err := unix.Recvmsg(fd, payload, control, 0)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:]))
		}
	}
	t.Fatal("a datagram without a time")
	return 0
}
