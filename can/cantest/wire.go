package cantest

import (
	"io"

	"milepost/can"
)

// Bitrate is the bit rate of the simulated buses in bit/s.
const Bitrate = 500_000

// trailerBits are the bits of a frame behind the CRC sequence, which are not
// stuffed: CRC delimiter, ACK slot and delimiter, end of frame (7), and the
// intermission (3) in which nobody may send.
const trailerBits = 1 + 2 + 7 + 3

// WireBits counts the bits of a classical data frame on the wire, exactly: from
// the start of frame to the end of the intermission, with the stuff bits
// . Only the first 8 data bytes count.
func WireBits(id uint32, extended bool, data []byte) int {
	data = data[:min(len(data), 8)]
	w := wireHeader(id, extended, uint8(len(data)))
	var payload [8]byte
	copy(payload[:], data)
	return w.bits(&payload, uint8(len(data)))
}

// BusLoad reads a source to its end and gives the load of each of its buses at
// the given bit rate, between its first frame and its last one: 1 is a full bus.
// Frames other than classical data frames are left out.
func BusLoad(source can.Source, bitrate int) ([]float64, error) {
	var bits []int64
	var first, last int64
	frames, seen := make([]can.Frame, 256), false
	for {
		n, err := source.Read(frames)
		for i := range frames[:n] {
			f := &frames[i]
			if !seen {
				first, seen = f.Time, true
			}
			last = f.Time
			for int(f.Bus) >= len(bits) {
				bits = append(bits, 0)
			}
			if f.Flags&(can.FD|can.Remote|can.Error) == 0 {
				bits[f.Bus] += int64(WireBits(f.ID, f.Is(can.Extended), f.Payload()))
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	load := make([]float64, len(bits))
	if last > first {
		for bus, n := range bits {
			load[bus] = float64(n) / (float64(last-first) * 1e-9 * float64(bitrate))
		}
	}
	return load, nil
}

// wireState is how far a frame has been sent: the bits so far, stuff bits
// included, the CRC over the unstuffed ones, and the stuffing state: the last
// bit times 4 plus the length of its run less one.
type wireState struct {
	count int
	crc   uint16
	run   uint8
}

// wireHeader sends the bits up to the data length code. They are the same in
// all frames of a message.
func wireHeader(id uint32, extended bool, length uint8) wireState {
	// Start of frame, identifier, RTR, IDE, r0, DLC; in the extended format
	// start of frame, base identifier, SRR, IDE, identifier extension, RTR, r1,
	// r0, DLC. Dominant is 0.
	header, n := uint64(id)<<7|uint64(length), 19
	if extended {
		base, extension := uint64(id>>18), uint64(id&(1<<18-1))
		header, n = base<<27|0b11<<25|extension<<7|uint64(length), 39
	}
	// A run of no length before the start of frame: as if after a recessive bit.
	w := wireState{run: 1 << 2}
	for n--; n >= 0; n-- {
		bit := uint8(header>>n) & 1
		w.count++
		w.crc = crc15Bit(w.crc, bit)
		var stuffed uint8
		w.run, stuffed = stuffBit(w.run, bit)
		w.count += int(stuffed)
	}
	return w
}

// bits sends the data and the CRC sequence after the header, and counts all.
func (w wireState) bits(data *[8]byte, length uint8) int {
	for _, b := range data[:length] {
		w.crc = (w.crc<<8 ^ crc15Table[uint8(w.crc>>7)^b]) & 0x7FFF
		w.stuff(b)
	}
	w.stuff(uint8(w.crc >> 7))
	last := stuffTable7[w.run&7][w.crc&0x7F]
	return w.count + int(length)*8 + 15 + int(last>>3) + trailerBits
}

// stuff counts the stuff bits that the byte brings.
func (w *wireState) stuff(b uint8) {
	next := stuffTable8[w.run&7][b]
	w.run = next & 7
	w.count += int(next >> 3)
}

// stuffBit follows one bit: after five equal ones comes a stuff bit of the other
// value, which begins the next run.
func stuffBit(run, bit uint8) (next, stuffed uint8) {
	switch {
	case run>>2 != bit:
		return bit << 2, 0
	case run&3 == 3:
		return (bit ^ 1) << 2, 1
	default:
		return run + 1, 0
	}
}

// The stuff tables take 8 and 7 bits at once: [run][bits] is the next run, and
// in the bits above its three the number of stuff bits.
var (
	stuffTable8 = stuffTable(8)
	stuffTable7 = stuffTable(7)
	crc15Table  = makeCRC15Table()
)

func stuffTable(width int) (table [8][256]uint8) {
	for run := range table {
		for value := range 1 << width {
			state, count := uint8(run), uint8(0)
			for n := width - 1; n >= 0; n-- {
				var stuffed uint8
				state, stuffed = stuffBit(state, uint8(value>>n)&1)
				count += stuffed
			}
			table[run][value] = count<<3 | state
		}
	}
	return table
}

// crc15Bit is the CRC of the classical formats of ISO 11898-1, bit by bit.
func crc15Bit(crc uint16, bit uint8) uint16 {
	next := uint16(bit) ^ crc>>14&1
	crc = crc << 1 & 0x7FFF
	if next != 0 {
		crc ^= 0x4599
	}
	return crc
}

func makeCRC15Table() (table [256]uint16) {
	for value := range table {
		crc := uint16(0)
		for n := 7; n >= 0; n-- {
			crc = crc15Bit(crc, uint8(value>>n)&1)
		}
		table[value] = crc
	}
	return table
}
