package canlog

import (
	"encoding/binary"
	"fmt"
	"io"

	"milepost/can"
)

// WriterOptions say how a Writer writes what candump does in several ways.
type WriterOptions struct {
	// Nanoseconds writes 9 decimals (candump -N) instead of 6; times are cut to
	// microseconds otherwise.
	Nanoseconds bool
	// Direction adds R or T to each frame (candump -x).
	Direction bool
}

// Writer writes a log as candump -l of can-utils 2025 does:
//
//	(1533201287.000013) can0 2C1#0014DF14BBCA3A91
//
// It buffers: call Flush at the end. After an error of the underlying writer,
// all further calls return that error. It is not safe for concurrent use.
type Writer struct {
	w    io.Writer
	opts WriterOptions
	buf  []byte
	err  error
	// second and stamp are the last second and its text, "(1533201287."
	second int64
	stamp  [len("(9223372036.")]byte
	bus    string // the last valid bus
}

const (
	writeBufferSize = 64 << 10
	// maxWritten is more than any line has: time stamp, bus, ID, flags, 64 bytes,
	// raw DLC, direction.
	maxWritten = 24 + maxNameLen + 16 + 2*can.MaxDataLen + 8
)

// NewWriter makes a Writer on w.
func NewWriter(w io.Writer, opts WriterOptions) *Writer {
	return &Writer{w: w, opts: opts, buf: make([]byte, 0, writeBufferSize), second: -1}
}

// Write writes frames of a [can.Source] with these buses. It stops at the first
// error.
func (w *Writer) Write(frames []can.Frame, buses []string) error {
	for i := range frames {
		f := &frames[i]
		if int(f.Bus) >= len(buses) {
			return fmt.Errorf("write candump log: frame %s of bus %d, there are only %d buses",
				can.FormatID(f.ID, f.Is(can.Extended)), f.Bus, len(buses))
		}
		if err := w.WriteFrame(f, buses[f.Bus]); err != nil {
			return err
		}
	}
	return nil
}

// WriteFrame writes one frame. A frame that the format cannot express is
// refused with an error, and nothing is written; the next one can be.
func (w *Writer) WriteFrame(f *can.Frame, bus string) error {
	if w.err != nil {
		return w.err
	}
	if reason := w.refusal(f, bus); reason != "" {
		return fmt.Errorf("write candump log: frame %s of bus %q: %s",
			can.FormatID(f.ID, f.Is(can.Extended)), bus, reason)
	}
	if cap(w.buf)-len(w.buf) < maxWritten {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	b := w.appendTime(w.buf, f.Time)
	b = append(b, ") "...)
	b = append(b, bus...)
	b = append(b, ' ')
	switch {
	case f.Flags&can.Error != 0:
		b = appendHex32(b, f.ID|errorFlag, 8)
	case f.Flags&can.Extended != 0:
		b = appendHex32(b, f.ID, 8)
	default:
		b = appendHex32(b, f.ID, 3)
	}
	b = append(b, '#')
	if f.Flags&can.Remote != 0 {
		b = append(b, 'R')
		if f.Len > 0 {
			b = append(b, '0'+f.Len)
		}
	} else {
		if f.Flags&can.FD != 0 {
			b = append(b, '#', fdFlags(f.Flags))
		}
		digits := len(b) + 2*int(f.Len)
		for i := 0; i < int(f.Len); i += 4 {
			b = binary.LittleEndian.AppendUint64(b, encodeHex(binary.LittleEndian.Uint32(f.Data[i:i+4])))
		}
		b = b[:digits]
	}
	if f.RawDLC != 0 {
		b = append(b, '_', upperHex[f.RawDLC])
	}
	if w.opts.Direction {
		b = append(b, ' ', 'R'+byte(f.Flags&can.Sent/can.Sent)*('T'-'R'))
	}
	w.buf = append(b, '\n')
	return nil
}

// refusal says why a frame cannot be written.
func (w *Writer) refusal(f *can.Frame, bus string) string {
	if bus != w.bus {
		if !validName([]byte(bus)) {
			return "this bus name would not be read back"
		}
		w.bus = bus
	}
	most := uint8(8)
	if f.Flags&can.FD != 0 {
		most = can.MaxDataLen
	}
	switch {
	case f.Time < 0:
		return "its time is before 1970"
	case f.Len > most:
		return "it has too many data bytes"
	case f.Flags&(can.Extended|can.Error) == 0 && f.ID > can.MaxStandardID || f.ID > can.MaxExtendedID:
		return "its ID has too many bits"
	case f.Flags&can.FD != 0 && f.Flags&(can.Remote|can.Error) != 0,
		f.Flags&can.Error != 0 && f.Flags&(can.Remote|can.Extended) != 0:
		return "its flags exclude one another"
	case f.RawDLC != 0 && (f.RawDLC < 9 || f.RawDLC > 15 || f.Len != 8 || f.Flags&can.FD != 0):
		return "its raw DLC does not fit its length"
	}
	return ""
}

// fdFlags is the digit behind ##: 4 marks CAN FD (CANFD_FDF), 1 the bit-rate
// switch, 2 the error state indicator.
func fdFlags(flags can.Flags) byte {
	digit := byte('4')
	if flags&can.BRS != 0 {
		digit |= 1
	}
	if flags&can.ESI != 0 {
		digit |= 2
	}
	return digit
}

// appendTime writes "(1533201287.000013".
func (w *Writer) appendTime(b []byte, ns int64) []byte {
	if second := ns / 1e9; second != w.second {
		w.second = second
		w.stamp[0], w.stamp[len(w.stamp)-1] = '(', '.'
		for i := len(w.stamp) - 2; i > 0; i-- {
			w.stamp[i] = byte('0' + second%10)
			second /= 10
		}
	}
	b = append(b, w.stamp[:]...)
	fraction := uint32(ns % 1e9)
	digits := 9
	if !w.opts.Nanoseconds {
		fraction, digits = fraction/1000, 6
	}
	var text [9]byte
	for i := digits - 1; i >= 0; i-- {
		text[i] = byte('0' + fraction%10)
		fraction /= 10
	}
	return append(b, text[:digits]...)
}

const upperHex = "0123456789ABCDEF"

func appendHex32(b []byte, v uint32, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b = append(b, upperHex[v>>shift&15])
	}
	return b
}

// Flush writes what is buffered.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.buf) > 0 {
		if _, err := w.w.Write(w.buf); err != nil {
			w.err = fmt.Errorf("write candump log: %w", err)
		}
		w.buf = w.buf[:0]
	}
	return w.err
}
