// Package can defines what a CAN bus delivers: frames, and the sources they
// come from.
//
// The packages below it read frames from recorded logs (canlog) and live buses
// (socketcan), and give them meaning (dbc, j1939). Package cantest makes them
// up.
package can

import "fmt"

// Flags describe how a frame was sent. The names are those of SocketCAN and of
// ISO 11898-1.
type Flags uint8

const (
	// Extended says that ID is a 29-bit arbitration ID (IDE bit), not an 11-bit one.
	Extended Flags = 1 << iota
	// Remote marks a remote transmission request: it has a length and no data.
	Remote
	// Error marks an error frame as SocketCAN reports it: ID holds the error
	// class bits of linux/can/error.h, Data their details.
	Error
	// FD marks a CAN FD frame; BRS and ESI are its bit-rate switch and its
	// error state indicator.
	FD
	BRS
	ESI
	// Sent marks a frame that the recording node transmitted itself.
	Sent
)

// MaxDataLen is the largest number of data bytes in a CAN FD frame.
const MaxDataLen = 64

// Limits of arbitration IDs.
const (
	MaxStandardID = 1<<11 - 1
	MaxExtendedID = 1<<29 - 1
)

// NoStream is the Stream of remote and error frames: they carry no payload to
// follow.
const NoStream = ^uint32(0)

// Frame is one frame as it was received: classical CAN or CAN FD.
//
// A Frame is written once by its Source and only read afterwards.
type Frame struct {
	// Time is the time of reception in nanoseconds since the Unix epoch, UTC:
	// the kernel's time stamp for a live bus, the recorded one for a log.
	Time int64
	// ID is the arbitration ID without flag bits; of an error frame, the error
	// class bits (29 bits, without CAN_ERR_FLAG).
	ID uint32
	// Stream numbers the (bus, ID, extended) triples of a Source densely from 0
	// in the order of their first frames. It lets a consumer keep what it knows
	// of a triple in a slice. NoStream for remote and error frames.
	Stream uint32
	// Bus is an index into the Source's Buses.
	Bus uint16
	// Flags say what kind of frame it is.
	Flags Flags
	// Len is the number of valid bytes in Data, 0 to 64; of a remote frame, the
	// length asked for.
	Len uint8
	// RawDLC is the data length code on the wire where it is not Len: 9 to 15
	// in a classical frame of 8 bytes (ISO 11898-1, 8.4.2.4), otherwise 0.
	RawDLC uint8
	// Data holds Len bytes. The bytes behind them are zero up to a multiple of
	// 8 bytes (8 at least); what follows those is unspecified.
	Data [MaxDataLen]byte
}

// Is reports whether all the given flags are set.
func (f *Frame) Is(flags Flags) bool { return f.Flags&flags == flags }

// Payload returns the data bytes: none for a remote frame.
func (f *Frame) Payload() []byte {
	if f.Flags&Remote != 0 {
		return nil
	}
	return f.Data[:min(int(f.Len), MaxDataLen)]
}

// Source delivers frames: a recorded log or a live bus.
//
// A Source is used by one goroutine at a time. Closing what is below it (the
// file, the socket) ends a blocked Read.
type Source interface {
	// Read fills frames from the beginning and returns how many, at least one
	// unless there is an error; it waits when there are none yet. The error
	// io.EOF, always with n == 0, is the regular end.
	Read(frames []Frame) (n int, err error)

	// Buses names the buses seen so far, in the order of Frame.Bus. The slice
	// may grow with each Read and is never shortened or reordered.
	Buses() []string
}

// FormatID writes an arbitration ID as candump does: 3 hexadecimal digits, or 8
// where it is extended.
func FormatID(id uint32, extended bool) string {
	if extended {
		return fmt.Sprintf("%08X", id)
	}
	return fmt.Sprintf("%03X", id)
}

// fdLengths are the lengths that a CAN FD data length code can express
// (ISO 11898-1, table 5).
var fdLengths = [16]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64}

// LenOfDLC gives the number of data bytes for a data length code: up to 8 in a
// classical frame, up to 64 in an FD frame. Only the low four bits count.
func LenOfDLC(dlc uint8, fd bool) int {
	n := int(fdLengths[dlc&15])
	if !fd && n > 8 {
		return 8
	}
	return n
}
