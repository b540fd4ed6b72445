package socketcan

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
)

func TestKernelFrames(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	s := openSocket(t, Options{Interface: "vcan0", Bus: "powertrain", Errors: true})
	if got := s.Buses(); len(got) != 1 || got[0] != "powertrain" {
		t.Errorf("buses %v", got)
	}
	long := bytes.Repeat([]byte{0xA5}, 64)
	begin := time.Now()
	peer := newSender(t, "vcan0")
	peer.send(0x123, 1, 2, 3)
	peer.send(0x1ABCDEF0|unix.CAN_EFF_FLAG, 1, 2, 3, 4, 5, 6, 7, 8)
	peer.send(0x321|unix.CAN_RTR_FLAG, 0, 0)
	peer.sendFD(0x123, brsFlag|esiFlag|4, long)
	peer.sendFD(0x124, 0, long[:12])
	peer.send(unix.CAN_ERR_FLAG|unix.CAN_ERR_BUSOFF, 0, 0, 0, 0, 0, 0, 7, 9)
	frames := readFrames(t, s, 6)
	end := time.Now()
	for i, want := range []struct {
		id     uint32
		flags  can.Flags
		stream uint32
		data   []byte
	}{
		{0x123, 0, 0, []byte{1, 2, 3}},
		{0x1ABCDEF0, can.Extended, 1, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{0x321, can.Remote, can.NoStream, nil},
		{0x123, can.FD | can.BRS | can.ESI, 0, long},
		{0x124, can.FD, 2, long[:12]},
		{unix.CAN_ERR_BUSOFF, can.Error, can.NoStream, []byte{0, 0, 0, 0, 0, 0, 7, 9}},
	} {
		f := frames[i]
		if f.ID != want.id || f.Flags != want.flags|can.Sent || f.Stream != want.stream || f.Bus != 0 || !bytes.Equal(f.Payload(), want.data) {
			t.Errorf("frame %d is %+v, want %+v", i, f, want)
		}
		if f.Time < begin.Add(-time.Second).UnixNano() || f.Time > end.Add(time.Second).UnixNano() {
			t.Errorf("frame %d is of %v, and was sent at %v", i, time.Unix(0, f.Time), begin)
		}
		if i > 0 && f.Time < frames[i-1].Time {
			t.Errorf("frame %d is older than the one before", i)
		}
	}
	if padding := frames[4].Data[12:16]; !bytes.Equal(padding, make([]byte, 4)) {
		t.Errorf("12 bytes are padded with %v", padding)
	}
	if got := s.Stats(); got.Received != 6 || got.Dropped != 0 || got.Malformed != 0 || got.ReceiveBuffer < defaultReceiveBuffer {
		t.Errorf("%+v", got)
	}
}

// TestKernelHardwareTime: an interface without a clock gives the kernel's times.
func TestKernelHardwareTime(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	s := openSocket(t, Options{Interface: "vcan0", HardwareTime: true})
	begin := time.Now()
	newSender(t, "vcan0").send(1, 2)
	if f := readFrames(t, s, 1)[0]; f.Time < begin.Add(-time.Second).UnixNano() || f.Time > time.Now().Add(time.Second).UnixNano() {
		t.Errorf("the time is %v", time.Unix(0, f.Time))
	}
}

// TestKernelFilters: what the filters keep away does not wake the reader.
func TestKernelFilters(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	wanted := []Wanted{{ID: 0x100}, {ID: 0x100, Extended: true}, WantPGN(0xFECA)}
	s := openSocket(t, Options{Interface: "vcan0", Filters: CompileFilters(wanted)})
	peer := newSender(t, "vcan0")
	const eff = unix.CAN_EFF_FLAG
	deadline := time.Now().Add(500 * time.Millisecond)
	if err := s.SetReadDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	idle := make(chan error)
	go func() {
		_, err := s.Read(make([]can.Frame, 8))
		idle <- err
	}()
	for time.Now().Before(deadline.Add(-100 * time.Millisecond)) {
		for _, foreign := range []uint32{0x101, 0x100 | unix.CAN_RTR_FLAG, 0x101 | eff, 0x18FECB00 | eff, 0x7FF, 0} {
			peer.send(foreign, 1)
		}
		time.Sleep(time.Millisecond)
	}
	if err := <-idle; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading what is not there: %v", err)
	}
	if n := s.Stats().Syscalls; n > 1 {
		t.Errorf("%d system calls for frames that nobody wants", n)
	}
	if err := s.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint32{0x100, 0x100 | eff, 0x18FECA17 | eff, 0x0CFECA00 | eff} {
		peer.send(id, 1)
	}
	for i, f := range readFrames(t, s, 4) {
		if want := []uint32{0x100, 0x100, 0x18FECA17, 0x0CFECA00}[i]; f.ID != want {
			t.Errorf("frame %d has ID %X, want %X", i, f.ID, want)
		}
	}
}

