package uplink

import (
	"fmt"
	"slices"
	"strings"
)

// TopicTemplate is a compiled template for the topics of records, in which
// {device}, {bus}, {message}, {signal} and {id} (the arbitration ID) stand for
// those of the record.
type TopicTemplate struct {
	// literals and placeholders take turns, starting and ending with a literal.
	literals     []string
	placeholders []placeholder
}

type placeholder uint8

const (
	topicDevice placeholder = iota
	topicBus
	topicMessage
	topicSignal
	topicID
)

var placeholderNames = [...]string{
	topicDevice: "device", topicBus: "bus", topicMessage: "message", topicSignal: "signal", topicID: "id",
}

// ParseTopic compiles a template. What a literal may hold is the technology's
// business: see Literals.
func ParseTopic(template string) (TopicTemplate, error) {
	var t TopicTemplate
	rest := template
	for {
		literal, after, found := strings.Cut(rest, "{")
		if strings.ContainsRune(literal, '}') {
			return t, fmt.Errorf("topic %q: a } without a { before it", template)
		}
		t.literals = append(t.literals, literal)
		if !found {
			return t, nil
		}
		name, next, closed := strings.Cut(after, "}")
		p := slices.Index(placeholderNames[:], name)
		if !closed || p < 0 {
			return t, fmt.Errorf("topic %q: unknown placeholder at {%s: use {device}, {bus}, {message}, {signal} or {id}", template, after)
		}
		t.placeholders = append(t.placeholders, placeholder(p))
		rest = next
	}
}

// Literals is the template without its placeholders.
func (t *TopicTemplate) Literals() string { return strings.Join(t.literals, "") }

// Constant reports whether all records have the same topic.
func (t *TopicTemplate) Constant() bool { return len(t.placeholders) == 0 }

// PerDevice reports whether all records of a device have the same topic.
func (t *TopicTemplate) PerDevice() bool {
	for _, p := range t.placeholders {
		if p != topicDevice {
			return false
		}
	}
	return true
}

// Fill appends the template to dst, with what fill appends for each placeholder;
// that is named without braces.
func (t *TopicTemplate) Fill(dst []byte, fill func(dst []byte, name string) []byte) []byte {
	for i, p := range t.placeholders {
		dst = append(dst, t.literals[i]...)
		dst = fill(dst, placeholderNames[p])
	}
	return append(dst, t.literals[len(t.literals)-1]...)
}

// Append appends the topic of a record. The values in it go through escape,
// which appends them in a form that the technology takes.
func (t *TopicTemplate) Append(dst []byte, r *Record, escape func(dst []byte, value string) []byte) []byte {
	for i, p := range t.placeholders {
		dst = append(dst, t.literals[i]...)
		var value string
		switch p {
		case topicDevice:
			value = r.Device
		case topicBus:
			value = r.Group.Bus
		case topicMessage:
			value = r.Group.Name
		case topicSignal:
			value = r.Series.Name
		case topicID:
			value = string(r.AppendID(nil))
		}
		dst = escape(dst, value)
	}
	return append(dst, t.literals[len(t.literals)-1]...)
}
