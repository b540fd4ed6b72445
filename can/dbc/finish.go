package dbc

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// finish applies the statements that refer to others, derives what follows from
// attributes, and checks the whole.
func (p *parser) finish() {
	p.index()
	for _, apply := range p.deferred {
		apply()
	}
	p.db.Comment = strings.Join(p.comments, "")
	p.applyMultiplexing()
	p.applyLongNames()
	p.applyAttributes()
	p.lint()

	sortProblems(p.db.problems)
	if p.unlisted > 0 {
		last := mark{line: p.line, pos: p.pos, lineStart: p.lineStart}
		p.db.problems = append(p.db.problems, Problem{
			File: p.db.Name, Line: last.line, Column: p.column(last),
			Message: fmt.Sprintf("%d more problems, not listed", p.unlisted),
		})
	}
}

// index prepares what deferred statements look up.
func (p *parser) index() {
	p.signals = make(map[signalKey][]*Signal)
	p.nodes = make(map[string]*Node)
	p.attributes = make(map[attributeKey]int)
	for key, messages := range p.messages {
		for _, m := range messages {
			for _, s := range m.Signals {
				k := signalKey{key, s.Name}
				p.signals[k] = append(p.signals[k], s)
			}
		}
	}
	for _, node := range p.db.Nodes {
		if first := p.nodes[node.Name]; first != nil {
			p.warn(p.places[node], "node %s is already defined in line %d", node.Name, first.Line)
			continue
		}
		p.nodes[node.Name] = node
	}
}

// applyLongNames replaces names that the format limits to 32 characters by the
// long ones that Vector's tools keep in attributes.
func (p *parser) applyLongNames() {
	nodes := make(map[string]string)
	for _, node := range p.db.Nodes {
		if a, ok := node.Attributes.Get("SystemNodeLongSymbol"); ok && a.Text != "" {
			nodes[node.Name] = a.Text
			node.Name = a.Text
		}
	}
	// names gives every node once and leaves out the placeholder.
	names := func(short []string) []string {
		var long []string
		seen := make(map[string]bool, len(short))
		for _, name := range short {
			if n, ok := nodes[name]; ok {
				name = n
			}
			if !isNoNode(name) && !seen[name] {
				seen[name] = true
				long = append(long, name)
			}
		}
		return long
	}
	for _, m := range p.db.Messages {
		if a, ok := m.Attributes.Get("SystemMessageLongSymbol"); ok && a.Text != "" {
			m.Name = a.Text
		}
		m.Transmitters = names(m.Transmitters)
		for _, s := range m.Signals {
			if a, ok := s.Attributes.Get("SystemSignalLongSymbol"); ok && a.Text != "" {
				s.Name = a.Text
			}
			s.Receivers = names(s.Receivers)
		}
	}
}

// applyAttributes sets the fields that come from attributes.
func (p *parser) applyAttributes() {
	// get returns an object's attribute or its default.
	get := func(own Attributes, name string) (a Attribute, explicit bool) {
		if a, ok := own.Get(name); ok {
			return a, true
		}
		if d := p.definitions[name]; d != nil && d.Default != nil {
			return *d.Default, false
		}
		return Attribute{}, false
	}
	protocol, _ := get(p.db.Attributes, "ProtocolType")
	for _, m := range p.db.Messages {
		cycle, _ := get(m.Attributes, "GenMsgCycleTime")
		if cycle.Number > 0 && cycle.Number <= float64(24*time.Hour/time.Millisecond) {
			m.CycleTime = time.Duration(cycle.Number * float64(time.Millisecond))
		}
		format, explicit := get(m.Attributes, "VFrameFormat")
		text := format.Text
		if d := p.definitions["VFrameFormat"]; format.Numeric && (d == nil || d.Type != AttributeEnum) {
			text = frameFormats[int(format.Number)]
		}
		m.FD = strings.HasSuffix(text, "CAN_FD")
		// A parameter group is one by its own frame format, by the default one,
		// or because the database is for J1939 and the message does not say
		// otherwise.
		m.J1939 = text == "J1939PG" ||
			!explicit && m.Extended && strings.HasPrefix(protocol.Text, "J1939")
		for _, s := range m.Signals {
			if spn, _ := get(s.Attributes, "SPN"); spn.Number > 0 && spn.Number < 1<<19 {
				s.SPN = int(spn.Number)
			}
		}
	}
}

// nullAddress reports whether all extended identifiers of the database end in
// the J1939 null address 0xFE, from which nothing is ever sent (J1939-81):
// tools write it where they mean "from any address".
func (db *Database) nullAddress() bool {
	extended := func(m *Message) bool { return m.Extended }
	return slices.ContainsFunc(db.Messages, extended) &&
		!slices.ContainsFunc(db.Messages, func(m *Message) bool { return m.Extended && m.ID&0xFF != 0xFE })
}
