package config

import (
	slashpath "path"

	"go.yaml.in/yaml/v4"
)

// Priority says how important a signal is.
type Priority string

const (
	PriorityLow    Priority = "low"
	PriorityNormal Priority = "normal"
	PriorityHigh   Priority = "high"
)

// Level is a number for a priority: a higher one for a more important signal.
func (p Priority) Level() int {
	switch p {
	case PriorityLow:
		return -1
	case PriorityHigh:
		return 1
	}
	return 0
}

// PriorityRule gives a priority to the signals that it matches.
type PriorityRule struct {
	// Bus, Message and Signal are names or patterns as of path.Match; what is
	// empty matches any name. One of them at least is not.
	Bus, Message, Signal string
	Priority             Priority
}

// Matches reports whether the rule is about a signal.
func (r *PriorityRule) Matches(bus, message, signal string) bool {
	return matches(r.Bus, bus) && matches(r.Message, message) && matches(r.Signal, signal)
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := slashpath.Match(pattern, name)
	return ok && err == nil // Parse takes no bad pattern.
}

// PriorityOf is what the first rule that matches a signal says; normal if none
// does.
func PriorityOf(rules []PriorityRule, bus, message, signal string) Priority {
	for i := range rules {
		if rules[i].Matches(bus, message, signal) {
			return rules[i].Priority
		}
	}
	return PriorityNormal
}

func newPriorityRule() PriorityRule { return PriorityRule{Priority: PriorityNormal} }

func (r *PriorityRule) fields() []field {
	return []field{
		{key: "bus", value: namePattern(&r.Bus), absent: "any", example: "can0",
			doc: "The bus."},
		{key: "message", value: namePattern(&r.Message), absent: "any", example: "Engine*",
			doc: "The message, as its database names it."},
		{key: "signal", value: namePattern(&r.Signal), absent: "any", example: "Brake*",
			doc: "The signal."},
		{key: "priority", value: enum(&r.Priority, PriorityLow, PriorityNormal, PriorityHigh),
			doc: "How important these signals are."},
	}
}

func (r *PriorityRule) check(d *decoder, n *yaml.Node) {
	for _, key := range []string{"bus", "message", "signal"} {
		if k, _ := entry(n, key); k != nil {
			return // be it wrong: that is noted already
		}
	}
	d.problem(n, "this matches every signal: give a bus, a message or a signal")
}

// namePattern is a name, or a pattern that names match.
func namePattern(target *string) scalar[string] {
	s := textual(target, "a name or a pattern such as Brake*", `^[^\x00-\x1f]+$`, func(pattern string) bool {
		_, err := slashpath.Match(pattern, "")
		return err == nil
	})
	good := text(target).parse
	check := s.parse
	s.parse = func(d *decoder, pattern string) (string, error) {
		if _, err := good(d, pattern); err != nil {
			return "", err
		}
		return check(d, pattern)
	}
	return s
}
