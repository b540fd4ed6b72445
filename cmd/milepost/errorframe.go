package main

import (
	"strconv"

	"milepost/can"
)

// The bits of an error frame, as linux/can/error.h defines them: the classes in
// the ID, their details in the data.
//
// go.einride.tech/can/pkg/socketcan knows them too, but names only one bit at a
// time, and error frames with several are the rule; and it would link its
// sockets.
var (
	errorClasses = []string{
		"TX timeout", "lost arbitration", "controller problem", "protocol violation", "transceiver status",
		"no acknowledgement on transmission", "bus off", "bus error", "controller restarted", "error counters",
	}
	controllerBits = []string{ // data[1]
		"RX buffer overflow", "TX buffer overflow", "warning level for RX errors", "warning level for TX errors",
		"error passive RX", "error passive TX", "back to error active",
	}
	protocolBits = []string{ // data[2]
		"single bit error", "frame format error", "bit stuffing error", "unable to send a dominant bit",
		"unable to send a recessive bit", "bus overload", "active error announcement", "on transmission",
	}
	protocolLocations = map[byte]string{ // data[3]
		0x02: "ID bits 28 to 21", 0x03: "start of frame", 0x04: "substitute RTR", 0x05: "identifier extension",
		0x06: "ID bits 20 to 18", 0x07: "ID bits 17 to 13", 0x08: "CRC sequence", 0x09: "reserved bit 0",
		0x0A: "data", 0x0B: "data length code", 0x0C: "RTR", 0x0D: "reserved bit 1", 0x0E: "ID bits 4 to 0",
		0x0F: "ID bits 12 to 5", 0x12: "intermission", 0x18: "CRC delimiter", 0x19: "ACK slot",
		0x1A: "end of frame", 0x1B: "ACK delimiter",
	}
	transceiverStates = map[byte]string{ // data[4], the low digit for CANH, the high one for CANL
		0x04: "CANH no wire", 0x05: "CANH short to battery", 0x06: "CANH short to VCC", 0x07: "CANH short to ground",
		0x40: "CANL no wire", 0x50: "CANL short to battery", 0x60: "CANL short to VCC", 0x70: "CANL short to ground",
		0x80: "CANL short to CANH",
	}
)

const (
	lostArbitration = 1 << 1
	controller      = 1 << 2
	protocol        = 1 << 3
	transceiver     = 1 << 4
	errorCounters   = 1 << 9
)

// appendErrorFrame says in words what an error frame reports.
func appendErrorFrame(dst []byte, f *can.Frame) []byte {
	classes := f.ID
	tx, rx := f.Data[6], f.Data[7]
	if tx|rx != 0 { // kernels before 5.20 give the counters without the class
		classes |= errorCounters
	}
	if classes == 0 {
		return append(dst, "of no class"...)
	}
	words := separated{dst: dst}
	for bit := range 29 {
		class := uint32(1) << bit
		if classes&class == 0 {
			continue
		}
		if bit >= len(errorClasses) {
			words.next("unknown class 0x")
			words.dst = strconv.AppendUint(words.dst, uint64(class), 16)
			continue
		}
		words.next(errorClasses[bit])
		switch class {
		case lostArbitration:
			if at := f.Data[0]; at != 0 {
				words.dst = strconv.AppendUint(append(words.dst, " in bit "...), uint64(at), 10)
			}
		case controller:
			words.dst = appendBits(words.dst, controllerBits, f.Data[1], "")
		case protocol:
			words.dst = appendBits(words.dst, protocolBits, f.Data[2], protocolLocations[f.Data[3]])
		case transceiver:
			words.dst = appendTransceiver(words.dst, f.Data[4])
		case errorCounters:
			words.dst = strconv.AppendUint(append(words.dst, " TX "...), uint64(tx), 10)
			words.dst = strconv.AppendUint(append(words.dst, " RX "...), uint64(rx), 10)
		}
	}
	return words.dst
}

// appendBits writes the names of the set bits, and where it happened, in
// parentheses; nothing if there is nothing to say.
func appendBits(dst []byte, names []string, bits byte, where string) []byte {
	if bits == 0 && where == "" {
		return dst
	}
	words := separated{dst: append(dst, " ("...)}
	for bit := range 8 {
		if bits>>bit&1 == 0 {
			continue
		}
		if bit < len(names) {
			words.next(names[bit])
		} else {
			words.next("unknown bit ")
			words.dst = strconv.AppendInt(words.dst, int64(bit), 10)
		}
	}
	if where != "" {
		words.next("at ")
		words.dst = append(words.dst, where...)
	}
	return append(words.dst, ')')
}

func appendTransceiver(dst []byte, state byte) []byte {
	if state == 0 {
		return dst
	}
	words := separated{dst: append(dst, " ("...)}
	for _, digit := range [...]byte{state & 0x0F, state & 0xF0} {
		text, known := transceiverStates[digit]
		switch {
		case digit == 0:
		case known:
			words.next(text)
		default:
			words.next("unknown state 0x")
			words.dst = strconv.AppendUint(words.dst, uint64(digit), 16)
		}
	}
	return append(words.dst, ')')
}

// separated appends texts with commas between them.
type separated struct {
	dst []byte
	any bool
}

func (s *separated) next(text string) {
	if s.any {
		s.dst = append(s.dst, ", "...)
	}
	s.any = true
	s.dst = append(s.dst, text...)
}
