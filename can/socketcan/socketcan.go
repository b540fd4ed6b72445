// Package socketcan reads live CAN buses through Linux's SocketCAN, classical
// CAN and CAN FD, and sets up and watches their interfaces.
//
// A Socket is one raw socket on one interface: it delivers frames with the
// kernel's time stamps and counts what the kernel had to drop. A Bus is a Socket
// that is looked after: it brings the interface up as configured, outlives its
// absence, and knows its health. Both are can.Sources.
//
// Nothing in this package transmits. An interface that Configure brings up
// listens only, unless it is told otherwise: it does not even acknowledge.
//
// What the kernel offers is described in its Documentation/networking/can.rst;
// the layouts are those of linux/can.h, linux/can/error.h and
// linux/can/netlink.h.
package socketcan

import "time"

// Options of Open. Interface must be set; the rest may be zero.
type Options struct {
	// Interface is the name of the network interface, such as can0.
	Interface string
	// Bus is the name in Buses, the interface's if empty.
	Bus string
	// Filters are for the kernel: a frame that none of them lets through never
	// wakes the reader. Nil lets all pass, an empty slice none.
	Filters []Filter
	// Errors asks for error frames. Filters do not concern them.
	Errors bool
	// ReceiveBuffer is how many bytes of frames the kernel may hold for us, 4 MiB
	// if zero. A classical frame takes about 400 of them by this measure, so that
	// 4 MiB are about 2.5 s of a full bus of 500 kbit/s. More than
	// net.core.rmem_max needs CAP_NET_ADMIN; SocketStats says what was granted.
	ReceiveBuffer int
	// HardwareTime takes the controller's time stamps where it has a clock, moved
	// to the system's clock. Without it, and where there is none, they are the
	// kernel's, made when the interrupt was served.
	HardwareTime bool
	// Coalesce is how long Read may leave frames in the kernel, so that it takes
	// several at once: on a busy bus the processor then wakes once in that time
	// instead of once a frame. Time stamps are not touched by it, and the first
	// frame after silence is not held up. Zero is not at all, the limit 100 ms.
	Coalesce time.Duration
}

const (
	defaultReceiveBuffer = 4 << 20
	maxCoalesce          = 100 * time.Millisecond
)

// SocketStats are the counters of a Socket.
type SocketStats struct {
	// Received frames were handed out by Read, error frames included.
	Received uint64
	// Dropped frames passed the filters and found the receive buffer full. The
	// count is the kernel's own and exact (32-bit counters are followed as they
	// wrap), and up to date at the time of asking since Linux 4.12; in older
	// kernels it comes with the next frame that is received.
	Dropped uint64
	// Malformed were neither struct can_frame nor struct canfd_frame.
	Malformed uint64
	// Syscalls were made to receive frames, those that found none included.
	Syscalls uint64
	// ReceiveBuffer is what the kernel granted, in the bytes of Options.
	ReceiveBuffer int
}
