package socketcan

import (
	"encoding/binary"

	"milepost/can"
)

// struct can_frame and struct canfd_frame (linux/can.h), in the machine's byte
// order:
//
//	0         4     5        6          7           8
//	| can_id  | len | -      | reserved | len8_dlc  | 8 bytes of data  |  16
//	| can_id  | len | flags  | reserved | reserved  | 64 bytes of data |  72
const (
	classicalSize = 16
	fdSize        = 72

	brsFlag, esiFlag = 1, 2 // in flags
)

// decodeFrame fills in what the kernel's size bytes in b say: ID, flags, length and
// data. It reports whether they are a frame.
func decodeFrame(f *can.Frame, b *[fdSize]byte, size int) bool {
	id := binary.NativeEndian.Uint32(b[:])
	var flags can.Flags
	switch {
	case id&errorFlag != 0:
		f.ID, flags = id&errorMask, can.Error
	case id&extendedFlag != 0:
		f.ID, flags = id&can.MaxExtendedID, can.Extended
	default:
		f.ID = id & can.MaxStandardID
	}
	f.RawDLC = 0
	switch size {
	case classicalSize:
		f.Len = min(b[4], 8)
		if code := b[7]; f.Len == 8 && code > 8 && code < 16 {
			f.RawDLC = code
		}
		data := binary.LittleEndian.Uint64(b[8:])
		if id&remoteFlag != 0 && flags != can.Error {
			flags |= can.Remote
			data = 0
		} else if f.Len < 8 {
			data &= 1<<(8*f.Len) - 1
		}
		binary.LittleEndian.PutUint64(f.Data[:], data)
	case fdSize:
		f.Len = min(b[4], can.MaxDataLen)
		padded := max(8, (int(f.Len)+7)&^7)
		copy(f.Data[:padded], b[8:])
		clear(f.Data[f.Len:padded])
		flags |= can.FD
		if b[5]&brsFlag != 0 {
			flags |= can.BRS
		}
		if b[5]&esiFlag != 0 {
			flags |= can.ESI
		}
	default:
		return false
	}
	f.Flags = flags
	return true
}
