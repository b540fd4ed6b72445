package socketcan

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
)

// Open opens a socket on an interface, whether that is up or not.
func Open(o Options) (*Socket, error) { return open(o, new(can.Streams)) }

func open(o Options, streams *can.Streams) (*Socket, error) {
	// A socket that can neither be inherited nor block a thread.
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.CAN_RAW)
	if err != nil {
		return nil, fmt.Errorf("%s: opening a CAN socket: %w%s", o.Interface, err, socketHint(err))
	}
	index, err := bindCAN(fd, &o)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", o.Interface, err)
	}
	s, err := newSocket(fd, &o, streams)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", o.Interface, err)
	}
	s.index = index
	return s, nil
}

func socketHint(err error) string {
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return " (the kernel has no CAN: load its module with `modprobe can`; under systemd, RestrictAddressFamilies must name AF_CAN)"
	case errors.Is(err, unix.EPROTONOSUPPORT):
		return " (load the module: `modprobe can_raw`)"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return " (a container or a seccomp filter forbids it)"
	}
	return ""
}

// bindCAN sets what only CAN sockets have and binds the socket to its interface.
func bindCAN(fd int, o *Options) (index int, err error) {
	if o.Filters != nil {
		if err := setFilters(fd, o.Filters); err != nil {
			return 0, err
		}
	}
	if o.Errors {
		if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_ERR_FILTER, errorMask); err != nil {
			return 0, fmt.Errorf("asking for error frames: %w", err)
		}
	}
	// On an interface for classical CAN only, this changes nothing.
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1); err != nil && err != unix.ENOPROTOOPT {
		return 0, fmt.Errorf("asking for CAN FD frames: %w", err)
	}
	request, err := unix.NewIfreq(o.Interface)
	if err != nil {
		return 0, fmt.Errorf("not the name of an interface: %w", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, fmt.Errorf("there is no such interface: %w", err)
	}
	index = int(request.Uint32())
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: index}); err != nil {
		if err == unix.ENODEV {
			return 0, fmt.Errorf("not a CAN interface, or just removed: %w", err)
		}
		return 0, fmt.Errorf("binding to the interface: %w", err)
	}
	return index, nil
}

// newSocket takes over a non-blocking datagram socket, of whatever family; the
// tests give it others than CAN's. If it fails, fd is still the caller's.
func newSocket(fd int, o *Options, streams *can.Streams) (*Socket, error) {
	s := &Socket{
		name:     o.Interface,
		buses:    []string{o.Bus},
		streams:  streams,
		coalesce: min(o.Coalesce, maxCoalesce),
		closed:   make(chan struct{}),
	}
	if o.Bus == "" {
		s.buses[0] = o.Interface
	}
	if err := s.stampTimes(fd, o.HardwareTime); err != nil {
		return nil, fmt.Errorf("asking for the times of frames: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
		return nil, fmt.Errorf("asking for the count of dropped frames: %w", err)
	}
	s.sizeBuffer(fd, o.ReceiveBuffer)
	s.file = os.NewFile(uintptr(fd), o.Interface)
	conn, err := s.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	s.conn = conn
	s.batch.init()
	s.receive = func(fd uintptr) bool {
		s.syscalls.Add(1)
		return s.batch.receive(int(fd))
	}
	s.take = func(fd uintptr) { s.receive(fd) }
	s.pause = time.NewTimer(time.Hour)
	s.pause.Stop()
	return s, nil
}

// stampTimes prefers the time stamps that have 64 bits on 32-bit machines, too
// (Linux 5.1).
func (s *Socket) stampTimes(fd int, hardware bool) error {
	if hardware {
		const flags = unix.SOF_TIMESTAMPING_RX_HARDWARE | unix.SOF_TIMESTAMPING_RAW_HARDWARE |
			unix.SOF_TIMESTAMPING_RX_SOFTWARE | unix.SOF_TIMESTAMPING_SOFTWARE
		s.clock = &hardwareClock{}
		return setEither(fd, unix.SO_TIMESTAMPING_NEW, unix.SO_TIMESTAMPING, flags)
	}
	return setEither(fd, unix.SO_TIMESTAMPNS_NEW, unix.SO_TIMESTAMPNS, 1)
}

func setEither(fd, option, older, value int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, value)
	if err == unix.ENOPROTOOPT {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, older, value)
	}
	return err
}

// sizeBuffer asks for a receive buffer, as large as may be: without rights the
// kernel gives what net.core.rmem_max allows.
func (s *Socket) sizeBuffer(fd, bytes int) {
	if bytes == 0 {
		bytes = defaultReceiveBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
	if twice, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
		s.granted = twice / 2 // the kernel doubles what it is asked for, socket(7)
	}
}