// TestKernelManyFilters: the kernel takes as many as CompileFilters makes, and no
// wanted frame is lost over that.
func TestKernelManyFilters(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	var wanted []Wanted
	for i := range uint32(3000) {
		wanted = append(wanted, Wanted{ID: i * 2654435761 >> 3 & can.MaxExtendedID, Extended: true})
	}
	s := openSocket(t, Options{Interface: "vcan0", Filters: CompileFilters(wanted)})
	peer := newSender(t, "vcan0")
	for _, w := range wanted {
		peer.send(w.ID | unix.CAN_EFF_FLAG)
	}
	for i, f := range readFrames(t, s, len(wanted)) {
		if f.ID != wanted[i].ID {
			t.Fatalf("frame %d has ID %X, want %X", i, f.ID, wanted[i].ID)
		}
	}
	if none, err := Open(Options{Interface: "vcan0", Filters: make([]Filter, maxFilters+1)}); err == nil {
		none.Close()
		t.Error("the kernel takes more filters than we know of")
	}
}

// TestKernelDropped: what is received and what is dropped are what was sent, also
// when nothing comes after the last drop.
func TestKernelDropped(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	s := openSocket(t, Options{Interface: "vcan0", ReceiveBuffer: 4096})
	peer := newSender(t, "vcan0")
	frames := make([]can.Frame, 7)
	sent := uint64(0)
	for round := range 5 {
		for i := range 1000 {
			peer.send(uint32(i), byte(i))
			sent++
		}
		if round == 4 {
			break // the last drops are behind the last frame
		}
		for {
			n, err := s.readNow(frames)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
	}
	before := s.Stats()
	for {
		if n, err := s.readNow(frames); n == 0 {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	got := s.Stats()
	if got.Received+got.Dropped != sent || got.Dropped == 0 || got.Received == 0 {
		t.Errorf("%d received and %d dropped, %d sent", got.Received, got.Dropped, sent)
	}
	if before.Dropped != got.Dropped {
		t.Errorf("%d known to be dropped before the last were read, %d after", before.Dropped, got.Dropped)
	}
	s.Close()
	if after := s.Stats(); after != got {
		t.Errorf("after Close: %+v, before: %+v", after, got)
	}
}

func TestKernelDownAndUp(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	s := openSocket(t, Options{Interface: "vcan0"})
	peer := newSender(t, "vcan0")
	peer.send(1)
	time.AfterFunc(20*time.Millisecond, func() { setUp(t, "vcan0", false) })
	readFrames(t, s, 1)
	frames := make([]can.Frame, 8)
	if _, err := s.Read(frames); !errors.Is(err, syscall.ENETDOWN) {
		t.Fatalf("when the interface goes down: %v", err)
	}
	setUp(t, "vcan0", true)
	peer.send(2)
	if f := readFrames(t, s, 1)[0]; f.ID != 2 {
		t.Errorf("after it came up: %+v", f)
	}
	peer.send(3)
	if err := removeLink("vcan0"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(frames); !errors.Is(err, syscall.ENODEV) {
		t.Fatalf("when the interface is removed: %v", err)
	}
	if n, err := s.readNow(frames); n != 1 || err != nil || frames[0].ID != 3 {
		t.Errorf("what was received before: %d frames, %v", n, err)
	}
}

// TestKernelOpenFails: with a reason, and without leaving anything behind.
func TestKernelOpenFails(t *testing.T) {
	inGuest(t)
	before := openFiles(t)
	for range 7 {
		for _, name := range []string{"can9", "lo", "a-name-that-is-too-long"} {
			if s, err := Open(Options{Interface: name}); err == nil {
				s.Close()
				t.Fatalf("%s was opened", name)
			} else if !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestKernelInherited: programs that we start get no bus.
func TestKernelInherited(t *testing.T) {
	inGuest(t)
	addVirtual(t, "vcan0")
	s := openSocket(t, Options{Interface: "vcan0"})
	err := s.conn.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %x, %v", flags, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}
