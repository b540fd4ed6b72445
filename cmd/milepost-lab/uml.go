package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"milepost/cmd/milepost-lab/uml"
)

const umlHelp = `usage: milepost-lab uml [--modules M,…] [--memory MIB] [--timeout 10m] PROGRAM [ARGUMENT …]

Runs a program in a Linux kernel of its own (User-Mode Linux), with the files,
arguments, environment and working directory of this one, and ends with its exit
code. The program is root there, and root nowhere else. Needs linux.uml (Debian:
user-mode-linux) on amd64, and no rights.

  --modules M,…    kernel modules to load first, such as nbd or vcan; between spaces,
                   one can have parameters: "i2c_dev i2c_stub:chip_addr=0x40,0x54"
  --memory MIB     the kernel's memory, 512 by default
  --timeout 10m    how long it may take

example:
  go test -exec "$PWD/bin/milepost-lab uml --modules nbd" ./uplink/spool/powercut
`

// exitCode is an error that says nothing but the code to end with.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func runUML(ctx context.Context, inv *invocation, args []string) error {
	opts := uml.Options{Stdout: inv.stdout, Stderr: inv.stderr}
	flags := flag.NewFlagSet("uml", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	modules := flags.String("modules", "", "")
	flags.IntVar(&opts.Memory, "memory", 512, "")
	flags.DurationVar(&opts.Timeout, "timeout", 10*time.Minute, "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(inv.stdout, umlHelp)
		return err
	} else if err != nil {
		return usagef("%v", err)
	}
	switch {
	case flags.NArg() == 0:
		return usagef("there is no program to run")
	case opts.Memory < 32:
		return usagef("--memory: a kernel needs 32 MiB or more")
	case opts.Timeout <= 0:
		return usagef("--timeout must be more than nothing")
	}
	for _, word := range strings.Fields(*modules) {
		if strings.Contains(word, ":") {
			opts.Modules = append(opts.Modules, word) // the commas are its parameters'
		} else {
			opts.Modules = append(opts.Modules, strings.FieldsFunc(word, func(r rune) bool { return r == ',' })...)
		}
	}
	code, err := uml.Run(ctx, opts, flags.Args()...)
	if err == nil && code != 0 {
		return exitCode(code)
	}
	return err
}

// runUMLInit is what the kernel starts; it adds arguments of its own.
func runUMLInit(args []string) error {
	if len(args) == 0 {
		return usagef("%s is for the kernel that `milepost-lab uml` starts", uml.InitCommand)
	}
	return uml.Init(args[0])
}
