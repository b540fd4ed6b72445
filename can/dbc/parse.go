package dbc

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of what Parse reads, so that a file that is no database cannot eat the
// memory. Databases of whole vehicles have some megabytes and some ten thousand
// statements.
const (
	maxFileBytes  = 64 << 20
	maxStatements = 1 << 20
)

// Parse reads a DBC file. The name is used in problems and errors.
//
// It reads what it can: whatever is wrong with a statement becomes a [Problem],
// and reading goes on at the next line that begins with a keyword. The error is
// for files of which nothing is left.
func Parse(name string, data []byte) (*Database, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: the file is empty", name)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s: %d bytes are more than the %d that a DBC file may have; is it another format?", name, len(data), maxFileBytes)
	}
	p := parser{
		scanner:  newScanner(decodeText(data)),
		db:       &Database{Name: name},
		messages: make(map[messageKey][]*Message),
		ignored:  make(map[messageKey]bool),
		markers:  make(map[*Signal]marker),
		places:   make(map[any]mark),

		definitions: make(map[string]*AttributeDefinition),
	}
	p.file()
	if p.understood == 0 {
		found := "nothing but blanks"
		if len(p.db.problems) > 0 {
			first := p.db.problems[0]
			found = fmt.Sprintf("line %d, column %d: %s", first.Line, first.Column, first.Message)
		}
		return nil, fmt.Errorf("%s: not a DBC file: no statement (VERSION, BU_:, BO_, …) can be read (%s); other formats (ARXML, KCD, SYM) must be converted first", name, found)
	}
	p.finish()
	return p.db, nil
}

// parser is the state of one Parse.
type parser struct {
	scanner
	db *Database
	// understood counts the statements that were read.
	understood int
	// unlisted counts the problems beyond maxProblems.
	unlisted int

	// message is the one that SG_ statements belong to, nil before the first
	// and behind one that was left out.
	message *Message
	// messages holds the messages by identifier; duplicates are possible.
	// ignored are those that were left out, and reported if need be.
	messages map[messageKey][]*Message
	ignored  map[messageKey]bool
	// orphans is set behind a BO_ statement that was left out: its signals are
	// not reported one by one.
	orphans bool

	// deferred are the statements that refer to others, to be applied once all
	// have been read: the order in the file does not matter.
	deferred []func()
	// signals, nodes and attributes index what deferred statements refer to.
	signals    map[signalKey][]*Signal
	nodes      map[string]*Node
	attributes map[attributeKey]int
	// comments are those of the database.
	comments []string
	// definitions holds the last definition of each attribute.
	definitions map[string]*AttributeDefinition
	// markers, ranges and places are what finish needs of the signals and the
	// model does not show.
	markers map[*Signal]marker
	places  map[any]mark
	ranges  []multiplexerRanges
}

// messageKey identifies a message.
type messageKey struct {
	id       uint32
	extended bool
}

func (k messageKey) String() string {
	if k.extended {
		return fmt.Sprintf("0x%08X", k.id)
	}
	return fmt.Sprintf("0x%03X", k.id)
}

type signalKey struct {
	messageKey
	name string
}

// attributeKey identifies a value: one attribute of one object.
type attributeKey struct {
	object any
	name   string
}

// warn records a problem.
func (p *parser) warn(at mark, format string, args ...any) {
	if len(p.db.problems) >= maxProblems {
		p.unlisted++
		return
	}
	p.db.problems = append(p.db.problems, Problem{
		File: p.db.Name, Line: at.line, Column: p.column(at), Message: fmt.Sprintf(format, args...),
	})
}

// syntaxError ends a statement.
type syntaxError struct {
	at      mark
	message string
}

func (e *syntaxError) Error() string { return e.message }

// expected is the error where something else was found.
func (p *parser) expected(what string) error {
	at := p.here()
	found := "the end of the statement"
	if !p.barrier() {
		found = p.text[p.pos:]
		if i := strings.IndexAny(found, " \t\n"); i >= 0 {
			found = found[:i]
		}
		const long = 32
		if len(found) > long {
			found = strings.ToValidUTF8(found[:long], "") + "…"
		}
		found = fmt.Sprintf("%q", found)
	}
	return &syntaxError{at, fmt.Sprintf("expected %s, found %s", what, found)}
}

// file reads the statements.
func (p *parser) file() {
	for statements := 0; ; statements++ {
		p.skip()
		if p.pos >= len(p.text) {
			return
		}
		if statements == maxStatements {
			p.warn(p.here(), "more than %d statements; the rest of the file is left out", maxStatements)
			return
		}
		if p.text[p.pos] == ';' { // one too many, harmless
			p.pos++
			continue
		}
		at := mark{p.pos, p.line, p.lineStart}
		keyword := p.keyword()
		if keyword == "" {
			err := p.expected("a statement")
			p.warn(at, "%s: skipped up to the next statement", err)
			p.resync()
			continue
		}
		p.pos += len(keyword)
		if keyword == "BO_" {
			p.message, p.orphans = nil, false
		}
		if err := p.statement(keyword, at); err != nil {
			var syntax *syntaxError
			if errors.As(err, &syntax) {
				at = syntax.at
			}
			p.warn(at, "%s: %s; the statement is left out", keyword, err)
			p.resync()
			if keyword == "BO_" {
				p.orphans = true
			}
			continue
		}
		p.understood++
	}
}

