package cantest

import (
	"cmp"
	"math/rand/v2"
	"slices"

	einride "go.einride.tech/can"

	"milepost/can"
)

// plan is a message of the Model on one bus, ready for sending.
type plan struct {
	id          uint32
	flags       can.Flags
	len         uint8
	cycleMicros int64
	// nominal is when the next frame is due without jitter.
	nominal int64

	signals []signalPlan
	// checksumByte and the counter's and the selector's indexes into signals are
	// -1 where the message has none.
	checksumByte int8
	counter      int8
	selector     int8
	groups       uint8
	moves        uint64
	walks        bool

	sequence uint64
	header   wireState
	stream   uint32
	sent     bool
	payload  einride.Data
	wireBits int
}

// signalPlan says how a value is packed. The divisor is the signal's factor.
type signalPlan struct {
	value           int32
	group           int16
	start, bits     uint8
	motorola, names bool
	divisor, offset int64
	low, high       int64
	walk            walk
}

// planBus plans the messages of a bus in the order of their priority in the
// arbitration. Signals that walk get their values appended to values.
func planBus(m *Model, bus uint16, values *[]int64, random *rand.PCG) []plan {
	var plans []plan
	for i := range m.Messages {
		if message := &m.Messages[i]; message.Bus == bus || message.Bus == EveryBus {
			plans = append(plans, planMessage(message, values, random))
		}
	}
	slices.SortFunc(plans, func(a, b plan) int { return cmp.Compare(a.priority(), b.priority()) })
	return plans
}

func planMessage(m *Message, values *[]int64, random *rand.PCG) plan {
	p := plan{
		id: m.ID, len: m.Len,
		cycleMicros:  int64(m.CycleMilliseconds) * 1000,
		checksumByte: -1, counter: -1, selector: -1,
		moves:  uint64(m.movesPerMille) << 32 / 1000,
		header: wireHeader(m.ID, m.Extended, m.Len),
		stream: can.NoStream,
	}
	if m.Extended {
		p.flags = can.Extended
	}
	// Control units do not start in step: the phase is anywhere in the cycle.
	p.nominal = below(random, uint64(p.cycleMicros))
	for i := range m.Signals {
		s := &m.Signals[i]
		switch s.Role {
		case Checksum:
			p.checksumByte = int8(s.Start / 8)
			continue
		case Counter:
			p.counter = int8(len(p.signals))
		case Selector:
			p.selector = int8(len(p.signals))
		}
		p.groups = max(p.groups, uint8(s.Group+1))
		lo, hi := s.rawRange()
		plan := signalPlan{
			value: int32(s.source), group: int16(s.Group),
			start: s.Start, bits: s.Bits, motorola: s.Motorola, names: s.Table != nil,
			divisor: fixed(s.Factor), offset: fixed(s.Offset), low: lo, high: hi,
			walk: s.walk,
		}
		if s.walk.high > s.walk.low {
			p.walks = true
			plan.value = int32(len(*values))
			first := (s.walk.low + s.walk.high) / 2
			if plan.names {
				first = s.walk.low
			}
			*values = append(*values, plan.stroll(first, random))
		}
		p.signals = append(p.signals, plan)
	}
	return p
}

// priority is the arbitration field as a number: the lowest wins. A standard
// frame wins against an extended one with the same base identifier.
func (p *plan) priority() uint64 {
	if p.flags&can.Extended == 0 {
		return uint64(p.id) << 19
	}
	return uint64(p.id>>18)<<19 | 1<<18 | uint64(p.id&(1<<18-1))
}

// release draws when the next frame is given to the controller: up to 0.1 ms
// after it is due.
func (p *plan) release(random *rand.PCG) int64 { return p.nominal + below(random, 101) }

// send packs the next payload.
func (p *plan) send(values []int64, random *rand.PCG) {
	if p.walks && random.Uint64()>>32 < p.moves {
		for i := range p.signals {
			if s := &p.signals[i]; s.walk.high > s.walk.low {
				values[s.value] = s.stroll(values[s.value], random)
			}
		}
	}
	data := p.pack(values)
	p.sequence++
	p.nominal += p.cycleMicros
	if p.sent && data == p.payload {
		return
	}
	p.sent, p.payload = true, data
	p.wireBits = p.header.bits((*[8]byte)(&p.payload), p.len)
}

func (p *plan) pack(values []int64) (data einride.Data) {
	group := int16(0)
	if p.selector >= 0 {
		group = int16(p.sequence % uint64(p.groups))
	}
	for i := range p.signals {
		s := &p.signals[i]
		if s.group != NoGroup && s.group != group {
			continue
		}
		var raw uint64
		switch int8(i) {
		case p.counter:
			raw = p.sequence
		case p.selector:
			raw = uint64(group)
		default:
			raw = s.raw(values[s.value])
		}
		raw &= 1<<s.bits - 1
		if s.motorola {
			data.SetUnsignedBitsBigEndian(s.start, s.bits, raw)
		} else {
			data.SetUnsignedBitsLittleEndian(s.start, s.bits, raw)
		}
	}
	if p.checksumByte >= 0 {
		data[p.checksumByte] = crc8((*[8]byte)(&data), p.len, uint8(p.checksumByte))
	}
	return data
}

// raw converts a fixed-point value to the nearest raw value in range.
func (s *signalPlan) raw(value int64) uint64 {
	value -= s.offset
	if s.divisor == one {
		value = divide(value, one) // by a constant: a multiplication
	} else {
		value = divide(value, s.divisor)
	}
	return uint64(min(max(value, s.low), s.high))
}

// stroll gives a value of a walk after the present one: up to two steps away,
// turned back at the bounds. A named value stays for a while and then may be any.
func (s *signalPlan) stroll(value int64, random *rand.PCG) int64 {
	w := &s.walk
	if s.names {
		if below(random, 8) != 0 {
			return value
		}
		return w.low + below(random, uint64((w.high-w.low)/one+1))*one
	}
	value += (below(random, 5) - 2) * w.step
	if value > w.high {
		value = max(2*w.high-value, w.low)
	}
	if value < w.low {
		value = min(2*w.low-value, w.high)
	}
	return value
}

// below draws a number from 0 to n-1, n at most 2^32. The bias of the multiply
// does not matter here, and nothing is ever drawn twice.
func below(random *rand.PCG, n uint64) int64 { return int64(random.Uint64() >> 32 * n >> 32) }

// divide rounds the quotient to the nearest, halves away from zero.
func divide(a, b int64) int64 {
	if a < 0 {
		return (a - b/2) / b
	}
	return (a + b/2) / b
}
