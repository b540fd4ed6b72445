package dbc

import (
	"math"
	"slices"
	"sort"
)

// multiplexerRanges is an SG_MUL_VAL_ statement.
type multiplexerRanges struct {
	at          mark
	key         messageKey
	signal      string
	multiplexer string
	ranges      []Range
}

// multiplexerValues reads: SG_MUL_VAL_ id signal multiplexer first-last, first-last;
func (p *parser) multiplexerValues(at mark) error {
	key, name, err := p.signalReference()
	if err != nil {
		return err
	}
	multiplexer, err := p.word("the name of a multiplexer signal")
	if err != nil {
		return err
	}
	m := multiplexerRanges{at: at, key: key, signal: name, multiplexer: multiplexer}
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		first, err := p.integer("a multiplexer value")
		if err != nil {
			return err
		}
		last := first
		if p.accept('-') {
			if last, err = p.integer("a multiplexer value"); err != nil {
				return err
			}
		}
		if first <= last {
			m.ranges = append(m.ranges, Range{first, last})
		} else {
			p.warn(at, "signal %s: the multiplexer range %d-%d is empty", name, first, last)
		}
		p.accept(',')
	}
	p.ranges = append(p.ranges, m)
	return p.end()
}

// applyMultiplexing finds each signal's multiplexer and the values that select
// it. The markers of the signals and the SG_MUL_VAL_ statements say it twice,
// and not always the same; the rules are those of cantools:
//
//   - A message with one signal marked as multiplexer (M or m0M) has that one.
//     A signal marked m5 is selected by 5, and by what SG_MUL_VAL_ adds.
//   - A message with several has extended multiplexing: SG_MUL_VAL_ alone
//     counts. A marked signal without such a statement is in every frame.
//   - A signal without a marker is in every frame.
//
// To cantools a bare m is no marker. Here it makes a multiplexer where a message
// has signals to select and nothing else that could.
//
// What selects is the raw value of the multiplexer. (cantools compares the
// physical one; they differ only where a multiplexer has a factor or an offset.)
func (p *parser) applyMultiplexing() {
	statements := make(map[signalKey]multiplexerRanges)
	for _, m := range p.ranges {
		if len(p.findSignals(m.key, m.signal, m.at, "multiplexer values")) > 0 {
			statements[signalKey{m.key, m.signal}] = m // the last one counts
		}
	}
	for _, m := range p.db.Messages {
		p.multiplex(m, statements)
	}
}

func (p *parser) multiplex(m *Message, statements map[signalKey]multiplexerRanges) {
	key := messageKey{m.ID, m.Extended}
	var multiplexers, plain []*Signal
	byName := make(map[string]*Signal, len(m.Signals))
	p.readBareMarkers(m)
	for _, s := range m.Signals {
		if byName[s.Name] == nil {
			byName[s.Name] = s
		}
		if mark := p.markers[s]; mark.multiplexer {
			s.IsMultiplexer = true
			multiplexers = append(multiplexers, s)
			if !mark.multiplexed {
				plain = append(plain, s)
			}
		}
	}
	for _, s := range plain[min(1, len(plain)):] {
		p.warn(p.places[s], "message %s has several multiplexers without a condition: %s and %s", m.Name, plain[0].Name, s.Name)
	}
	var single *Signal
	if len(multiplexers) == 1 {
		single = multiplexers[0]
	}
	for _, s := range m.Signals {
		marked := p.markers[s]
		said, isSaid := statements[signalKey{key, s.Name}]
		if !marked.multiplexed && !marked.multiplexer {
			if isSaid {
				p.warn(said.at, "multiplexer values for signal %s, which has no multiplexing marker; it is taken to be in every frame", s.Name)
			}
			continue
		}
		if s == single {
			if marked.multiplexed {
				p.warn(p.places[s], "signal %s is multiplexed, but message %s has no other multiplexer; it is taken to be in every frame", s.Name, m.Name)
			}
			continue
		}
		var ranges []Range
		if single != nil {
			s.Multiplexer = single
			ranges = append(ranges, Range{marked.value, marked.value})
			switch {
			case isSaid && byName[said.multiplexer] == single:
				ranges = append(ranges, said.ranges...)
			case isSaid:
				p.warn(said.at, "signal %s: %s is not the multiplexer of message %s", s.Name, said.multiplexer, m.Name)
			}
		} else if isSaid {
			s.Multiplexer = byName[said.multiplexer]
			ranges = said.ranges
			switch {
			case s.Multiplexer == nil:
				p.warn(said.at, "signal %s: message %s has no multiplexer %s; the signal is taken to be in every frame", s.Name, m.Name, said.multiplexer)
				continue
			case !s.Multiplexer.IsMultiplexer:
				p.warn(said.at, "signal %s: its multiplexer %s is not marked as one", s.Name, said.multiplexer)
				s.Multiplexer.IsMultiplexer = true
			}
		} else {
			if marked.multiplexed {
				p.warn(p.places[s], "signal %s is multiplexed and has no multiplexer; it is taken to be in every frame", s.Name)
			}
			continue
		}
		s.MultiplexerRanges = mergeRanges(ranges)
	}
	p.breakCycles(m)
}

// readBareMarkers decides what a bare m of a message means.
func (p *parser) readBareMarkers(m *Message) {
	var bare []*Signal
	multiplexer, multiplexed := false, false
	for _, s := range m.Signals {
		mark := p.markers[s]
		multiplexer = multiplexer || mark.multiplexer
		multiplexed = multiplexed || mark.multiplexed
		if mark.bare {
			bare = append(bare, s)
		}
	}
	for _, s := range bare {
		if len(bare) == 1 && multiplexed && !multiplexer {
			p.markers[s] = marker{multiplexer: true}
			p.warn(p.places[s], "signal %s is marked m without a number; it is taken for the multiplexer (M) of message %s, which has no other", s.Name, m.Name)
			continue
		}
		p.markers[s] = marker{}
		p.warn(p.places[s], "signal %s is marked m without a number; it is taken to be in every frame", s.Name)
	}
}

// breakCycles frees signals that select themselves through others.
func (p *parser) breakCycles(m *Message) {
	const (
		unseen = iota
		onPath
		done
	)
	state := make(map[*Signal]int)
	for _, s := range m.Signals {
		var path []*Signal
		for at := s; at != nil && state[at] != done; at = at.Multiplexer {
			if state[at] == onPath {
				p.warn(p.places[at], "signal %s selects itself; it is taken to be in every frame", at.Name)
				at.Multiplexer, at.MultiplexerRanges = nil, nil
				break
			}
			state[at] = onPath
			path = append(path, at)
		}
		for _, at := range path {
			state[at] = done
		}
	}
}

// mergeRanges sorts ranges and joins what overlaps or touches.
func mergeRanges(ranges []Range) []Range {
	ranges = slices.Clone(ranges)
	sort.Slice(ranges, func(i, j int) bool { return ranges[i].First < ranges[j].First })
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && (merged[n-1].Last == math.MaxInt64 || r.First <= merged[n-1].Last+1) {
			merged[n-1].Last = max(merged[n-1].Last, r.Last)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}
