package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"

	"milepost/can/dbc"
)

// decodedMessage is a message with all that does not change from frame to frame
// made ready for both formats.
type decodedMessage struct {
	plan *dbc.Plan
	// text is " :: NAME(", json the quoted name.
	text, json []byte
	// signals are parallel to plan.Signals().
	signals []decodedSignal
}

type decodedSignal struct {
	// text is "NAME: ", unit " UNIT" or nothing, json the name in quotes, name
	// that without them.
	text, unit, json, name []byte
}

func newDecodedMessage(plan *dbc.Plan) *decodedMessage {
	m := &decodedMessage{
		plan: plan,
		text: []byte(" :: " + printable(plan.Message.Name) + "("),
		json: quoted(plan.Message.Name),
	}
	for _, s := range plan.Signals() {
		signal := decodedSignal{text: []byte(printable(s.Name) + ": "), json: quoted(s.Name)}
		signal.name = signal.json[1 : len(signal.json)-1]
		if s.Unit != "" {
			signal.unit = []byte(" " + printable(s.Unit))
		}
		m.signals = append(m.signals, signal)
	}
	return m
}

// next gives the index of the signal of a value, behind that of the one before:
// values are in the order of the signals.
func (m *decodedMessage) next(v *dbc.Value, after int) int {
	signals := m.plan.Signals()
	for after++; signals[after] != v.Signal; after++ {
	}
	return after
}

// quoted gives a JSON string.
func quoted(s string) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		panic("BUG: a string has no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// printable replaces what a name or a unit from a file must not do to a
// terminal or to the lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
