package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Parse reads a configuration. The name is that of its file: errors show it, and
// paths are relative to its folder. Values may refer to env.
//
// All errors that can be found are reported at once, as Errors.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	d := &decoder{name: name, folder: filepath.Dir(name), env: env}
	c := defaults()
	if root := d.document(data); root != nil {
		d.section("the configuration", c, root)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	c.complete()
	return c, nil
}

// decoder walks a YAML tree along the tables of the sections and collects what
// is wrong.
type decoder struct {
	name, folder string
	env          func(string) (string, bool)
	problems     Errors
	// homes are the sections that have a key; made when the first key is unknown.
	homes map[string][]string
}

// problem notes what is wrong with n.
func (d *decoder) problem(n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, Problem{d.name, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// document returns the root of the one document in data: nil if there is none,
// or if it cannot be read, which is then noted.
func (d *decoder) document(data []byte) *yaml.Node {
	if bad, offset := firstBadCharacter(data); bad != nil {
		line, column := position(data, offset)
		d.problem(&yaml.Node{Line: line, Column: column}, "%+q cannot be in a configuration, which is UTF-8 text", bad)
		return nil
	}
	var root, second yaml.Node
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err == nil {
		err = loader.Load(&root)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = loader.Load(&second); err == nil {
			d.problem(&second, "a configuration is one document: remove the line --- and what follows")
			return nil
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		line, column := position(data, len(data))
		message := err.Error()
		var syntax *yaml.LoadError
		if errors.As(err, &syntax) {
			message = syntax.Message
			if syntax.ContextMsg != "" {
				message = syntax.ContextMsg + ": " + message
			}
			// At its end, the parser's mark may be behind the file.
			if m := syntax.Mark; m.Line > 0 && (m.Line < line || m.Line == line && m.Column < column) {
				line, column = m.Line, m.Column
			}
		}
		d.problem(&yaml.Node{Line: line, Column: column}, "not YAML: %s", message)
		return nil
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) == 0 || isNull(root.Content[0]) {
		return nil
	}
	return root.Content[0]
}

// firstBadCharacter returns the first character that YAML does not allow. The
// parser finds them too, but says not where. Line breaks other than LF and CR LF
// are bad as well: to some they end a line, to others not.
func firstBadCharacter(data []byte) (bad []byte, offset int) {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1,
			r < ' ' && r != '\t' && r != '\n' && r != '\r',
			r == '\r' && !bytes.HasPrefix(data[i:], []byte("\r\n")),
			r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfffe, r == 0xffff:
			return data[i : i+size], i
		}
		i += size
	}
	return nil, 0
}

// position converts an offset to a line and a column, both from 1.
func position(data []byte, offset int) (line, column int) {
	before := data[:offset]
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
}

// section decodes the mapping n into s.
func (d *decoder) section(name string, s section, n *yaml.Node) {
	if n.Kind != yaml.MappingNode || n.Tag != "!!map" {
		d.problem(n, "%s: want a section of keys and values, not %s", name, describe(n))
		return
	}
	fields := s.fields()
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f := fieldOf(fields, key)
		if f == nil {
			d.unknownKey(fields, key)
			continue
		}
		if line, ok := seen[f.key]; ok {
			d.problem(key, "%s is there twice; the first is in line %d", f.key, line)
			continue
		}
		seen[f.key] = key.Line
		f.value.decode(d, f.key, value)
	}
	for _, f := range fields {
		if _, ok := seen[f.key]; f.required && !ok {
			d.problem(n, "%s is missing here: %s", f.key, f.value.want())
		}
	}
	if c, ok := s.(checker); ok {
		c.check(d, n)
	}
}

// fieldOf finds the field that the key names, or nil.
func fieldOf(fields []field, key *yaml.Node) *field {
	for i := range fields {
		if key.Kind == yaml.ScalarNode && key.Value == fields[i].key {
			return &fields[i]
		}
	}
	return nil
}

// unknownKey says what might have been meant: a key of the section, or one of
// another section.
func (d *decoder) unknownKey(fields []field, key *yaml.Node) {
	if key.Kind != yaml.ScalarNode {
		d.problem(key, "want a key, not %s", describe(key))
		return
	}
	if key.Tag == "!!merge" {
		d.problem(key, "merge keys are not supported: write the values out")
		return
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	hint := "use " + alternatives(names)
	if near := nearest(key.Value, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if homes := d.homesOf(key.Value); len(homes) > 0 {
		hint = "it belongs to " + alternatives(homes)
	}
	d.problem(key, "unknown key %s; %s", quoted(key.Value), hint)
}

// homesOf lists the sections that have the key, as dotted paths.
func (d *decoder) homesOf(key string) []string {
	if d.homes == nil {
		d.homes = make(map[string][]string)
		walk(defaults(), func(path string, s section, _ bool) {
			for _, f := range s.fields() {
				if path != "" {
					d.homes[f.key] = append(d.homes[f.key], path)
				}
			}
		})
	}
	return d.homes[key]
}

// scalarText returns the text of a scalar with its references expanded, and
// whether there were any. If n is no scalar or a reference is bad, that is noted
// and ok is false.
func (d *decoder) scalarText(key, want string, n *yaml.Node) (text string, expanded, ok bool) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.problem(n, "%s: want %s, not %s", key, want, describe(n))
		return "", false, false
	}
	text, faults := expand(n.Value, d.env)
	for _, fault := range faults {
		d.problem(n, "%s: %s", key, fault)
	}
	return text, strings.Contains(n.Value, "${"), len(faults) == 0
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// describe says what n is without showing it: it may be a secret.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.AliasNode:
		return "an alias: write the value out"
	case yaml.MappingNode:
		if n.Tag == "!!map" {
			return "a section"
		}
	case yaml.SequenceNode:
		if n.Tag == "!!seq" {
			return "a list"
		}
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!null":
			return "nothing"
		case "!!str":
			return "a text"
		case "!!int", "!!float":
			return "a number"
		case "!!bool":
			return n.Value
		case "!!timestamp":
			return "a date"
		}
	}
	return "a value with a tag of its own"
}

// quoted quotes what the file says, shortened to what a line can bear.
func quoted(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}

// at finds what a path of keys and list positions leads to below n; where it ends
// early, the last node on it.
func at(n *yaml.Node, path ...any) *yaml.Node {
	for _, step := range path {
		var next *yaml.Node
		switch step := step.(type) {
		case string:
			_, next = entry(n, step)
		case int:
			if n.Kind == yaml.SequenceNode && step < len(n.Content) {
				next = n.Content[step]
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return n
}

// entry returns the first key and value of that name in the mapping n, or nil.
func entry(n *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}
