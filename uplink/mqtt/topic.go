package mqtt

import (
	"fmt"
	"strings"

	"milepost/uplink"
)

// topic is a compiled template: literals and placeholders take turns, starting
// and ending with a literal.
type topic struct {
	literals     []string
	placeholders []string
}

func parseTopic(template string) (topic, error) {
	var t topic
	rest := template
	for {
		literal, after, found := strings.Cut(rest, "{")
		if strings.ContainsAny(literal, "+#}\x00") {
			return t, fmt.Errorf("mqtt: topic %q: +, #, } and NUL cannot be in a topic to publish to", template)
		}
		t.literals = append(t.literals, literal)
		if !found {
			break
		}
		name, next, closed := strings.Cut(after, "}")
		switch name {
		case "device", "bus", "message", "signal", "id":
		default:
			closed = false
		}
		if !closed {
			return t, fmt.Errorf("mqtt: topic %q: unknown placeholder at {%s: use {device}, {bus}, {message}, {signal} or {id}", template, after)
		}
		t.placeholders = append(t.placeholders, name)
		rest = next
	}
	if template == "" || strings.HasPrefix(template, "$") {
		return t, fmt.Errorf("mqtt: topic %q: it must not be empty, and those with $ are the broker's own", template)
	}
	return t, nil
}

// perDevice reports whether all records of a device have the same topic.
func (t *topic) perDevice() bool {
	for _, p := range t.placeholders {
		if p != "device" {
			return false
		}
	}
	return true
}

// append writes the topic of a record.
func (t *topic) append(dst []byte, r *uplink.Record) []byte {
	for i, p := range t.placeholders {
		dst = append(dst, t.literals[i]...)
		var value string
		switch p {
		case "device":
			value = r.Device
		case "bus":
			value = r.Group.Bus
		case "message":
			value = r.Group.Name
		case "signal":
			value = r.Series.Name
		case "id":
			value = string(r.AppendID(nil))
		}
		dst = appendLevel(dst, value)
	}
	return append(dst, t.literals[len(t.literals)-1]...)
}

// filter is what matches the topics of a device's records.
func (t *topic) filter(device string) string {
	var all []byte
	for i, p := range t.placeholders {
		all = append(all, t.literals[i]...)
		if p == "device" {
			all = appendLevel(all, device)
		} else {
			all = append(all, '+')
		}
	}
	levels := strings.Split(string(append(all, t.literals[len(t.literals)-1]...)), "/")
	for i, level := range levels {
		if strings.Contains(level, "+") { // which stands for a whole level
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// appendLevel writes a value as one level of a topic: what has a meaning there
// becomes an underscore, and so does nothing at all.
func appendLevel(dst []byte, value string) []byte {
	if value == "" {
		return append(dst, '_')
	}
	for _, r := range strings.ToValidUTF8(value, "_") {
		if r == '/' || r == '+' || r == '#' || r < ' ' || 0x7f <= r && r < 0xa0 {
			r = '_'
		}
		dst = append(dst, string(r)...)
	}
	return dst
}
