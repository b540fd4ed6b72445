package dbc

import (
	"fmt"
	"math"
	"math/bits"
)

// lint reports what is wrong with the model as a whole.
func (p *parser) lint() {
	names := make(map[string]*Message)
	for _, m := range p.db.Messages {
		at := p.places[m]
		if first := names[m.Name]; first != nil {
			p.warn(at, "message %s has the name of the one in line %d", m.Name, first.Line)
		} else {
			names[m.Name] = m
		}
		key := messageKey{m.ID, m.Extended}
		if same := p.messages[key]; len(same) > 1 && same[0] != m {
			p.warn(at, "message %s has the identifier %s of %s in line %d; the last one is used", m.Name, key, same[0].Name, same[0].Line)
		}
		if !isIdentifier(m.Name) {
			p.warn(at, "message %q: the name is not a C identifier", m.Name)
		}
		if m.J1939 && !m.Extended {
			p.warn(at, "message %s is a J1939 parameter group and has an 11-bit identifier", m.Name)
		}
		if m.FD && m.Length > 64 {
			p.warn(at, "message %s has %d bytes, a CAN FD frame at most 64", m.Name, m.Length)
		}
		p.lintSignals(m)
		p.lintOverlaps(m)
	}
}

func (p *parser) lintSignals(m *Message) {
	names := make(map[string]*Signal, len(m.Signals))
	for _, s := range m.Signals {
		at := p.places[s]
		warn := func(format string, args ...any) {
			p.warn(at, "signal %s of message %s %s", s.Name, m.Name, fmt.Sprintf(format, args...))
		}
		if first := names[s.Name]; first != nil {
			warn("has the name of the one in line %d", first.Line)
		} else {
			names[s.Name] = s
		}
		if !isIdentifier(s.Name) {
			p.warn(at, "signal %q of message %s: the name is not a C identifier", s.Name, m.Name)
		}
		switch {
		case !s.decodable():
			warn("has %d bits; only 1 to 64 can be decoded", s.Length)
		case s.pastByte() > m.Length:
			warn("does not fit: it ends in byte %d of %d; it is never decoded", s.pastByte(), m.Length)
		}
		switch {
		case s.Factor == 0:
			warn("has the factor 0: all its values are %v", s.Offset)
		case math.IsInf(s.Factor, 0) || math.IsNaN(s.Factor) || math.IsInf(s.Offset, 0) || math.IsNaN(s.Offset):
			warn("has a factor or an offset that is not finite: (%v,%v)", s.Factor, s.Offset)
		}
		if s.Min > s.Max {
			warn("has a minimum above its maximum: [%v|%v]", s.Min, s.Max)
		}
	}
}

// maxOverlapChecks bounds the work of comparing the signals of one message in
// pairs, with their multiplexer ranges. The largest multiplexed messages of the
// field need some ten thousand steps.
const maxOverlapChecks = 1 << 20

// lintOverlaps reports pairs of signals that share bits, each signal once at
// most. Signals that never are in one frame may.
func (p *parser) lintOverlaps(m *Message) {
	type byteUse struct {
		signal *Signal
		mask   uint8
	}
	uses := make(map[int][]byteUse)
	checks := 0
	for _, s := range m.Signals {
		if !s.decodable() || s.pastByte() > m.Length {
			continue
		}
		reported := false
		for b := s.firstByte(); b < s.pastByte(); b++ {
			mask := s.maskOf(b)
			for _, use := range uses[b] {
				checks += 1 + len(use.signal.MultiplexerRanges) + len(s.MultiplexerRanges)
				if checks > maxOverlapChecks {
					return
				}
				if !reported && use.mask&mask != 0 && !exclusive(use.signal, s) {
					p.warn(p.places[s], "signals %s and %s of message %s overlap in byte %d", s.Name, use.signal.Name, m.Name, b)
					reported = true
				}
			}
			uses[b] = append(uses[b], byteUse{s, mask})
		}
	}
}

// maskOf returns the bits of the signal in one byte.
func (s *Signal) maskOf(b int) uint8 {
	if !s.BigEndian {
		first, past := max(s.Start-8*b, 0), min(s.Start+s.Length-8*b, 8)
		return uint8(1<<past - 1<<first)
	}
	start := s.networkBit()
	first, past := max(start-8*b, 0), min(start+s.Length-8*b, 8)
	return bits.Reverse8(uint8(1<<past - 1<<first))
}

// exclusive reports whether no frame carries both signals: a multiplexer that
// both depend on selects them, or what they hang on, by different values.
func exclusive(a, b *Signal) bool {
	const deep = 16 // chains in the field have up to 3 links
	for i := 0; a.Multiplexer != nil && i < deep; a, i = a.Multiplexer, i+1 {
		for c, j := b, 0; c.Multiplexer != nil && j < deep; c, j = c.Multiplexer, j+1 {
			if a.Multiplexer == c.Multiplexer && disjoint(a.MultiplexerRanges, c.MultiplexerRanges) {
				return true
			}
		}
	}
	return false
}

func disjoint(a, b []Range) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Last < b[0].First:
			a = a[1:]
		case b[0].Last < a[0].First:
			b = b[1:]
		default:
			return false
		}
	}
	return true
}

func isIdentifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
