package dbc

import (
	"fmt"
	"math"
)

// Pack writes a raw value (see [Column] for its representation) into a payload
// and leaves the other bits as they are. Bits that the signal is too short for
// are cut off. The error tells that the payload is too short.
func (s *Signal) Pack(data []byte, raw int64) error {
	if !s.decodable() || s.Start < 0 {
		return fmt.Errorf("signal %s: cannot pack %d bits at bit %d; it must have 1 to 64", s.Name, s.Length, s.Start)
	}
	if s.pastByte() > len(data) {
		return fmt.Errorf("signal %s ends in byte %d; the payload has %d", s.Name, s.pastByte(), len(data))
	}
	bits := s.narrow(raw)
	for i := range s.Length { // from the least significant bit on
		at := s.Start + i
		if s.BigEndian {
			network := s.networkBit() + s.Length - 1 - i
			at = network&^7 + 7 - network&7
		}
		mask := byte(1) << (at & 7)
		data[at/8] &^= mask
		if bits>>i&1 != 0 {
			data[at/8] |= mask
		}
	}
	return nil
}

// narrow is the inverse of widen.
func (s *Signal) narrow(raw int64) uint64 {
	switch s.Kind {
	case Float32:
		return uint64(math.Float32bits(float32(math.Float64frombits(uint64(raw)))))
	case Float16:
		return uint64(toFloat16(math.Float64frombits(uint64(raw))))
	default:
		return uint64(raw)
	}
}

// toFloat16 rounds to the nearest IEEE 754 binary16 number, ties to even.
func toFloat16(f float64) uint16 {
	sign := uint16(0)
	if math.Signbit(f) {
		sign = 1 << 15
	}
	f = math.Abs(f)
	switch {
	case math.IsNaN(f):
		return sign | 0x7E00
	case f >= 65520: // half way above the greatest, 65504
		return sign | 0x7C00
	case f < 1.0/(1<<14): // subnormal, in steps of 2^-24
		return sign | uint16(math.RoundToEven(math.Ldexp(f, 24)))
	}
	fraction, exponent := math.Frexp(f) // 0.5 <= fraction < 1
	// Rounding up to 2048 carries into the exponent, as it should.
	return sign | uint16((exponent+14)<<10+int(math.RoundToEven(fraction*2048))-1024)
}

// Raw converts a physical value into the nearest raw value, cut to what the
// signal can hold.
func (s *Signal) Raw(physical float64) int64 {
	number := (physical - s.Offset) / s.Factor
	if s.Kind != Integer {
		return int64(math.Float64bits(number))
	}
	number = math.RoundToEven(number)
	length := min(max(s.Length, 1), 64)
	if math.IsNaN(number) {
		return 0
	}
	if s.Signed {
		highest := int64(1)<<(length-1) - 1
		switch {
		case number >= float64(highest):
			return highest
		case number <= -float64(highest):
			return max(-highest-1, int64(max(number, -1<<63)))
		}
		return int64(number)
	}
	highest := ^uint64(0) >> (64 - length)
	switch {
	case number <= 0:
		return 0
	case number >= float64(highest):
		return int64(highest)
	}
	return int64(uint64(number))
}

// Pack writes the raw value of the named signal into a payload. It does not set
// the multiplexers that would select it.
func (m *Message) Pack(data []byte, signal string, raw int64) error {
	s := m.Signal(signal)
	if s == nil {
		return fmt.Errorf("message %s has no signal %s", m.Name, signal)
	}
	return s.Pack(data, raw)
}
