package dbc

import (
	"fmt"

	"milepost/can"
)

const (
	// extendedFlag marks a 29-bit identifier in the file.
	extendedFlag = 1 << 31
	// unassigned is the pseudo message for signals that no message has.
	unassignedID   = 0xC0000000
	unassignedName = "VECTOR__INDEPENDENT_SIG_MSG"
	// noNode is the placeholder where no node is known.
	noNode = "Vector__XXX"
	// maxMessageBytes bounds message lengths. ISO 15765-2 and J1939-21 stay far
	// below; beyond it a number is a mistake.
	maxMessageBytes = 1 << 16
)

// identifier reads the number of a message.
func (p *parser) identifier() (key messageKey, raw uint32, at mark, err error) {
	at = p.here()
	id, err := p.integer("a message identifier")
	if err != nil {
		return key, 0, at, err
	}
	if id < 0 || id > 1<<32-1 {
		return key, 0, at, &syntaxError{at, fmt.Sprintf("the message identifier %d has more than 32 bits", id)}
	}
	raw = uint32(id)
	key = messageKey{id: raw &^ extendedFlag, extended: raw > can.MaxStandardID}
	return key, raw, at, nil
}

// messageDefinition reads: BO_ id name : length transmitter
func (p *parser) messageDefinition(at mark) error {
	key, raw, idAt, err := p.identifier()
	if err != nil {
		return err
	}
	name, err := p.word("the name of the message")
	if err != nil {
		return err
	}
	if !p.accept(':') {
		return p.expected("a colon")
	}
	lengthAt := p.here()
	length, err := p.integer("the length of the message")
	if err != nil {
		return err
	}
	if length < 0 || length > maxMessageBytes {
		return &syntaxError{lengthAt, fmt.Sprintf("a message cannot have %d bytes", length)}
	}
	transmitters := p.nodeNames()
	p.accept(';')

	p.orphans = true
	if raw == unassignedID || name == unassignedName {
		p.ignored[key] = true
		return nil
	}
	if key.id > can.MaxExtendedID {
		p.ignored[key] = true
		p.warn(idAt, "message %s: the identifier %d (0x%X) has more than 29 bits; the message is left out", name, raw, raw)
		return nil
	}
	if raw > can.MaxStandardID && raw&extendedFlag == 0 {
		p.warn(idAt, "message %s: the identifier %d (0x%X) has more than 11 bits and lacks the flag 0x80000000; it is taken as extended", name, raw, raw)
	}
	m := &Message{
		ID: key.id, Extended: key.extended, Name: name, Length: int(length),
		Transmitters: transmitters, Line: at.line,
	}
	p.db.Messages = append(p.db.Messages, m)
	p.messages[key] = append(p.messages[key], m)
	p.places[m] = at
	p.message, p.orphans = m, false
	return nil
}

// nodeNames reads names with commas or blanks between them, to the end of the
// line; a comma continues the list on the next one.
func (p *parser) nodeNames() []string {
	var names []string
	line := p.line
	for {
		if p.skip(); p.line != line {
			return names
		}
		name := p.name()
		if name == "" {
			return names
		}
		names = append(names, name)
		if p.accept(',') {
			p.skip()
			line = p.line
		}
	}
}

// transmitters reads: BO_TX_BU_ id : node,node;
func (p *parser) transmitters(at mark) error {
	key, _, _, err := p.identifier()
	if err != nil {
		return err
	}
	p.accept(':')
	names := p.nodeNames()
	if err := p.end(); err != nil {
		return err
	}
	p.deferred = append(p.deferred, func() {
		for _, m := range p.find(key, at, "the transmitters") {
			m.Transmitters = append(m.Transmitters, names...)
		}
	})
	return nil
}

// signalReference reads the identifier of a message and the name of a signal.
func (p *parser) signalReference() (key messageKey, name string, err error) {
	if key, _, _, err = p.identifier(); err == nil {
		name, err = p.word("the name of a signal")
	}
	return key, name, err
}

// find returns the messages with the identifier and reports if there is none.
func (p *parser) find(key messageKey, at mark, what string) []*Message {
	found := p.messages[key]
	if len(found) == 0 && !p.ignored[key] {
		p.warn(at, "%s of an unknown message, %s", what, key)
	}
	return found
}

// findSignals returns the signals of a name in the messages with the
// identifier and reports if there is none.
func (p *parser) findSignals(key messageKey, name string, at mark, what string) []*Signal {
	found := p.signals[signalKey{key, name}]
	if len(found) == 0 && len(p.find(key, at, what)) > 0 {
		p.warn(at, "%s of an unknown signal, %s of message %s", what, name, p.messages[key][0].Name)
	}
	return found
}
