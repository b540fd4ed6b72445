package dbc

import (
	"fmt"
	"strings"
)

// comment reads: CM_ [BU_ node | BO_ id | SG_ id signal | EV_ variable] "text";
func (p *parser) comment(at mark) error {
	apply := func(text string) { p.comments = append(p.comments, text) }
	if p.peek() != '"' {
		object := p.keyword()
		if !p.barrier() {
			p.pos += len(object)
		}
		var err error
		if apply, err = p.commented(object, at); err != nil {
			return err
		}
	}
	text, err := p.string("a comment in quotes")
	if err != nil {
		return err
	}
	if err := p.end(); err != nil {
		return err
	}
	p.deferred = append(p.deferred, func() { apply(text) })
	return nil
}

// commented reads what a comment is about.
func (p *parser) commented(object string, at mark) (apply func(text string), err error) {
	switch object {
	case "BU_":
		name, err := p.word("the name of a node")
		return func(text string) {
			if node := p.findNode(name, at, "comment"); node != nil {
				node.Comment = text
			}
		}, err
	case "BO_":
		key, _, _, err := p.identifier()
		return func(text string) {
			for _, m := range p.find(key, at, "comment") {
				m.Comment = text
			}
		}, err
	case "SG_":
		key, name, err := p.signalReference()
		return func(text string) {
			for _, s := range p.findSignals(key, name, at, "comment") {
				s.Comment = text
			}
		}, err
	case "EV_":
		_, err := p.word("the name of an environment variable")
		return func(string) {}, err
	}
	return nil, p.expected("BU_, BO_, SG_, EV_ or a comment in quotes")
}

// findNode returns the node with the short name and reports if there is none.
func (p *parser) findNode(name string, at mark, what string) *Node {
	node := p.nodes[name]
	if node == nil && !isNoNode(name) {
		p.warn(at, "%s of an unknown node, %s", what, name)
	}
	return node
}

func isNoNode(name string) bool { return strings.EqualFold(name, noNode) }

// pairs reads the descriptions of a value table. If a value comes twice, the
// last text counts.
func (p *parser) pairs() ([]ValueDescription, error) {
	var values []ValueDescription
	index := make(map[int64]int)
	for {
		at := p.here()
		text := p.number()
		if text == "" {
			return values, nil
		}
		value, ok := integer(text)
		if !ok {
			p.warn(at, "the value %s is not an integer; its description is left out", text)
		}
		description, err := p.string("a description in quotes")
		if err != nil {
			return nil, err
		}
		p.accept(',')
		if i, twice := index[value]; ok && twice {
			values[i].Text = description
		} else if ok {
			index[value] = len(values)
			values = append(values, ValueDescription{value, description})
		}
	}
}

// valueTable reads: VAL_TABLE_ name value "text" …;
func (p *parser) valueTable(at mark) error {
	name, err := p.word("the name of a value table")
	if err != nil {
		return err
	}
	values, err := p.pairs()
	if err != nil {
		return err
	}
	p.db.ValueTables = append(p.db.ValueTables, &ValueTable{name, values, at.line})
	return p.end()
}

// values reads: VAL_ id signal value "text" …;
// or the same for an environment variable: VAL_ name value "text" …;
func (p *parser) values(at mark) error {
	if c := p.peek(); c != '+' && c != '-' && (c < '0' || c > '9') {
		if _, err := p.word("a message identifier or the name of an environment variable"); err != nil {
			return err
		}
		if _, err := p.pairs(); err != nil {
			return err
		}
		return p.end()
	}
	key, name, err := p.signalReference()
	if err != nil {
		return err
	}
	values, err := p.pairs()
	if err != nil {
		return err
	}
	if err := p.end(); err != nil {
		return err
	}
	p.deferred = append(p.deferred, func() {
		for _, s := range p.findSignals(key, name, at, "value table") {
			if len(values) > 0 {
				s.Values = values
			}
		}
	})
	return nil
}

