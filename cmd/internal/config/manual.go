package config

import (
	"fmt"
	"strings"
	"time"
)

// Manual is the man page milepost.yaml(5) of a version, whose date is when.
func Manual(version string, when time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH MILEPOST.YAML 5 \"%s\" \"milepost %s\" \"File Formats\"\n", when.UTC().Format(time.DateOnly), roff(version))
	b.WriteString(`.SH NAME
milepost.yaml \- configuration of milepost
.SH DESCRIPTION
One strict YAML file. A key that is left out has its default, and an empty file is
a good one.
.B milepost check
reports everything that is wrong with a file, with line and column;
.B milepost check \-\-default
prints the complete file with comments.
.PP
Durations are numbers with units: 500ms, 1s, 1m30s, 24h. Sizes are whole numbers
with units: B, KB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024). Paths
are relative to the folder of the file. ${NAME} in a value is replaced by the
environment variable NAME, which must be set; $${ stands for ${ itself.
.SH TOP LEVEL
`)
	walk(defaults(), func(path string, s section, repeated bool) {
		switch {
		case repeated:
			fmt.Fprintf(&b, ".SH \"Items of %s\"\n", roff(path))
		case path != "":
			fmt.Fprintf(&b, ".SH \"%s\"\n", roff(path))
		}
		for _, f := range s.fields() {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(f.key), roff(f.doc))
			if len(f.only) > 0 {
				fmt.Fprintf(&b, " (%s)", roff(alternatives(f.only)))
			}
			b.WriteString("\n")
			if f.value.text() == "" && !f.required && f.absent == "" {
				continue
			}
			fmt.Fprintf(&b, ".br\nDefault: %s\n", roff(strings.Trim(markdownDefault(f), "`")))
		}
	})
	b.WriteString(".SH SEE ALSO\n.BR milepost (1)\n")
	return []byte(b.String())
}

// roff writes a text so that man(7) shows it as it is; none of ours begins a line
// with a dot.
func roff(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`, "'", `\(aq`, "`", `\(ga`, "~", `\(ti`, "^", `\(ha`).Replace(text)
}
