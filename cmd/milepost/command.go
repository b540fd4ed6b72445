package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

// Exit codes. Scripts rely on them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitIdle   = 3 // there is nothing to read yet
)

// invocation is one run of the program: what it was called with and where it
// reads and writes. Tests make their own.
type invocation struct {
	args           []string // without the program's name
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) (string, bool)
}

// command is one of milepost's commands.
type command struct {
	name    string
	summary string // a line for the list of commands
	usage   string // what follows the name
	detail  string // a paragraph or more, may be empty
	example string // lines to try
	run     func(ctx context.Context, inv *invocation, c *command, args []string) error
}

// commands in the order of the list.
func commands() []*command {
	return []*command{runCommand, replayCommand, decodeCommand, lintCommand, checkCommand, spoolCommand, statusCommand, updateCommand, boardsCommand, versionCommand}
}

// usageError is a mistake in the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errReported is the error of a command that has said itself what is wrong.
var errReported = errors.New("reported")

// run does what the arguments say and returns the exit code.
func (inv *invocation) run(ctx context.Context) int {
	if len(inv.args) == 0 {
		inv.help(inv.stderr)
		return exitUsage
	}
	name, args := inv.args[0], inv.args[1:]
	switch name {
	case "-h", "--help", "-help", "help":
		if len(args) == 0 {
			inv.help(inv.stdout)
			return exitDone
		}
		name, args = args[0], []string{"-h"}
	case "--version", "-version":
		name = "version"
	}
	all := commands()
	i := slices.IndexFunc(all, func(c *command) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(inv.stderr, "milepost: there is no command %q; `milepost help` lists them\n", name)
		return exitUsage
	}
	c := all[i]
	err := c.run(ctx, inv, c, args)
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(inv.stderr, "milepost %s: %v\nusage: milepost %s %s\n`milepost %s -h` says more\n", c.name, err, c.name, c.usage, c.name)
		return exitUsage
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, errNothingToRead):
		fmt.Fprintf(inv.stderr, "milepost %s: %v\n", c.name, err)
		return exitIdle
	}
	fmt.Fprintf(inv.stderr, "milepost %s: %v\n", c.name, err)
	return exitFailed
}

// keepHeapSmall is for what runs long: it allocates little then, and memory is
// scarcer than the time of a collection.
func (inv *invocation) keepHeapSmall() {
	if _, set := inv.getenv("GOGC"); !set {
		debug.SetGCPercent(50)
	}
}

func (inv *invocation) help(w io.Writer) {
	fmt.Fprint(w, "milepost summarises the signals of CAN buses and recorded CAN logs second by second.\n\nusage: milepost COMMAND …\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\n`milepost COMMAND -h` explains a command and gives an example.\n")
}

// parse reads the flags that declare declares, which may stand before, between
// and behind the other arguments, and returns those. "--" ends the flags.
func (c *command) parse(inv *invocation, args []string, declare func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if declare != nil {
		declare(flags)
	}
	var rest []string
	for {
		err := flags.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			c.help(inv.stdout, flags)
			return nil, err
		}
		if err != nil {
			return nil, usagef("%v", err)
		}
		parsed := len(args) - flags.NArg()
		if flags.NArg() == 0 || (parsed > 0 && args[parsed-1] == "--") {
			return append(rest, flags.Args()...), nil
		}
		rest = append(rest, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func (c *command) help(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "%s\n\nusage: milepost %s %s\n", c.summary, c.name, c.usage)
	if c.detail != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.detail))
	}
	first := true
	flags.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\n")
			first = false
		}
		kind, usage := flag.UnquoteUsage(f)
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		head := strings.TrimRight(dashes+f.Name+" "+kind, " ")
		fmt.Fprintf(w, "  %-24s %s", head, usage)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			fmt.Fprintf(w, " (%s)", f.DefValue)
		}
		fmt.Fprint(w, "\n")
	})
	fmt.Fprintf(w, "\nexample:\n  %s\n", strings.ReplaceAll(strings.TrimSpace(c.example), "\n", "\n  "))
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// quietPipe makes nothing of an error that says that whoever reads the output
// has seen enough of it.
func quietPipe(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
