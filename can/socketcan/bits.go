package socketcan

import "milepost/can"

// interframe is the bits between frames, the intermission.
const interframe = 3

// wireBits counts the bits that a frame occupies the bus for, stuff bits and the
// space behind it included: those at the nominal bit rate, and those at the data
// bit rate, of which there are none without BRS. (ISO 11898-1, 10.4 and 10.5)
func wireBits(f *can.Frame) (nominal, data int) {
	if f.Flags&can.FD != 0 {
		return fdBits(f)
	}
	var s stuffer
	s.arbitration(f)
	dlc := f.Len
	if f.RawDLC != 0 {
		dlc = f.RawDLC
	}
	// After the ID of 11 bits IDE and r0 follow, after that of 29 bits r1 and r0.
	s.put(0, 2)
	s.put(uint32(dlc), 4)
	for _, b := range f.Payload() {
		s.put(uint32(b), 8)
	}
	s.put(uint32(s.crc), 15)
	const end = 1 + 1 + 1 + 7 // CRC delimiter, acknowledgement and its delimiter, end of frame
	return s.bits + end + interframe, 0
}

// fdBits counts those of a CAN FD frame with the CRC of ISO 11898-1:2015. Its stuff
// bits are dynamic up to the data's end and fixed after it.
func fdBits(f *can.Frame) (nominal, data int) {
	var s stuffer
	s.arbitration(f)
	if f.Flags&can.Extended == 0 {
		s.put(0, 1) // IDE
	}
	brs := uint32(0)
	if f.Flags&can.BRS != 0 {
		brs = 1
	}
	s.put(1, 1) // FDF
	s.put(0, 1) // res
	s.put(brs, 1)
	nominal = s.bits
	esi := uint32(0)
	if f.Flags&can.ESI != 0 {
		esi = 1
	}
	s.put(esi, 1)
	dlc := 0
	for dlc < 15 && can.LenOfDLC(uint8(dlc), true) < int(f.Len) {
		dlc++
	}
	s.put(uint32(dlc), 4)
	for _, b := range f.Payload() {
		s.put(uint32(b), 8)
	}
	for range can.LenOfDLC(uint8(dlc), true) - int(f.Len) {
		s.put(0, 8)
	}
	check := 4 + 17 // stuff count and CRC
	if can.LenOfDLC(uint8(dlc), true) > 16 {
		check = 4 + 21
	}
	check += (check + 3) / 4 // a fixed stuff bit before the first and after each four
	data = s.bits - nominal + check
	nominal += 1 + 1 + 1 + 7 + interframe // CRC delimiter, acknowledgement and its delimiter, end of frame
	if brs == 0 {
		return nominal + data, 0
	}
	return nominal, data
}

// stuffer counts bits and puts a stuff bit after five equal ones.
type stuffer struct {
	bits int
	run  int    // equal bits up to here
	last uint32 // the last of them
	crc  uint16 // CRC-15 of classical CAN
}

// arbitration puts the start of frame and the arbitration field up to the RTR bit
// (in CAN FD, RRS).
func (s *stuffer) arbitration(f *can.Frame) {
	remote := uint32(0)
	if f.Flags&can.Remote != 0 {
		remote = 1
	}
	s.put(0, 1)
	if f.Flags&can.Extended != 0 {
		s.put(f.ID>>18, 11)
		s.put(3, 2) // SRR, IDE
		s.put(f.ID, 18)
	} else {
		s.put(f.ID, 11)
	}
	s.put(remote, 1)
}

// put appends the n low bits of v, the highest first.
func (s *stuffer) put(v uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		bit := v >> i & 1
		feedback := uint32(s.crc>>14) ^ bit
		s.crc = s.crc << 1 & 0x7FFF
		if feedback&1 != 0 {
			s.crc ^= 0x4599
		}
		s.bits++
		if bit == s.last && s.run > 0 {
			s.run++
		} else {
			s.last, s.run = bit, 1
		}
		if s.run == 5 {
			s.bits++
			s.last, s.run = bit^1, 1
		}
	}
}
