package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// section is a part of the configuration that has keys.
type section interface {
	// fields is the table of the section's keys. Its values point into the
	// section: decoding sets it, and what it holds is what is printed.
	fields() []field
}

// typed is a section whose keys depend on its type.
type typed interface{ kind() string }

// checker is a section whose keys depend on one another.
type checker interface {
	// check notes what is wrong with the section, which was decoded from n. Of
	// keys that could not be decoded it sees the defaults.
	check(d *decoder, n *yaml.Node)
}

// field is one key of a section.
type field struct {
	key   string
	value value
	// absent says what holds where the default is empty.
	absent string
	// example is shown in the default file where there is no default.
	example string
	// required keys have no default.
	required bool
	// only is the types of sink or sensor that have the key; empty means all.
	only []string
	// doc is one or more sentences.
	doc string
}

// value is what a key can have.
type value interface {
	// decode sets the value from n, or notes what is wrong with n.
	decode(d *decoder, key string, n *yaml.Node)
	// want says what is expected, as in "a duration of at least 10ms".
	want() string
	// text is the present value in YAML; empty if it is.
	text() string
	// schema is the value's JSON Schema.
	schema() map[string]any
}

// nest is a value that is made of sections.
type nest interface {
	value
	// inner is such a section with its defaults.
	inner() section
	// examples are for the default file; empty where inner is shown itself.
	examples() []section
}

// walk visits s and the sections in it, in the order of the tables. The path is
// dotted; repeated is true for the items of lists.
func walk(s section, visit func(path string, s section, repeated bool)) {
	var down func(path string, s section, repeated bool)
	down = func(path string, s section, repeated bool) {
		visit(path, s, repeated)
		for _, f := range s.fields() {
			if n, ok := f.value.(nest); ok {
				down(strings.TrimPrefix(path+"."+f.key, "."), n.inner(), len(n.examples()) > 0)
			}
		}
	}
	down("", s, false)
}
