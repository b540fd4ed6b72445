package dbc

import (
	"fmt"
	"strconv"
	"strings"
)

// marker is what a signal's definition says about multiplexing: M, m5, m5M. A
// bare m, as in opendbc's vw_pq.dbc, is an M or nothing: that depends on the
// others of the message.
type marker struct {
	multiplexer bool
	multiplexed bool
	value       int64
	bare        bool
}

func parseMarker(text string) (m marker, ok bool) {
	if text == "m" {
		return marker{bare: true}, true
	}
	number, found := strings.CutPrefix(text, "m")
	if !found {
		return marker{multiplexer: true}, text == "M"
	}
	number, m.multiplexer = strings.CutSuffix(number, "M")
	value, err := strconv.ParseUint(number, 10, 63)
	m.multiplexed, m.value = true, int64(value)
	return m, err == nil
}

// signalDefinition reads:
// SG_ name [marker] : start|length@order sign (factor,offset) [min|max] "unit" receivers
func (p *parser) signalDefinition(at mark) error {
	s := &Signal{Factor: 1, Line: at.line}
	var err error
	if s.Name, err = p.word("the name of the signal"); err != nil {
		return err
	}
	var multiplexing marker
	if p.peek() != ':' {
		markerAt := p.here()
		text, err := p.word("a colon")
		if err != nil {
			return err
		}
		var ok bool
		if multiplexing, ok = parseMarker(text); !ok {
			return &syntaxError{markerAt, fmt.Sprintf("expected a multiplexing marker (M, m0, m0M) or a colon, found %q", text)}
		}
	}
	if !p.accept(':') {
		return p.expected("a colon")
	}
	if err := p.layout(s); err != nil {
		return err
	}
	if err := p.conversion(s); err != nil {
		return err
	}
	s.Receivers = p.nodeNames()
	p.accept(';')

	if p.message == nil {
		if p.orphans {
			return nil
		}
		return &syntaxError{at, fmt.Sprintf("signal %s belongs to no message", s.Name)}
	}
	p.message.Signals = append(p.message.Signals, s)
	p.markers[s] = multiplexing
	p.places[s] = at
	return nil
}

// layout reads: start|length@order sign
func (p *parser) layout(s *Signal) error {
	// Enough for every message; keeps the arithmetic far from overflow.
	const maxBit = 8 * maxMessageBytes
	bits := func(what string) (int, error) {
		at := p.here()
		n, err := p.integer(what)
		if err == nil && (n < 0 || n > maxBit) {
			err = &syntaxError{at, fmt.Sprintf("expected %s, found %d", what, n)}
		}
		return int(n), err
	}
	var err error
	if s.Start, err = bits("the start bit"); err != nil {
		return err
	}
	if !p.accept('|') {
		return p.expected("|")
	}
	if s.Length, err = bits("the length in bits"); err != nil {
		return err
	}
	if !p.accept('@') {
		return p.expected("@")
	}
	switch p.peek() {
	case '0':
		s.BigEndian = true
	case '1':
	default:
		return p.expected("the byte order, 0 or 1")
	}
	p.pos++
	at := p.here()
	switch p.peek() {
	case '-':
		s.Signed = true
		p.pos++
	case '+':
		p.pos++
	default:
		p.warn(at, "signal %s: expected + or - behind the byte order; taken as unsigned", s.Name)
	}
	return nil
}

// conversion reads: (factor,offset) [min|max] "unit"
func (p *parser) conversion(s *Signal) error {
	at := p.here()
	if p.accept('(') {
		if err := p.factorAndOffset(s, at); err != nil {
			return err
		}
	} else {
		p.warn(at, "signal %s has no (factor,offset); taken as (1,0)", s.Name)
	}
	at = p.here()
	if p.accept('[') {
		var err error
		if s.Min, err = p.float("the minimum"); err != nil {
			return err
		}
		if !p.accept('|') {
			return p.expected("|")
		}
		if s.Max, err = p.float("the maximum"); err != nil {
			return err
		}
		if !p.accept(']') {
			return p.expected("]")
		}
	} else {
		p.warn(at, "signal %s has no [minimum|maximum]", s.Name)
	}
	if p.peek() != '"' {
		p.warn(p.here(), "signal %s has no unit in quotes", s.Name)
		return nil
	}
	var err error
	s.Unit, err = p.string("a unit in quotes")
	return err
}

// factorAndOffset reads the rest of (factor,offset). With decimal commas there
// are three or four numbers: (0,125,0) is 0.125 and 0.
func (p *parser) factorAndOffset(s *Signal, at mark) error {
	var pieces []string
	for {
		piece := p.number()
		if piece == "" {
			return p.expected("a number")
		}
		pieces = append(pieces, piece)
		if p.accept(')') {
			break
		}
		if len(pieces) == 4 || !p.accept(',') && !p.accept(';') {
			return p.expected("a comma or )")
		}
	}
	join := func(i int) bool {
		if i+1 >= len(pieces) || strings.Trim(pieces[i+1], "0123456789") != "" || strings.Trim(pieces[i], "+-0123456789") != "" {
			return false
		}
		pieces[i] += "." + pieces[i+1]
		pieces = append(pieces[:i+1], pieces[i+2:]...)
		return true
	}
	commas := false
	if len(pieces) > 2 {
		commas = join(0)
	}
	if len(pieces) > 2 {
		commas = join(1) || commas
	}
	if len(pieces) != 2 {
		return &syntaxError{at, fmt.Sprintf("expected (factor,offset), found %d numbers", len(pieces))}
	}
	if commas {
		p.warn(at, "signal %s: decimal comma: read as (%s,%s)", s.Name, pieces[0], pieces[1])
	}
	var err error
	if s.Factor, err = p.value(at, pieces[0], "the factor"); err != nil {
		return err
	}
	s.Offset, err = p.value(at, pieces[1], "the offset")
	return err
}

// signalType reads: SIG_VALTYPE_ id signal : type;
func (p *parser) signalType(at mark) error {
	key, name, err := p.signalReference()
	if err != nil {
		return err
	}
	p.accept(':')
	typeAt := p.here()
	valueType, err := p.integer("a value type: 0, 1 (32-bit float) or 2 (64-bit float)")
	if err != nil {
		return err
	}
	if err := p.end(); err != nil {
		return err
	}
	p.deferred = append(p.deferred, func() {
		for _, s := range p.findSignals(key, name, at, "the value type") {
			p.setKind(s, valueType, typeAt)
		}
	})
	return nil
}

// setKind applies a value type. As in cantools, the length decides between the
// float formats: many files have type 1 on 64-bit signals.
func (p *parser) setKind(s *Signal, valueType int64, at mark) {
	declared := map[int64]int{1: 32, 2: 64}[valueType]
	switch {
	case valueType == 0:
		s.Kind = Integer
		return
	case declared == 0:
		p.warn(at, "signal %s: unknown value type %d; taken as an integer", s.Name, valueType)
		return
	}
	switch s.Length {
	case 16:
		s.Kind = Float16
	case 32:
		s.Kind = Float32
	case 64:
		s.Kind = Float64
	default:
		p.warn(at, "signal %s is declared a %d-bit float and has %d bits; taken as an integer", s.Name, declared, s.Length)
		return
	}
	if s.Length != declared {
		p.warn(at, "signal %s is declared a %d-bit float and has %d bits; taken as a %d-bit float", s.Name, declared, s.Length, s.Length)
	}
}
