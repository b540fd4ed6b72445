package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// texts is a list of texts of one kind. Nothing at all is an empty list.
type texts struct {
	target *[]string
	item   func(*string) scalar[string]
}

func (l texts) decode(d *decoder, key string, n *yaml.Node) {
	*l.target = nil
	for _, n := range d.items(key, l.want(), n) {
		var text string
		l.item(&text).decode(d, key, n)
		*l.target = append(*l.target, text)
	}
}

func (l texts) want() string { return "a list, each item " + l.item(new(string)).wants }

func (l texts) text() string {
	if len(*l.target) == 0 {
		return ""
	}
	quoted := make([]string, len(*l.target))
	for i, text := range *l.target {
		quoted[i] = quoteYAML(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func (l texts) schema() map[string]any {
	return map[string]any{"type": []string{"array", "null"}, "items": l.item(new(string)).schema()}
}

// items returns the nodes of a list; what else n is, is noted.
func (d *decoder) items(key, want string, n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode && n.Tag == "!!seq" {
		return n.Content
	}
	if !isNull(n) {
		d.problem(n, "%s: want %s, not %s", key, want, describe(n))
	}
	return nil
}

// pointerTo is a pointer to T that is a section.
type pointerTo[T any] interface {
	*T
	section
}

// sections is a list of sections. Nothing at all is an empty list.
type sections[T any, P pointerTo[T]] struct {
	target *[]T
	// fresh is an item with its defaults, shown are examples.
	fresh func() T
	shown []T
}

func listOf[T any, P pointerTo[T]](target *[]T, fresh func() T, examples ...T) sections[T, P] {
	return sections[T, P]{target, fresh, examples}
}

func (l sections[T, P]) decode(d *decoder, key string, n *yaml.Node) {
	*l.target = nil
	for _, n := range d.items(key, l.want(), n) {
		item := l.fresh()
		d.section("an item of "+key, P(&item), n)
		*l.target = append(*l.target, item)
	}
}

func (sections[T, P]) want() string { return "a list of sections" }

func (sections[T, P]) text() string { return "" }

func (l sections[T, P]) inner() section {
	item := l.fresh()
	return P(&item)
}

func (l sections[T, P]) examples() (examples []section) {
	for i := range l.shown {
		examples = append(examples, P(&l.shown[i]))
	}
	return examples
}

func (l sections[T, P]) schema() map[string]any {
	return map[string]any{"type": []string{"array", "null"}, "items": sectionSchema(l.inner())}
}

// group is a section within a section. Nothing at all is its defaults.
type group struct{ section }

func (g group) decode(d *decoder, key string, n *yaml.Node) {
	if !isNull(n) {
		d.section(key, g.section, n)
	}
}

func (group) want() string             { return "a section" }
func (group) text() string             { return "" }
func (g group) inner() section         { return g.section }
func (group) examples() []section      { return nil }
func (g group) schema() map[string]any { return orNull(sectionSchema(g.section)) }

// optional is a section that it matters to have, be it empty.
type optional[T any, P pointerTo[T]] struct{ target **T }

func optionally[T any, P pointerTo[T]](target **T) optional[T, P] { return optional[T, P]{target} }

func (o optional[T, P]) decode(d *decoder, key string, n *yaml.Node) {
	*o.target = new(T)
	group{P(*o.target)}.decode(d, key, n)
}

func (optional[T, P]) want() string        { return "a section" }
func (optional[T, P]) text() string        { return "" }
func (optional[T, P]) examples() []section { return nil }

func (o optional[T, P]) inner() section {
	if *o.target == nil {
		return P(new(T))
	}
	return P(*o.target)
}

func (o optional[T, P]) schema() map[string]any { return orNull(sectionSchema(o.inner())) }
