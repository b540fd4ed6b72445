package socketcan

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
)

// udpSocket is a Socket that reads datagrams from loopback instead of a bus, and
// the descriptor to send them with: a kernel without CAN stamps and drops those in
// the same way.
func udpSocket(t testing.TB, o Options) (s *Socket, peer int) {
	t.Helper()
	s, peer, err := newUDPSocket(o, new(can.Streams))
	if errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("this kernel does not tell when datagrams came (qemu-user does not): ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); unix.Close(peer) })
	return s, peer
}

func newUDPSocket(o Options, streams *can.Streams) (s *Socket, peer int, err error) {
	var fds [2]int
	for i := range fds {
		if fds[i], err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return nil, 0, err
		}
		if err = unix.Bind(fds[i], &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return nil, 0, err
		}
	}
	for i := range fds {
		address, err := unix.Getsockname(fds[1-i])
		if err != nil {
			return nil, 0, err
		}
		if err = unix.Connect(fds[i], address); err != nil {
			return nil, 0, err
		}
	}
	if s, err = newSocket(fds[0], &o, streams); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	return s, fds[1], err
}

// sendTo writes one classical frame to a descriptor.
func sendTo(t testing.TB, fd int, canID uint32, data ...byte) {
	t.Helper()
	b := make([]byte, classicalSize)
	binary.NativeEndian.PutUint32(b, canID)
	b[4] = byte(len(data))
	copy(b[8:], data)
	if _, err := unix.Write(fd, b); err != nil {
		t.Error(err)
	}
}

func TestSocketBatches(t *testing.T) {
	s, peer := udpSocket(t, Options{Interface: "x", HardwareTime: false})
	const n = 200
	begin := time.Now()
	for i := range n {
		sendTo(t, peer, uint32(i), byte(i))
	}
	frames := make([]can.Frame, 100)
	got := 0
	for got < n {
		k, err := s.Read(frames)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames[:k] {
			if f.ID != uint32(got) || f.Data[0] != byte(got) || f.Len != 1 || f.Stream != uint32(got) {
				t.Fatalf("frame %d is %+v", got, f)
			}
			if age := time.Duration(f.Time - begin.UnixNano()); age < -time.Second || age > time.Minute {
				t.Fatalf("frame %d is of %v", got, time.Unix(0, f.Time))
			}
			got++
		}
	}
	if stats := s.Stats(); stats.Received != n || stats.Dropped != 0 || stats.Syscalls > n/batchSize+2 {
		t.Errorf("%+v", stats)
	}
}

// TestSocketDropped: the kernel's count and ours add up to what was sent.
func TestSocketDropped(t *testing.T) {
	s, peer := udpSocket(t, Options{Interface: "x", ReceiveBuffer: 8192})
	const n, before = 3000, 5
	for range before { // when nothing was dropped yet, frames have shorter control messages
		sendTo(t, peer, 1)
	}
	readFrames(t, s, before)
	for i := range n - before {
		sendTo(t, peer, uint32(i&0x7FF))
	}
	if early := s.Stats(); early.Dropped == 0 {
		t.Error("drops behind the last frame are not seen")
	}
	frames := make([]can.Frame, 64)
	for {
		k, err := s.readNow(frames)
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 {
			break
		}
	}
	if stats := s.Stats(); stats.Received+stats.Dropped != n || stats.Received == 0 {
		t.Errorf("%+v of %d", stats, n)
	}
}

// TestSocketDroppedByFrames: frames tell of what was dropped before them, which is
// all there is in old kernels.
func TestSocketDroppedByFrames(t *testing.T) {
	s, peer := udpSocket(t, Options{Interface: "x", ReceiveBuffer: 8192})
	frames := make([]can.Frame, batchSize)
	for range 3 {
		for range 500 {
			sendTo(t, peer, 1)
		}
		for n := 1; n > 0; {
			var err error
			if n, err = s.readNow(frames); err != nil {
				t.Fatal(err)
			}
		}
		sendTo(t, peer, 2)
		readFrames(t, s, 1)
		byFrames := s.dropped.Load()
		if stats := s.Stats(); stats.Dropped != byFrames || byFrames == 0 {
			t.Errorf("%d dropped by what frames say, %d by the kernel's count", byFrames, stats.Dropped)
		}
	}
}

