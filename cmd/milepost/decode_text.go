package main

import (
	"strconv"
	"unicode"
	"unicode/utf8"

	"milepost/can"
	"milepost/can/dbc"
)

// textPrinter writes a line a frame as candump does, with what it means behind:
//
//	(1533201287.000013)  can0  2C1   [8]  00 14 DF 14 BB CA 3A 91 :: GAS_PEDAL(GAS_PEDAL: 0.25 %)
//
// What is before the :: canlog and other readers of candump text understand.
type textPrinter struct {
	busWidth int
	// indent says that there have been IDs of 8 digits: candump aligns the
	// others with them from then on.
	indent bool
	// timed says that the log has times.
	timed  bool
	values []dbc.Value
}

func (p *textPrinter) begin(timed bool, buses []string) {
	p.timed = timed
	for _, bus := range buses {
		p.busWidth = max(p.busWidth, len(bus))
	}
}

func (p *textPrinter) append(dst []byte, f *can.Frame, s *decodedStream) []byte {
	dst = append(dst, ' ')
	if p.timed {
		dst = append(appendStamp(append(dst, '('), f.Time), ") "...)
	}
	dst = appendSpaces(append(dst, ' '), p.busWidth-len(s.bus))
	dst = append(append(dst, s.bus...), "  "...)
	wide := f.Flags&(can.Extended|can.Error) != 0
	p.indent = p.indent || f.Is(can.Extended)
	if p.indent && !wide {
		dst = appendSpaces(dst, 5)
	}
	dst = appendID(dst, f.ID, wide, f.Is(can.Error))
	dst = appendLength(dst, f)
	if f.Is(can.Remote) {
		return append(dst, "remote request\n"...)
	}

	const columns = 8 * len("00 ")
	start := len(dst)
	for _, b := range f.Payload() {
		dst = append(dst, upperHex[b>>4], upperHex[b&15], ' ')
	}
	if f.Is(can.Error) {
		dst = append(appendSpaces(dst, start+columns-len(dst)), "  ERRORFRAME :: "...)
		return append(appendErrorFrame(dst, f), '\n')
	}
	if s.message == nil {
		for dst[len(dst)-1] == ' ' {
			dst = dst[:len(dst)-1]
		}
		return append(dst, '\n')
	}
	dst = appendSpaces(dst, start+columns-len(dst))
	return p.appendMessage(dst[:len(dst)-1], f, s.message)
}

// appendLength writes the length as candump does: classical CAN, CAN FD, and a
// raw DLC beyond 8 (candump -8).
func appendLength(dst []byte, f *can.Frame) []byte {
	switch {
	case f.RawDLC != 0:
		return append(dst, ' ', ' ', ' ', '{', upperHex[f.RawDLC&15], '}', ' ', ' ')
	case f.Is(can.FD):
		return append(dst, ' ', ' ', '[', '0'+f.Len/10, '0'+f.Len%10, ']', ' ', ' ')
	}
	return append(dst, ' ', ' ', ' ', '[', '0'+f.Len, ']', ' ', ' ')
}

func (p *textPrinter) appendMessage(dst []byte, f *can.Frame, m *decodedMessage) []byte {
	p.values = m.plan.Decode(f.Payload(), p.values[:0])
	dst = append(dst, m.text...)
	at, short := -1, false
	for i := range p.values {
		v := &p.values[i]
		at = m.next(v, at)
		if i > 0 {
			dst = append(dst, ", "...)
		}
		signal := &m.signals[at]
		dst = append(dst, signal.text...)
		switch v.State {
		case dbc.Short:
			dst = append(dst, "missing"...)
			short = true
			continue
		case dbc.NotAvailable:
			dst = append(dst, "not available"...)
		default:
			dst = append(appendNumber(dst, v.Physical), signal.unit...)
		}
		if text, ok := v.Signal.Describe(v.Raw); ok && v.Signal.Kind == dbc.Integer {
			dst = appendEnum(dst, text)
		}
		if v.State == dbc.UnknownMultiplexor {
			dst = append(dst, " (unknown multiplexor value)"...)
		}
	}
	if have, want := int(f.Len), m.plan.Message.Length; short && have < want {
		dst = appendShort(append(dst, "; "...), have, want)
	}
	return append(dst, ")\n"...)
}

// appendShort says that a frame is shorter than its message.
func appendShort(dst []byte, have, want int) []byte {
	dst = strconv.AppendInt(append(dst, "short frame: "...), int64(have), 10)
	dst = strconv.AppendInt(append(dst, " of "...), int64(want), 10)
	return append(dst, " bytes"...)
}

// appendEnum writes the text of a raw value in quotes, without what terminals
// take for commands.
func appendEnum(dst []byte, text string) []byte {
	dst = append(dst, " '"...)
	for _, r := range text {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		dst = utf8.AppendRune(dst, r)
	}
	return append(dst, '\'')
}

func appendSpaces(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, ' ')
	}
	return dst
}
