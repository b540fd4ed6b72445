package socketcan

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// control is what the control messages of a frame say.
type control struct {
	// software is the kernel's time of reception, hardware the controller's by a
	// clock of its own, 0 where there is none; nanoseconds.
	software, hardware int64
	// dropped counts what was dropped before this frame was queued.
	dropped    uint32
	hasDropped bool
	local      bool // sent by this host
}

// parseControl reads control messages (cmsg(3)), as far as they are whole:
//
//	| length, a word | level, 4 | type, 4 | data | padding to a word |
//
// unix.ParseSocketControlMessage allocates.
func parseControl(b []byte) (c control) {
	for len(b) >= unix.SizeofCmsghdr {
		var length uint64
		if unix.SizeofPtr == 8 {
			length = binary.NativeEndian.Uint64(b)
		} else {
			length = uint64(binary.NativeEndian.Uint32(b))
		}
		if length < unix.SizeofCmsghdr || length > uint64(len(b)) {
			break
		}
		level := binary.NativeEndian.Uint32(b[unix.SizeofPtr:])
		kind := binary.NativeEndian.Uint32(b[unix.SizeofPtr+4:])
		data := b[unix.SizeofCmsghdr:length]
		if level == unix.SOL_SOCKET {
			switch kind {
			case unix.SO_TIMESTAMPNS_NEW, unix.SO_TIMESTAMPNS:
				c.software = timespec(data, len(data))
			case unix.SO_TIMESTAMPING_NEW, unix.SO_TIMESTAMPING:
				if each := len(data) / 3; each > 0 { // software, unused, hardware
					c.software, c.hardware = timespec(data, each), timespec(data[2*each:], each)
				}
			case unix.SO_RXQ_OVFL:
				if len(data) >= 4 {
					c.dropped, c.hasDropped = binary.NativeEndian.Uint32(data), true
				}
			}
		}
		next := (int(length) + unix.SizeofPtr - 1) &^ (unix.SizeofPtr - 1)
		if next >= len(b) {
			break
		}
		b = b[next:]
	}
	return c
}

// timespec reads a struct timespec of size bytes: 16, or 8 from kernels before 5.1
// on 32-bit machines.
func timespec(b []byte, size int) (ns int64) {
	switch {
	case len(b) < size:
		return 0
	case size == 16:
		return int64(binary.NativeEndian.Uint64(b))*1e9 + int64(binary.NativeEndian.Uint64(b[8:]))
	case size == 8:
		return int64(int32(binary.NativeEndian.Uint32(b)))*1e9 + int64(int32(binary.NativeEndian.Uint32(b[4:])))
	}
	return 0
}