func TestSocketMalformed(t *testing.T) {
	s, peer := udpSocket(t, Options{Interface: "x"})
	for _, size := range []int{0, 1, 15, 17, 71, 73, 2000} {
		if _, err := unix.Write(peer, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	sendTo(t, peer, 0x42)
	if f := readFrames(t, s, 1)[0]; f.ID != 0x42 {
		t.Errorf("%+v", f)
	}
	if stats := s.Stats(); stats.Malformed != 7 || stats.Received != 1 {
		t.Errorf("%+v", stats)
	}
}

func TestSocketDeadlineAndClose(t *testing.T) {
	s, peer := udpSocket(t, Options{Interface: "x", Coalesce: time.Hour})
	frames := make([]can.Frame, 4)
	for range 3 {
		if err := s.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(frames); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d frames, %v", n, err)
		}
	}
	if err := s.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	sendTo(t, peer, 1)
	if n, err := s.Read(frames); n != 1 || err != nil {
		t.Errorf("%d frames, %v", n, err)
	}
	// Close ends the wait for more at once, and every Read after it.
	time.AfterFunc(5*time.Millisecond, func() { s.Close() })
	for range 2 {
		if n, err := s.Read(frames); n != 0 || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%d frames, %v", n, err)
		}
	}
	if err := s.SetReadDeadline(time.Time{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a deadline after the end: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestSocketAllocatesNothing(t *testing.T) {
	s, peer := udpSocket(t, Options{Interface: "x"})
	frames, frame := make([]can.Frame, 32), make([]byte, classicalSize)
	once := func() {
		for range 3 {
			if _, err := unix.Write(peer, frame); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Read(frames); err != nil {
			t.Error(err)
		}
	}
	once()
	if n := testing.AllocsPerRun(200, once); n != 0 {
		t.Errorf("%v allocations a read", n)
	}
}

// TestSocketConcurrently has everybody at it; it is for the race detector.
func TestSocketConcurrently(t *testing.T) {
	s, peer := udpSocket(t, Options{Interface: "x", Coalesce: time.Microsecond})
	var all sync.WaitGroup
	all.Go(func() {
		frames := make([]can.Frame, 16)
		for {
			if _, err := s.Read(frames); errors.Is(err, os.ErrClosed) {
				return
			} else if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
				return
			}
		}
	})
	all.Go(func() {
		for i := range 500 {
			if err := s.SetReadDeadline(time.Now().Add(time.Duration(i%3-1) * time.Millisecond)); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
		}
		if err := s.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	all.Go(func() {
		for i := range 2000 {
			sendTo(t, peer, uint32(i&0x7FF))
		}
	})
	for range 200 {
		s.Stats()
	}
	for end := time.Now().Add(10 * time.Second); s.Stats().Received+s.Stats().Dropped < 2000; {
		if time.Now().After(end) {
			t.Errorf("%+v", s.Stats())
			break
		}
		time.Sleep(time.Millisecond)
	}
	s.Close()
	all.Wait()
}

// TestTimespec: control messages of 64- and 32-bit kernels.
func TestTimespec(t *testing.T) {
	b := binary.NativeEndian.AppendUint64(nil, 1800000000)
	b = binary.NativeEndian.AppendUint64(b, 123456789)
	if got := timespec(b, 16); got != 1800000000123456789 {
		t.Errorf("64 bits: %d", got)
	}
	b = binary.NativeEndian.AppendUint32(nil, 1800000000)
	b = binary.NativeEndian.AppendUint32(b, 123456789)
	if got := timespec(b, 8); got != 1800000000123456789 {
		t.Errorf("32 bits: %d", got)
	}
	if timespec(b, 16) != 0 || timespec(nil, 0) != 0 {
		t.Error("what is cut off has a time")
	}
}

// FuzzControl: the kernel's control messages, as they might be.
func FuzzControl(f *testing.F) {
	message := func(level, kind uint32, data []byte) (b []byte) {
		b = make([]byte, unix.CmsgSpace(len(data)))
		if unix.SizeofPtr == 8 {
			binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
		} else {
			binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(len(data))))
		}
		binary.NativeEndian.PutUint32(b[unix.SizeofPtr:], level)
		binary.NativeEndian.PutUint32(b[unix.SizeofPtr+4:], kind)
		copy(b[unix.SizeofCmsghdr:], data)
		return b
	}
	stamp, drops := message(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, make([]byte, 16)), message(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, []byte{1, 2, 3, 4})
	f.Add(append(append([]byte(nil), stamp...), drops...))
	f.Add(message(unix.SOL_SOCKET, unix.SO_TIMESTAMPING_NEW, make([]byte, 48)))
	f.Add(append(append([]byte(nil), drops...), stamp[:20]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := parseControl(b)
		if whole, err := unix.ParseSocketControlMessage(b); err == nil {
			found := false
			for _, m := range whole {
				if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4 {
					found = true
				}
			}
			if found && !c.hasDropped {
				t.Errorf("a count of drops is overlooked in % x", b)
			}
		}
	})
}
