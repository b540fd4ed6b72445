package dbc

import (
	"encoding/binary"
	"math"
)

// Plan decodes the frames of one message. It is not modified after Compile, so
// any number of goroutines may use it.
type Plan struct {
	// Message is what the plan decodes.
	Message *Message

	// index is the plan's place in its Decoder.
	index int
	// signals and fields are parallel: the decodable signals in file order.
	signals []*Signal
	fields  []field
	// conditions are the distinct reasons for a signal to be in a frame, each
	// behind the one that it depends on; multiplexers evaluate them.
	conditions   []condition
	multiplexers []multiplexer
}

// always is the condition of signals that every frame carries.
const always = -1

// field is how to get the raw value of a signal out of a payload: load the word
// of 8 bytes that it lies in, in its byte order, and shift it to the left and
// back to the right.
type field struct {
	// need is how many bytes a payload must have.
	need int32
	// first is the signal's first byte, bit its first bit in there: counted from
	// the least significant one, or, if bigEndian, from the most significant one.
	first int32
	bit   uint8
	// right is 64 minus the length.
	right     uint8
	bigEndian bool
	signed    bool
	kind      Kind
	// never says that the signal does not fit the message: no frame carries it.
	never bool
	// condition is an index into the plan's, or always.
	condition int32
	// multiplexer is an index into the plan's, or -1.
	multiplexer int32
	missing     missing
	// simple says that every classical frame of full length carries an integer,
	// which word extracts.
	simple bool
	word   extraction
}

// newPlan makes the plan of a message. If j1939, the raw values that J1939
// reserves are not numbers.
func newPlan(m *Message, j1939 bool) *Plan {
	p := &Plan{Message: m}
	for _, s := range m.Signals {
		if !s.decodable() {
			continue
		}
		f := newField(s)
		f.never = s.pastByte() > m.Length
		if j1939 {
			f.missing = missingValues(s, m.ID)
		}
		p.signals = append(p.signals, s)
		p.fields = append(p.fields, f)
	}
	p.compileMultiplexing()
	for i := range p.fields {
		f := &p.fields[i]
		if f.need <= 8 {
			f.word, _, _ = f.extraction(8)
			f.simple = f.kind == Integer && f.condition == always && !f.never
		}
	}
	return p
}

func newField(s *Signal) field {
	f := field{
		need:        int32(s.pastByte()),
		first:       int32(s.firstByte()),
		bit:         uint8(s.Start & 7),
		right:       uint8(64 - s.Length),
		bigEndian:   s.BigEndian,
		signed:      s.Signed && s.Kind == Integer,
		kind:        s.Kind,
		condition:   always,
		multiplexer: -1,
	}
	if f.bigEndian {
		f.bit = 7 - f.bit
	}
	return f
}

// Signals returns the signals that the plan decodes, in file order: those of
// the message but for any of 0 or more than 64 bits. The caller must not modify
// the slice.
func (p *Plan) Signals() []*Signal { return p.signals }

// State says what became of a signal in a frame.
type State uint8

const (
	// Present: there is a value.
	Present State = iota
	// Short: the frame is too short for the signal, or the signal does not fit
	// the message at all.
	Short
	// NotAvailable: the raw value is one that J1939 reserves for "not available"
	// or "error". Raw is set.
	NotAvailable
	// UnknownMultiplexor: there is a value; the signal is a multiplexer and no
	// other signal is defined for that value.
	UnknownMultiplexor
)

func (s State) String() string {
	switch s {
	case Present:
		return "present"
	case Short:
		return "short"
	case NotAvailable:
		return "not available"
	default:
		return "unknown multiplexor"
	}
}

// Value is a signal of one frame.
type Value struct {
	Signal *Signal
	// Raw is the raw value in the representation that Column describes.
	Raw int64
	// Physical is the physical value; unset if the state is Short or
	// NotAvailable.
	Physical float64
	State    State
}

// Decode appends the values of one frame to dst and returns it: one for each
// signal that the frame carries or should carry, in the order of Signals.
// Signals that a multiplexer does not select are left out, and so are those
// whose multiplexer is missing. Bytes beyond the length of the message do not
// count.
func (p *Plan) Decode(data []byte, dst []Value) []Value {
	data = data[:min(len(data), p.Message.Length)]
	for i := range p.fields {
		f := &p.fields[i]
		if !p.selected(f.condition, data) {
			continue
		}
		v := Value{Signal: p.signals[i]}
		if f.never || int(f.need) > len(data) {
			v.State = Short
			dst = append(dst, v)
			continue
		}
		v.Raw = f.extract(data)
		if f.missing.has(f.kind, v.Raw) {
			v.State = NotAvailable
			dst = append(dst, v)
			continue
		}
		v.Physical = v.Signal.Physical(v.Raw)
		if f.multiplexer >= 0 && !p.multiplexers[f.multiplexer].knows(f.selector(v.Raw)) {
			v.State = UnknownMultiplexor
		}
		dst = append(dst, v)
	}
	return dst
}

// extract returns the raw value of the field in a payload of at least need
// bytes.
func (f *field) extract(data []byte) int64 {
	var window [9]byte
	copy(window[:], data[f.first:])
	return f.convert(f.bits(&window))
}

// bits returns the field's bits, at the top of a word, of the 9 bytes that begin
// with its first one.
func (f *field) bits(window *[9]byte) uint64 {
	if f.bigEndian {
		return binary.BigEndian.Uint64(window[:])<<f.bit | uint64(window[8])>>(8-f.bit)
	}
	low := binary.LittleEndian.Uint64(window[:])>>f.bit | uint64(window[8])<<(64-f.bit)
	return low << f.right
}

// convert makes a raw value of bits at the top of a word.
func (f *field) convert(top uint64) int64 {
	switch {
	case f.kind != Integer:
		return widen(f.kind, top>>f.right)
	case f.signed:
		return int64(top) >> f.right
	default:
		return int64(top >> f.right)
	}
}

// widen gives the bits of an IEEE 754 number as those of the 64-bit number with
// the same value.
func widen(kind Kind, bits uint64) int64 {
	switch kind {
	case Float16:
		return int64(math.Float64bits(float16(uint16(bits))))
	case Float32:
		return int64(math.Float64bits(float64(math.Float32frombits(uint32(bits)))))
	default:
		return int64(bits)
	}
}

// float16 gives the value of an IEEE 754 binary16 number.
func float16(bits uint16) float64 {
	exponent, fraction := int(bits>>10&0x1F), float64(bits&0x3FF)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 0x1F:
		f = math.Inf(1)
		if fraction != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(1024+fraction, exponent-25)
	}
	if bits>>15 != 0 {
		f = -f
	}
	return f
}
