package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"milepost/cmd/internal/bench"
	"milepost/cmd/milepost-lab/uml"
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
	stdin          io.Reader
	stdout, stderr io.Writer
}

const help = `milepost-lab tries milepost out, with all that is needed around it.

usage: milepost-lab COMMAND …

  demo      a simulated drive, a broken link, and every record accounted for
  fleet     what a fleet does to its broker when that comes back
  bench     milepost against loops that do less than it, as ratios
  uml       a program in a Linux kernel of its own, for tests
  board     a virtual ARM board with its buses, lines, link, clock and power
  kafka     a real Apache Kafka to try it with

` + "`milepost-lab COMMAND -h` explains a command and gives an example.\n"

// usageError is a mistake in the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// run does what the arguments say and returns the exit code.
func (inv *invocation) run(ctx context.Context) int {
	if len(inv.args) == 0 {
		fmt.Fprint(inv.stderr, help)
		return exitUsage
	}
	name, args := inv.args[0], inv.args[1:]
	switch name {
	case "-h", "-help", "--help", "help":
		fmt.Fprint(inv.stdout, help)
		return exitDone
	case "demo", "fleet", "bench", "board", "kafka", "uml", bench.Loop, uml.InitCommand:
	default:
		fmt.Fprintf(inv.stderr, "milepost-lab: there is no command %q; `milepost-lab help` lists them\n", name)
		return exitUsage
	}
	var err error
	switch name {
	case "demo":
		err = runDemo(ctx, inv, args)
	case "fleet":
		err = runFleet(inv, args)
	case "bench":
		err = bench.Run(ctx, inv.stdout, args)
	case "board":
		err = runBoard(ctx, inv, args)
	case "kafka":
		err = runKafka(ctx, inv, args)
	case bench.Loop:
		err = bench.RunLoop(inv.stdout, args)
	case "uml":
		err = runUML(ctx, inv, args)
	case uml.InitCommand:
		err = runUMLInit(args)
	}
	var usage *usageError
	var code exitCode
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(inv.stderr, "milepost-lab %s: %v\n`milepost-lab %s -h` says more\n", name, err, name)
		return exitUsage
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(inv.stderr, "milepost-lab %s: %v\n", name, err)
	return exitFailed
}
