package main

import (
	"strconv"

	"milepost/can"
	"milepost/can/dbc"
)

// jsonPrinter writes an object a frame:
//
//	{"time":1533201287.000013,"bus":"can0","id":"2C1","message":"GAS_PEDAL","signals":{"GAS_PEDAL":0.25},"errors":[]}
//
// The message is null where no database knows the ID. Signals have only
// numbers; which ones are missing, and why, the errors say.
type jsonPrinter struct {
	values []dbc.Value
}

func (p *jsonPrinter) begin(bool, []string) {}

func (p *jsonPrinter) append(dst []byte, f *can.Frame, s *decodedStream) []byte {
	dst = appendSeconds(append(dst, `{"time":`...), f.Time)
	dst = append(append(dst, `,"bus":`...), s.jsonBus...)
	dst = append(dst, `,"id":"`...)
	dst = appendID(dst, f.ID, f.Is(can.Extended), f.Is(can.Error))
	switch {
	case f.Is(can.Error):
		dst = append(dst, `","message":null,"signals":{},"errors":["error frame: `...)
		return append(appendErrorFrame(dst, f), "\"]}\n"...)
	case f.Is(can.Remote):
		return append(dst, `","message":null,"signals":{},"errors":["remote request"]}`+"\n"...)
	case s.message == nil:
		return append(dst, `","message":null,"signals":{},"errors":[]}`+"\n"...)
	}
	dst = append(append(dst, `","message":`...), s.message.json...)
	return p.appendMessage(dst, f, s.message)
}

func (p *jsonPrinter) appendMessage(dst []byte, f *can.Frame, m *decodedMessage) []byte {
	p.values = m.plan.Decode(f.Payload(), p.values[:0])
	dst = append(dst, `,"signals":{`...)
	at, first, faults := -1, true, false
	for i := range p.values {
		v := &p.values[i]
		at = m.next(v, at)
		faults = faults || faultOf(v) != faultNone
		if !hasNumber(v) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, m.signals[at].json...), ':')
		dst = appendNumber(dst, v.Physical)
	}
	dst = append(dst, `},"errors":[`...)
	if faults {
		dst = p.appendFaults(dst, int(f.Len), m)
	}
	return append(dst, "]}\n"...)
}

// fault is what keeps a signal from being in order.
type fault uint8

const (
	faultNone fault = iota
	faultShort
	faultNotAvailable
	faultUnknownMultiplexor
	faultNotFinite
	faults // how many there are
)

func faultOf(v *dbc.Value) fault {
	switch {
	case v.State == dbc.Short:
		return faultShort
	case v.State == dbc.NotAvailable:
		return faultNotAvailable
	case !finite(v.Physical):
		return faultNotFinite
	case v.State == dbc.UnknownMultiplexor:
		return faultUnknownMultiplexor
	}
	return faultNone
}

// hasNumber says that a value is among the signals.
func hasNumber(v *dbc.Value) bool {
	f := faultOf(v)
	return f == faultNone || f == faultUnknownMultiplexor
}

// appendFaults writes a string for each kind of fault, with the names of the
// signals concerned.
func (p *jsonPrinter) appendFaults(dst []byte, length int, m *decodedMessage) []byte {
	start := len(dst)
	for kind := faultNone + 1; kind < faults; kind++ {
		at, first := -1, true
		for i := range p.values {
			v := &p.values[i]
			at = m.next(v, at)
			if faultOf(v) != kind {
				continue
			}
			switch {
			case !first:
				dst = append(dst, ", "...)
			case len(dst) > start:
				dst = appendFault(append(dst, `,"`...), kind, length, m.plan.Message.Length)
			default:
				dst = appendFault(append(dst, '"'), kind, length, m.plan.Message.Length)
			}
			first = false
			dst = append(dst, m.signals[at].name...)
			if kind == faultUnknownMultiplexor {
				dst = appendNumber(append(dst, '='), v.Physical)
			}
		}
		if !first {
			dst = append(dst, '"')
		}
	}
	return dst
}

// appendFault writes what is before the names of the signals.
func appendFault(dst []byte, kind fault, have, want int) []byte {
	switch kind {
	case faultShort:
		if have < want {
			return append(appendShort(dst, have, want), ", without "...)
		}
		dst = strconv.AppendInt(append(dst, "beyond the message's "...), int64(want), 10)
		return append(dst, " bytes: "...)
	case faultNotAvailable:
		return append(dst, "not available: "...)
	case faultUnknownMultiplexor:
		return append(dst, "unknown multiplexor value: "...)
	default:
		return append(dst, "not a finite number: "...)
	}
}