// statement reads what follows a keyword.
func (p *parser) statement(keyword string, at mark) error {
	switch keyword {
	case "VERSION":
		text, err := p.string("the version in quotes")
		p.db.Version = text
		return err
	case "NS_":
		return p.newSymbols()
	case "BS_":
		return p.bitTiming()
	case "BU_":
		return p.nodeList()
	case "BO_":
		return p.messageDefinition(at)
	case "SG_":
		return p.signalDefinition(at)
	case "BO_TX_BU_":
		return p.transmitters(at)
	case "VAL_TABLE_":
		return p.valueTable(at)
	case "VAL_":
		return p.values(at)
	case "CM_":
		return p.comment(at)
	case "SIG_VALTYPE_":
		return p.signalType(at)
	case "SG_MUL_VAL_":
		return p.multiplexerValues(at)
	case "BA_DEF_":
		return p.attributeDefinition(at)
	case "BA_DEF_DEF_":
		return p.attributeDefault(at)
	case "BA_":
		return p.attribute(at)
	default:
		// Environment variables, signal groups and types, relations: nothing
		// that decoding needs.
		return p.pass()
	}
}

// pass reads a statement that does not matter here, up to its semicolon.
func (p *parser) pass() error {
	for !p.barrier() {
		switch p.text[p.pos] {
		case ';':
			p.pos++
			return nil
		case '"':
			if _, err := p.string(""); err != nil {
				return err
			}
		default:
			p.pos++
		}
	}
	return nil
}

// end reads the semicolon of a statement. A missing one is no loss.
func (p *parser) end() error {
	if p.accept(';') {
		return nil
	}
	if p.barrier() || p.keyword() != "" {
		p.warn(p.ended, "missing semicolon")
		return nil
	}
	return p.expected("a semicolon")
}

// string reads a string.
func (p *parser) string(what string) (string, error) {
	if p.peek() != '"' {
		return "", p.expected(what)
	}
	at := p.here()
	text, closed := p.str()
	if !closed {
		p.warn(at, "the string is not closed; it ends with the line")
	}
	return text, nil
}

// word reads a name.
func (p *parser) word(what string) (string, error) {
	name := p.name()
	if name == "" {
		return "", p.expected(what)
	}
	return name, nil
}

// integer reads an integer.
func (p *parser) integer(what string) (int64, error) {
	at := p.here()
	text := p.number()
	if text == "" {
		return 0, p.expected(what)
	}
	i, ok := integer(text)
	if !ok {
		return 0, &syntaxError{at, fmt.Sprintf("expected %s, found %s", what, text)}
	}
	return i, nil
}

// float reads a number, with a decimal point or a decimal comma.
func (p *parser) float(what string) (float64, error) {
	at := p.here()
	text := p.number()
	if text == "" {
		return 0, p.expected(what)
	}
	if p.pos < len(p.text) && p.text[p.pos] == ',' {
		p.pos++
		start := p.pos
		p.digits()
		text += "." + p.text[start:p.pos]
		p.warn(at, "decimal comma: read as %s", text)
	}
	return p.value(at, text, what)
}

// value converts the text of a number.
func (p *parser) value(at mark, text, what string) (float64, error) {
	f, ok := float(text)
	if !ok {
		return 0, &syntaxError{at, fmt.Sprintf("expected %s, found %s", what, text)}
	}
	return f, nil
}

// newSymbols reads NS_: the words on the line of the keyword and those that
// stand on lines of their own.
func (p *parser) newSymbols() error {
	line := p.line
	p.skip()
	if p.pos < len(p.text) && p.text[p.pos] == ':' {
		p.pos++
	}
	for {
		before := p.scanner
		p.skip()
		start := p.pos
		for p.pos < len(p.text) && isName(p.text[p.pos]) {
			p.pos++
		}
		at := p.line
		alone := p.pos
		for p.skip(); p.pos < len(p.text) && p.text[p.pos] == ';'; p.skip() {
			p.pos++
		}
		if start == alone || at != line && at == p.line && p.pos < len(p.text) {
			p.scanner = before
			return nil
		}
	}
}

// bitTiming reads BS_, which is obsolete.
func (p *parser) bitTiming() error {
	for p.accept(':') || p.accept(',') || p.accept(';') || p.number() != "" {
	}
	return nil
}

// nodeList reads BU_: names up to the next statement, on any number of lines.
func (p *parser) nodeList() error {
	p.accept(':')
	for !p.accept(';') {
		p.accept(',')
		at := p.here()
		before := p.scanner
		name := p.name()
		if name == "" {
			if p.barrier() || p.keyword() != "" {
				return nil
			}
			return p.expected("the name of a node")
		}
		if at.pos == before.first && p.peek() == ':' {
			// A line like "UNKNOWN_: …" is a statement that nobody knows.
			p.scanner = before
			return nil
		}
		node := &Node{Name: name, Line: at.line}
		p.db.Nodes = append(p.db.Nodes, node)
		p.places[node] = at
	}
	return nil
}
