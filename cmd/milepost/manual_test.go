package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var updateManual = flag.Bool("update-manual", false, "write the man page and the completions of firmware/packages anew")

// TestManual: the man page and the shells' completions that packages bring are
// made from the help that the commands print. They are made here so that no
// gateway carries what makes them.
func TestManual(t *testing.T) {
	all := helps(t)
	for name, want := range map[string]string{
		"milepost.1":    manPage(all),
		"milepost.bash": bashCompletion(all),
		"milepost.zsh":  zshCompletion(all),
	} {
		path := filepath.Join("..", "..", "firmware", "packages", "files", name)
		if *updateManual {
			if err := os.WriteFile(path, []byte(want), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is out of date; run: go test ./cmd/milepost -run TestManual -update-manual", path)
		}
	}
}

// commandHelp is what a command says of itself.
type commandHelp struct {
	*command
	flags []flagHelp
	words []string // the words of which one comes first
}

type flagHelp struct{ name, value, text string }

var (
	flagLine  = regexp.MustCompile(`(?m)^  (--?[a-z-]+)(?: (\S+))? +(\S.*)$`)
	wordsLine = regexp.MustCompile(`^[a-z]+(\|[a-z]+)+ `)
)

// helps reads the help of all commands, as a user sees it.
func helps(t *testing.T) (all []commandHelp) {
	t.Helper()
	for _, c := range commands() {
		result := milepost(nil, c.name, "-h")
		if result.code != exitDone {
			t.Fatalf("milepost %s -h: exit code %d: %s", c.name, result.code, result.stderr)
		}
		h := commandHelp{command: c}
		text := strings.Replace(result.stdout, strings.TrimSpace(c.detail), "", 1) // may have lines that look like flags
		text, _, _ = strings.Cut(text, "\nexample:\n")
		for _, found := range flagLine.FindAllStringSubmatch(text, -1) {
			h.flags = append(h.flags, flagHelp{found[1], found[2], found[3]})
		}
		if words := wordsLine.FindString(c.usage); words != "" {
			h.words = strings.Split(strings.TrimSpace(words), "|")
		}
		all = append(all, h)
	}
	return all
}

// TestHelpsAreRead: what the manual is made from is understood.
func TestHelpsAreRead(t *testing.T) {
	for _, h := range helps(t) {
		switch h.name {
		case "spool":
			if fmt.Sprint(h.words) != "[ls dump verify export]" || len(h.flags) != 1 || h.flags[0].value != "FILE" {
				t.Errorf("spool: %q %+v", h.words, h.flags)
			}
		case "check":
			if len(h.flags) != 2 || h.flags[0].name != "--default" || h.flags[0].value != "" {
				t.Errorf("check: %+v", h.flags)
			}
		}
	}
}

// roff writes text so that man(7) shows it as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "×", `\(mu`).Replace(text)
	return regexp.MustCompile(`(?m)^([.])`).ReplaceAllString(text, `\&$1`)
}

