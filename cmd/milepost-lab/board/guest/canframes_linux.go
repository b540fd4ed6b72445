package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
	"milepost/cmd/milepost-lab/board/control"
)

// struct can_frame of linux/can.h: arbitration ID with flags u32, length u8, three
// bytes, data of 8 bytes.
const canFrameBytes = 16

// capture is a socket and all that came out of it.
type capture struct {
	frames  journal[can.Frame]
	dropped atomic.Uint32
}

// captureBuffer is in bytes, and not bound by the system's limit.
const captureBuffer = 16 << 20

// Capture begins to keep what an interface receives, error frames and the frames
// that other sockets send included. It ends with the interface.
func (g *Guest) Capture(name string, id *int) error {
	fd, err := openCAN(name)
	if err != nil {
		return err
	}
	for _, option := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1},
		{unix.SOL_CAN_RAW, unix.CAN_RAW_ERR_FILTER, unix.CAN_ERR_MASK},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			unix.Close(fd)
			return fmt.Errorf("%s: socket option %d: %w", name, option.name, err)
		}
	}
	c := &capture{}
	go func() {
		defer unix.Close(fd)
		c.frames.end(fmt.Errorf("the capture of %s has ended: %w", name, c.run(fd)))
	}()
	*id = g.captures.add(c)
	return nil
}

// run reads frames until the interface is gone. While that is down, it waits.
func (c *capture) run(fd int) error {
	data, extra := make([]byte, canFrameBytes), make([]byte, 128)
	for {
		n, ne, flags, _, err := unix.Recvmsg(fd, data, extra, 0)
		if err == unix.EINTR || err == unix.ENETDOWN {
			continue
		}
		if err != nil {
			return err
		}
		if n < canFrameBytes {
			return fmt.Errorf("%d bytes are no frame", n)
		}
		f := decodeFrame(data)
		if flags&unix.MSG_DONTROUTE != 0 {
			f.Flags |= can.Sent
		}
		if f.Time, err = c.control(extra[:ne]); err != nil {
			return err
		}
		c.frames.add(f)
	}
}

// control reads the time of receipt, in ns since 1970, and the count of lost
// frames.
func (c *capture) control(extra []byte) (at int64, err error) {
	messages, err := unix.ParseSocketControlMessage(extra)
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch m.Header.Type {
		case unix.SO_RXQ_OVFL:
			c.dropped.Store(binary.NativeEndian.Uint32(m.Data))
		case unix.SCM_TIMESTAMPNS:
			if half := len(m.Data) / 2; half == 4 { // struct timespec of 32 bits
				at = int64(int32(binary.NativeEndian.Uint32(m.Data)))*1e9 + int64(binary.NativeEndian.Uint32(m.Data[half:]))
			} else {
				at = int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[half:]))
			}
		}
	}
	return at, nil
}

// Captured returns what a capture has.
func (g *Guest) Captured(q control.Captured, r *control.Reception) error {
	c, err := g.captures.get(q.ID)
	if err != nil {
		return err
	}
	r.Frames, err = c.frames.from(q.From, q.AtLeast, q.Wait)
	r.Dropped = c.dropped.Load()
	return err
}

// SendFrames sends frames on an interface, waiting where its queue is full.
func (g *Guest) SendFrames(s control.Frames, _ *control.None) error {
	fd, err := openCAN(s.Name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	next := time.Now()
	for i := range s.Frames {
		time.Sleep(time.Until(next))
		next = next.Add(s.Every)
		for {
			_, err := unix.Write(fd, encodeFrame(&s.Frames[i]))
			if err == nil {
				break
			}
			if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("%s: frame %d of %d: %w", s.Name, i, len(s.Frames), err)
			}
			time.Sleep(200 * time.Microsecond) // about a frame's time at 500 kbit/s
		}
	}
	return nil
}

// openCAN opens a raw socket on an interface.
func openCAN(name string) (fd int, err error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	fd, err = unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		return 0, fmt.Errorf("%s: a CAN socket: %w", name, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: link.Index}); err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("%s: a CAN socket: %w", name, err)
	}
	return fd, nil
}

var frameFlags = []struct {
	kernel uint32
	ours   can.Flags
}{{unix.CAN_EFF_FLAG, can.Extended}, {unix.CAN_RTR_FLAG, can.Remote}, {unix.CAN_ERR_FLAG, can.Error}}

func decodeFrame(b []byte) (f can.Frame) {
	id := binary.NativeEndian.Uint32(b)
	f.ID = id & unix.CAN_EFF_MASK
	for _, flag := range frameFlags {
		if id&flag.kernel != 0 {
			f.Flags |= flag.ours
		}
	}
	f.Len = min(b[4], 8)
	copy(f.Data[:], b[8:8+f.Len])
	return f
}

func encodeFrame(f *can.Frame) []byte {
	id := f.ID
	for _, flag := range frameFlags {
		if f.Is(flag.ours) {
			id |= flag.kernel
		}
	}
	b := make([]byte, canFrameBytes)
	binary.NativeEndian.PutUint32(b, id)
	b[4] = f.Len
	copy(b[8:], f.Payload())
	return b
}
