package config

import (
	"fmt"
	"slices"
	"strings"
)

const fileHead = `# Configuration of milepost. docs/configuration.md describes it.
#
# Every key is here with its default, which holds as well where the key is left
# out. A key without a default is commented out: #key: example.
# Paths are relative to the folder of this file. ${NAME} in a value is replaced
# by the environment variable NAME; $${ stands for ${ itself.
# ` + "`milepost check`" + ` says what is wrong with a file.
`

// renderFile writes the complete commented file of the defaults.
func renderFile() []byte {
	var b strings.Builder
	b.WriteString(fileHead)
	for _, f := range defaults().fields() {
		b.WriteString("\n")
		for _, line := range fieldLines(f, "") {
			b.WriteString(line + "\n")
		}
	}
	return []byte(b.String())
}

// fieldLines writes a key with its comment. Comments begin with "# "; what is
// commented out begins with "#" and anything but one blank.
func fieldLines(f field, indent string) []string {
	lines := commentLines(f.doc, indent)
	n, isNest := f.value.(nest)
	text := f.value.text()
	_, isList := f.value.(texts)
	switch {
	case isNest && len(n.examples()) > 0:
		lines = append(lines, indent+f.key+":")
		for _, line := range exampleLines(n, indent+"  ") {
			lines = append(lines, "#"+line)
		}
	case isNest:
		lines = append(lines, indent+f.key+":")
		for _, f := range n.inner().fields() {
			lines = append(lines, fieldLines(f, indent+"  ")...)
		}
	case text != "":
		lines = append(lines, indent+f.key+": "+text)
	case isList:
		lines = append(lines, indent+f.key+":", indent+"#  - "+quoteYAML(f.example))
	default:
		lines = append(lines, indent+"#"+f.key+": "+quoteYAML(f.example))
	}
	return lines
}

// exampleLines writes the examples of a list. Each shows only what the ones before
// it do not.
func exampleLines(n nest, indent string) (lines []string) {
	shown := make(map[string]string)
	for _, example := range n.examples() {
		first := true
		for _, f := range example.fields() {
			if s, ok := example.(typed); ok && len(f.only) > 0 && !slices.Contains(f.only, s.kind()) {
				continue
			}
			text, seen := shown[f.key]
			if seen && text == f.value.text() {
				continue
			}
			shown[f.key] = f.value.text()
			if seen {
				f.doc = ""
			}
			for _, line := range fieldLines(f, indent+"  ") {
				if first && strings.HasPrefix(line, indent+"  "+f.key+":") {
					line, first = indent+"- "+line[len(indent)+2:], false
				}
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// commentLines breaks a text into comments of at most 80 characters a line.
func commentLines(text, indent string) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(indent)+len("# ")+len(line)+1+len(word) > 80 {
			lines = append(lines, fmt.Sprintf("%s# %s", indent, line))
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		lines = append(lines, fmt.Sprintf("%s# %s", indent, line))
	}
	return lines
}