// attributeDefinition reads: BA_DEF_ [BU_|BO_|SG_|EV_] "name" type limits;
func (p *parser) attributeDefinition(at mark) error {
	d := &AttributeDefinition{Line: at.line}
	if p.peek() != '"' && !p.barrier() {
		d.Object = p.keyword()
		p.pos += len(d.Object)
	}
	var err error
	if d.Name, err = p.string("the name of an attribute in quotes"); err != nil {
		return err
	}
	typeAt := p.here()
	typeName, err := p.word("the type of the attribute")
	if err != nil {
		return err
	}
	var known bool
	if d.Type, known = attributeTypes[typeName]; !known {
		p.warn(typeAt, "attribute %q has the unknown type %s; taken as STRING", d.Name, typeName)
	}
	for p.peek() == '"' {
		text, _ := p.string("")
		d.Values = append(d.Values, text)
		p.accept(',')
	}
	for i := 0; ; i++ {
		// Limits; words where other tools put them (BOOL False True).
		text := p.number()
		if text == "" && p.name() == "" {
			break
		}
		f, _ := float(text)
		switch i {
		case 0:
			d.Min = f
		case 1:
			d.Max = f
		}
	}
	if err := p.end(); err != nil {
		return err
	}
	p.db.Definitions = append(p.db.Definitions, d)
	p.definitions[d.Name] = d
	return nil
}

// attributeDefault reads: BA_DEF_DEF_ "name" value;
func (p *parser) attributeDefault(at mark) error {
	a, quoted, err := p.attributeValue(nil)
	if err != nil {
		return err
	}
	p.deferred = append(p.deferred, func() {
		d := p.definitions[a.Name]
		if d == nil {
			p.warn(at, "default of the undefined attribute %q", a.Name)
			return
		}
		if !d.resolve(&a, quoted) {
			p.warn(at, "default of attribute %q: %q is not one of its values", a.Name, a.Text)
		}
		d.Default = &a
	})
	return nil
}

// attribute reads: BA_ "name" [BU_ node | BO_ id | SG_ id signal | EV_ variable] value;
func (p *parser) attribute(at mark) error {
	objects := func() []any { return []any{p.db} }
	a, quoted, err := p.attributeValue(func() error {
		var err error
		objects, err = p.attributed(at)
		return err
	})
	if err != nil {
		return err
	}
	p.deferred = append(p.deferred, func() {
		if d := p.definitions[a.Name]; d == nil {
			p.warn(at, "the attribute %q is not defined", a.Name)
		} else if !d.resolve(&a, quoted) {
			p.warn(at, "attribute %q: %q is not one of its values", a.Name, a.Text)
		}
		for _, object := range objects() {
			p.setAttribute(object, a)
		}
	})
	return nil
}

// attributed reads the object of an attribute; without one it is the database.
func (p *parser) attributed(at mark) (objects func() []any, err error) {
	object := ""
	if !p.barrier() {
		object = p.keyword()
		p.pos += len(object)
	}
	const what = "attribute"
	switch object {
	case "BU_":
		name, err := p.word("the name of a node")
		return func() []any {
			if node := p.findNode(name, at, what); node != nil {
				return []any{node}
			}
			return nil
		}, err
	case "BO_":
		key, _, _, err := p.identifier()
		return func() []any { return anys(p.find(key, at, what)) }, err
	case "SG_":
		key, name, err := p.signalReference()
		return func() []any { return anys(p.findSignals(key, name, at, what)) }, err
	case "EV_":
		_, err := p.word("the name of an environment variable")
		return func() []any { return nil }, err
	}
	return func() []any { return []any{p.db} }, nil
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// attributeValue reads the name of an attribute, what stands between it and the
// value, the value, and the semicolon.
func (p *parser) attributeValue(between func() error) (a Attribute, quoted bool, err error) {
	if a.Name, err = p.string("the name of an attribute in quotes"); err != nil {
		return a, false, err
	}
	if between != nil {
		if err := between(); err != nil {
			return a, false, err
		}
	}
	if quoted = p.peek() == '"'; quoted {
		a.Text, _ = p.string("")
	} else {
		start := p.pos // behind blanks, as peek has passed them
		text := p.number()
		if p.pos > start && p.pos < len(p.text) && isName(p.text[p.pos]) {
			p.pos, text = start, "" // a word that begins like a number
		}
		if text != "" {
			a.Text = text
		} else if a.Text, err = p.word("the value of the attribute"); err != nil {
			return a, false, err
		}
	}
	a.Number, a.Numeric = float(a.Text)
	return a, quoted, p.end()
}

// setAttribute gives an object an attribute, in place of an earlier value.
func (p *parser) setAttribute(object any, a Attribute) {
	var list *Attributes
	switch o := object.(type) {
	case *Database:
		list = &o.Attributes
	case *Node:
		list = &o.Attributes
	case *Message:
		list = &o.Attributes
	case *Signal:
		list = &o.Attributes
	default:
		panic(fmt.Sprintf("BUG: %T has no attributes", object))
	}
	key := attributeKey{object, a.Name}
	if i, ok := p.attributes[key]; ok {
		(*list)[i] = a
		return
	}
	p.attributes[key] = len(*list)
	*list = append(*list, a)
}
