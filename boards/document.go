package boards

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Error is one thing that is wrong with a file.
type Error struct {
	// File is a path below the folder of this package. Line and Column count from 1.
	File         string
	Line, Column int
	Message      string
}

// Error gives the form that editors understand.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// position is a place in a file.
type position struct{ line, column int }

func at(n *yaml.Node) position { return position{n.Line, n.Column} }

// document walks a YAML tree and collects what is wrong with it.
type document struct {
	file string
	errs []error
}

// fail notes what is wrong with n.
func (d *document) fail(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, &Error{d.file, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// root returns the one document in data, or nil if it cannot be read.
func (d *document) root(data []byte) *yaml.Node {
	var root, second yaml.Node
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err == nil {
		err = loader.Load(&root)
	}
	if err == nil && loader.Load(&second) != io.EOF {
		d.fail(&yaml.Node{Line: 1, Column: 1}, "want one document of YAML and nothing behind it")
		return nil
	}
	if err != nil {
		at, message := &yaml.Node{Line: 1, Column: 1}, err.Error()
		var syntax *yaml.LoadError
		if errors.As(err, &syntax) {
			at, message = &yaml.Node{Line: syntax.Mark.Line, Column: syntax.Mark.Column}, syntax.Message
		}
		d.fail(at, "not YAML: %s", message)
		return nil
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		d.fail(&yaml.Node{Line: 1, Column: 1}, "the file is empty")
		return nil
	}
	return root.Content[0]
}

// mapping calls each with the keys of n and their values; it returns false for a
// key that it does not know.
func (d *document) mapping(n *yaml.Node, each func(key string, value *yaml.Node) bool) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "want keys and values")
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case seen[key.Value]:
			d.fail(key, "%s is there twice", key.Value)
		case !each(key.Value, value):
			d.fail(key, "unknown key %q", key.Value)
		}
		seen[key.Value] = true
	}
}

// fields are what a mapping may hold: for each key a *string, *int, *bool,
// *[]string or *[]int to set, or a func(*yaml.Node) to call.
type fields map[string]any

// fields decodes a mapping.
func (d *document) fields(n *yaml.Node, known fields) {
	d.mapping(n, func(key string, v *yaml.Node) bool {
		into, ok := known[key]
		switch into := into.(type) {
		case *string:
			*into = d.text(v)
		case *int:
			*into = d.number(v)
		case *bool:
			*into = d.boolean(v)
		case *[]string:
			*into = list(d, v, d.text)
		case *[]int:
			*into = list(d, v, d.number)
		case func(*yaml.Node):
			into(v)
		}
		return ok
	})
}

// text returns a scalar as it is written.
func (d *document) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.fail(n, "want a text")
		return ""
	}
	return strings.TrimSpace(n.Value)
}

func (d *document) number(n *yaml.Node) int {
	v, err := strconv.ParseInt(d.text(n), 0, 32)
	if err != nil || v < 0 {
		d.fail(n, "want a whole number, not %q", n.Value)
		return 0
	}
	return int(v)
}

func (d *document) boolean(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		d.fail(n, "want true or false")
	}
	return n.Value == "true"
}

// list decodes the items of a list.
func list[T any](d *document, n *yaml.Node, item func(*yaml.Node) T) []T {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "want a list")
		return nil
	}
	items := make([]T, len(n.Content))
	for i, content := range n.Content {
		items[i] = item(content)
	}
	return items
}