// manPage is milepost(1). @DATE@ and @VERSION@ are for the package to fill in.
func manPage(all []commandHelp) string {
	var b strings.Builder
	b.WriteString(`.\" Made by cmd/milepost/manual_test.go: go test ./cmd/milepost -run TestManual -update-manual
.TH MILEPOST 1 "@DATE@" "milepost @VERSION@" "User Commands"
.SH NAME
milepost \- summarise the signals of CAN buses second by second
.SH SYNOPSIS
.B milepost
.I COMMAND
\&...
.SH DESCRIPTION
milepost reads CAN buses and sensors, decodes frames with DBC files, summarises
every signal second by second, keeps the summaries in a spool that survives power
cuts, and delivers them over MQTT, Kafka or HTTP, or to files. It does the same
with recorded CAN logs.
.SH COMMANDS
`)
	for _, h := range all {
		fmt.Fprintf(&b, ".SS \"milepost %s %s\"\n%s.\n", roff(h.name), roff(h.usage), roff(strings.ToUpper(h.summary[:1])+h.summary[1:]))
		if h.detail != "" {
			fmt.Fprintf(&b, ".PP\n.nf\n%s\n.fi\n", roff(strings.TrimSpace(h.detail)))
		}
		for _, f := range h.flags {
			fmt.Fprintf(&b, ".TP\n.B %s", roff(f.name))
			if f.value != "" {
				fmt.Fprintf(&b, " \\fI%s\\fR", roff(f.value))
			}
			fmt.Fprintf(&b, "\n%s\n", roff(f.text))
		}
		fmt.Fprintf(&b, ".PP\nExample:\n.PP\n.RS 4\n.nf\n%s\n.fi\n.RE\n", roff(strings.TrimSpace(h.example)))
	}
	fmt.Fprintf(&b, `.SH EXIT STATUS
.TP
.B %d
Done.
.TP
.B %d
It failed; standard error says why.
.TP
.B %d
A mistake in the command line.
.TP
.B %d
There is nothing to read yet: the configuration lists no buses and no sensors.
.SH FILES
.TP
.I %s
The configuration of the service.
.TP
.I /etc/milepost/environment
Secrets for it, as NAME=value lines; may be missing.
.TP
.I /var/lib/milepost/spool
Where records wait on disk until every sink has them.
.SH SEE ALSO
.BR milepost.yaml (5),
.BR systemctl (1)
`, exitDone, exitFailed, exitUsage, exitIdle, defaultConfig)
	return b.String()
}

// flagNames are the flags of a command, for a shell's list of words.
func (h *commandHelp) flagNames() string {
	var names []string
	for _, f := range h.flags {
		names = append(names, f.name)
	}
	return strings.Join(names, " ")
}

func commandNames(all []commandHelp) string {
	var names []string
	for _, h := range all {
		names = append(names, h.name)
	}
	return strings.Join(append(names, "help"), " ")
}

func bashCompletion(all []commandHelp) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# bash completion for milepost
# Made by cmd/milepost/manual_test.go: go test ./cmd/milepost -run TestManual -update-manual

_milepost() {
	local current=${COMP_WORDS[COMP_CWORD]} commands='%s' flags='' words=''
	COMPREPLY=()
	if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ ${COMP_WORDS[1]} == help ]]; }; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
		return
	fi
	case ${COMP_WORDS[1]} in
`, commandNames(all))
	for _, h := range all {
		fmt.Fprintf(&b, "\t%s) flags='%s' words='%s' ;;\n", h.name, h.flagNames(), strings.Join(h.words, " "))
	}
	b.WriteString(`	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$flags -h" -- "$current")
	elif ((COMP_CWORD == 2)) && [[ $words ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	else
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	fi
}

complete -F _milepost milepost
`)
	return b.String()
}

func zshCompletion(all []commandHelp) string {
	quote := strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`).Replace
	var b bytes.Buffer
	b.WriteString(`#compdef milepost
# Made by cmd/milepost/manual_test.go: go test ./cmd/milepost -run TestManual -update-manual

_milepost() {
	if ((CURRENT == 2)) || { ((CURRENT == 3)) && [[ $words[2] == help ]]; }; then
		local -a commands=(
`)
	for _, h := range all {
		fmt.Fprintf(&b, "\t\t\t'%s:%s'\n", h.name, quote(h.summary))
	}
	b.WriteString(`			'help:explain a command'
		)
		_describe command commands
		return
	fi
	local command=$words[2]
	shift words
	((CURRENT--))
	case $command in
`)
	for _, h := range all {
		fmt.Fprintf(&b, "\t%s)\n\t\t_arguments", h.name)
		for _, f := range h.flags {
			fmt.Fprintf(&b, " \\\n\t\t\t'*%s[%s]", f.name, quote(f.text))
			if f.value != "" {
				fmt.Fprintf(&b, ":%s:_files", quote(f.value))
			}
			b.WriteString("'")
		}
		if len(h.words) > 0 {
			fmt.Fprintf(&b, " \\\n\t\t\t'1:what:(%s)'", strings.Join(h.words, " "))
		}
		b.WriteString(" \\\n\t\t\t'*:file:_files'\n\t\t;;\n")
	}
	b.WriteString("\tesac\n}\n\n_milepost \"$@\"\n")
	return b.String()
}
