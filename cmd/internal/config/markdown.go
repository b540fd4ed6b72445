package config

import (
	"fmt"
	"strings"
)

const markdownHead = `# Configuration

<!-- Made by cmd/internal/config from its tables: go test ./cmd/internal/config -update -->

milepost has one configuration file, in YAML. [milepost.yaml](milepost.yaml) is the complete file with its
defaults, which hold for every key that is left out; an empty file is a good one. ` + "`milepost check`" + ` reads a
file and reports everything that is wrong with it, each with line, column and the next step.
[milepost.schema.json](milepost.schema.json) lets editors do so while you type: begin the file with
` + "`# yaml-language-server: $schema=PATH/milepost.schema.json`" + `.

- **Strict.** Unknown keys, keys that are there twice, values of the wrong type and references to what is not
  there are errors. Anchors, aliases and merge keys are not supported.
- **Durations** are numbers with units: ` + "`500ms`, `1s`, `1m30s`, `24h`" + `. **Sizes** are whole numbers with units:
  ` + "`B`, `KB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB`" + ` (powers of 1024).
- **Paths** are relative to the folder of the file.
- **Environment.** ` + "`${NAME}`" + ` in a value is replaced by the environment variable ` + "`NAME`" + `, which must be set; ` + "`$${`" + `
  stands for ` + "`${`" + ` itself. In ` + "`[…]` and `{…}`" + `, YAML wants such a value in quotes.
- **Secrets** are never printed, neither in logs nor in errors.
`

// Markdown is docs/configuration.md.
func Markdown() []byte {
	var b strings.Builder
	b.WriteString(markdownHead)
	walk(defaults(), func(path string, s section, repeated bool) {
		switch {
		case path == "":
			b.WriteString("\n## Top level\n\n")
		case repeated:
			fmt.Fprintf(&b, "\n## Items of `%s`\n\n", path)
		default:
			fmt.Fprintf(&b, "\n## `%s`\n\n", path)
		}
		b.WriteString("| Key | Value | Default | Meaning |\n|---|---|---|---|\n")
		for _, f := range s.fields() {
			meaning := f.doc
			if len(f.only) > 0 {
				meaning += " (" + alternatives(f.only) + ")"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.key, f.value.want(), markdownDefault(f), meaning)
		}
	})
	return []byte(b.String())
}

func markdownDefault(f field) string {
	text := f.value.text()
	switch _, isNest := f.value.(nest); {
	case text != "":
		return "`" + text + "`"
	case f.required:
		return "required"
	case f.absent != "":
		return f.absent
	case isNest:
		return ""
	}
	return "none"
}
