package socketcan

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"milepost/can"
	"milepost/cmd/milepost-lab/uml"
)

// BenchmarkBacklog reads frames that wait already, 2048 at a time: CPU time and
// system calls a frame, for a loop that calls recvmmsg with time stamps and does
// nothing else, for a Socket, and for a Bus. They take turns, and medians count, so
// that the ratios mean something on a busy machine.
//
//	go test -run - -bench Backlog ./can/socketcan      # datagrams on loopback
//	go test -run - -bench Backlog -exec "$PWD/bin/milepost-lab uml --modules can_raw,vcan,slcan" ./can/socketcan
//
// The second has vcan, and the slow system calls of User-Mode Linux.
func BenchmarkBacklog(b *testing.B) {
	const backlog = 2048
	frames := make([]can.Frame, batchSize)
	source := func(s can.Source) func() int {
		return func() int {
			n, err := s.Read(frames)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	s, write := benchSocket(b)
	bus := newBus(BusOptions{Interface: "vcan0"}, system{})
	bus.socket, bus.attached = s, true
	readers := []struct {
		name string
		read func() int
		cost []float64 // CPU time a frame, in ns, of each turn
	}{{name: "bare", read: bareLoop(b, s)}, {name: "socket", read: source(s)}, {name: "bus", read: source(bus)}}
	read := 0
	for b.Loop() {
		for i := range readers {
			r := &readers[i]
			for k := range backlog {
				write(k)
			}
			before := cpuTime(b)
			for n := 0; n < backlog; {
				n += r.read()
			}
			r.cost = append(r.cost, float64(cpuTime(b)-before)/backlog)
			if r.name != "bare" {
				read += backlog
			}
		}
	}
	median := func(v []float64) float64 {
		slices.Sort(v)
		return v[len(v)/2]
	}
	bare := median(readers[0].cost)
	b.ReportMetric(0, "ns/op") // most of it is sending
	b.ReportMetric(bare, "bare-ns/frame")
	b.ReportMetric(median(readers[1].cost)/bare, "socket/bare")
	b.ReportMetric(median(readers[2].cost)/bare, "bus/bare")
	b.ReportMetric(float64(s.Stats().Syscalls)/float64(read), "syscalls/frame")
}

// benchSocket is a Socket and what fills it: standard IDs and extended ones, eight
// bytes.
func benchSocket(b *testing.B) (s *Socket, write func(i int)) {
	frame := make([]byte, classicalSize)
	frame[4] = 8
	fill := func(i int) []byte {
		id := uint32(i*37) & 0x3FF
		if i%4 == 0 {
			id = 0x18FE0000 | id<<8&0xFF00 | extendedFlag
		}
		binary.NativeEndian.PutUint32(frame, id)
		binary.LittleEndian.PutUint64(frame[8:], uint64(i)*0x9E3779B97F4A7C15)
		return frame
	}
	if os.Getenv(uml.Variable) != "" {
		addVirtual(b, "vcan0")
		s := openSocket(b, Options{Interface: "vcan0", ReceiveBuffer: 16 << 20})
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
		peer := newSender(b, "vcan0")
		return s, func(i int) { peer.write(fill(i)) }
	}
	s, peer := udpSocket(b, Options{Interface: "vcan0", ReceiveBuffer: 16 << 20})
	return s, func(i int) {
		if _, err := unix.Write(peer, fill(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// bareLoop is what is compared with: recvmmsg of as many frames into buffers of its
// own, and the time stamp of each by fixed place.
func bareLoop(b *testing.B, s *Socket) func() int {
	const size, control = 72, 128
	var headers [batchSize]struct {
		unix.Msghdr
		n uint32
	}
	var vectors [batchSize]unix.Iovec
	var data [batchSize][size]byte
	var controls [batchSize][control]byte
	for i := range headers {
		vectors[i].Base = &data[i][0]
		vectors[i].SetLen(size)
		headers[i].Iov = &vectors[i]
		headers[i].SetIovlen(1)
		headers[i].Control = &controls[i][0]
	}
	fd := -1
	if err := s.conn.Control(func(f uintptr) { fd = int(f) }); err != nil {
		b.Fatal(err)
	}
	var times, ids uint64
	return func() int {
		for i := range headers {
			headers[i].SetControllen(control)
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&headers)), batchSize, unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			b.Fatal(errno)
		}
		for i := range int(n) {
			ids += uint64(binary.NativeEndian.Uint32(data[i][:]))
			times += binary.NativeEndian.Uint64(controls[i][unix.SizeofCmsghdr:])
		}
		return int(n)
	}
}

// cpuTime is the process's, or in a guest, which has one processor and counts CPU
// time in ticks of 10 ms, the time of the clock.
func cpuTime(b *testing.B) time.Duration {
	clock := int32(unix.CLOCK_PROCESS_CPUTIME_ID)
	if os.Getenv(uml.Variable) != "" {
		clock = unix.CLOCK_MONOTONIC
	}
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}
