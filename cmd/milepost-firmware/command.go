package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// invocation is one run of the program. Tests make their own.
type invocation struct {
	args           []string // without the program's name
	stdout, stderr io.Writer
	getenv         func(string) (string, bool)
}

// command is one of the commands. Its run gets what parse has left.
type command struct {
	name    string
	summary string
	usage   string // what follows the name
	detail  string
	run     func(ctx context.Context, inv *invocation, c *command, args []string) error
}

func commands() []*command {
	return []*command{buildCommand, distCommand, packageCommand, imageCommand, keyCommand, bundleCommand}
}

// usageError is a mistake in the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// run does what the arguments say and returns the exit code.
func (inv *invocation) run(ctx context.Context) int {
	if len(inv.args) == 0 {
		inv.help(inv.stderr)
		return exitUsage
	}
	name, args := inv.args[0], inv.args[1:]
	if name == "-h" || name == "--help" || name == "help" {
		inv.help(inv.stdout)
		return exitDone
	}
	all := commands()
	i := slices.IndexFunc(all, func(c *command) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(inv.stderr, "milepost-firmware: there is no command %q; `milepost-firmware help` lists them\n", name)
		return exitUsage
	}
	err := all[i].run(ctx, inv, all[i], args)
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(inv.stderr, "milepost-firmware %s: %v\nusage: milepost-firmware %s %s\n", name, err, name, all[i].usage)
		return exitUsage
	}
	fmt.Fprintf(inv.stderr, "milepost-firmware %s: %v\n", name, err)
	return exitFailed
}

func (inv *invocation) help(w io.Writer) {
	fmt.Fprint(w, "milepost-firmware makes binaries, packages and images of milepost. It runs in a checkout of the project, with Go.\n\nusage: milepost-firmware COMMAND …\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\n`milepost-firmware COMMAND -h` explains a command.\n")
}

// parse reads the flags that declare declares and returns the other arguments.
func (c *command) parse(inv *invocation, args []string, declare func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	declare(flags)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(inv.stdout, "%s\n\nusage: milepost-firmware %s %s\n\n%s\n\n", c.summary, c.name, c.usage, strings.TrimSpace(c.detail))
		flags.SetOutput(inv.stdout)
		flags.PrintDefaults()
		return nil, err
	}
	if err != nil {
		return nil, usagef("%v", err)
	}
	return flags.Args(), nil
}
