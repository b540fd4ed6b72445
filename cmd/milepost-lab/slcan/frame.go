package slcan

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"milepost/can"
)

// A frame on the line: a letter, 3 hexadecimal digits of a standard ID or 8 of an
// extended one, one digit of length, the data.
//
//	t1232AABB    standard data frame
//	T…           extended data frame
//	r1232        standard remote frame
//	R…           extended remote frame

var errNoFrame = errors.New("slcan: no frame")

// appendFrame writes a frame with the carriage return at its end.
func appendFrame(b []byte, f *can.Frame) ([]byte, error) {
	if f.Flags&^(can.Extended|can.Remote|can.Sent) != 0 || f.Len > 8 {
		return nil, fmt.Errorf("slcan: frame %s: only classical data and remote frames go over the line", can.FormatID(f.ID, f.Is(can.Extended)))
	}
	letter, digits := byte('t'), 3
	if f.Is(can.Remote) {
		letter = 'r'
	}
	if f.Is(can.Extended) {
		letter -= 'a' - 'A'
		digits = 8
	}
	b = fmt.Appendf(append(b, letter), "%0*X%d", digits, f.ID, f.Len)
	return append(fmt.Appendf(b, "%X", f.Payload()), '\r'), nil
}

// parseFrame reads a frame without its carriage return.
func parseFrame(b []byte) (f can.Frame, err error) {
	digits, limit := 3, uint64(can.MaxStandardID)
	if len(b) == 0 {
		return f, errNoFrame
	}
	switch b[0] {
	case 't', 'r':
	case 'T', 'R':
		digits, limit = 8, can.MaxExtendedID
		f.Flags |= can.Extended
	default:
		return f, errNoFrame
	}
	if b[0]|0x20 == 'r' {
		f.Flags |= can.Remote
	}
	if len(b) < 1+digits+1 {
		return f, errNoFrame
	}
	id, err := strconv.ParseUint(string(b[1:1+digits]), 16, 32)
	if err != nil || id > limit {
		return f, errNoFrame
	}
	length, data := b[1+digits], b[2+digits:]
	if length < '0' || length > '8' {
		return f, errNoFrame
	}
	f.ID, f.Len, f.Stream = uint32(id), length-'0', can.NoStream
	want := 2 * int(f.Len)
	if f.Is(can.Remote) {
		want = 0
	}
	if len(data) != want {
		return f, errNoFrame
	}
	if _, err := hex.Decode(f.Data[:], data); err != nil {
		return f, errNoFrame
	}
	return f, nil
}
