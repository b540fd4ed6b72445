package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"milepost/can/dbc"
	"milepost/cmd/internal/config"
)

var checkCommand = &command{
	name:    "check",
	summary: "check a configuration and the databases that it names",
	usage:   "[--for-service] CONFIG | --default",
	detail: `
Every mistake in the file is shown with its line and column; so are the problems
of the DBC files. Nothing is connected to and nothing is written.

With --for-service, what starts the gateway asks whether there is anything to do:
the exit code is 3 if CONFIG lists no buses and no sensors, and otherwise 0, with
mistakes in the file too, because run will tell of them.`,
	example: `milepost check --default > milepost.yaml
milepost check milepost.yaml`,
	run: runCheck,
}

// errNothingToRead ends the program with exitIdle.
var errNothingToRead = errors.New("there is nothing to read: list the buses under buses, or sensors under sensors")

func runCheck(_ context.Context, inv *invocation, c *command, args []string) error {
	var printDefault, forService bool
	files, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.BoolVar(&printDefault, "default", false, "print the complete default configuration, with comments")
		flags.BoolVar(&forService, "for-service", false, "only ask whether there is anything to read")
	})
	if err != nil {
		return err
	}
	if printDefault {
		_, err := inv.stdout.Write(config.DefaultFile())
		return err
	}
	if len(files) != 1 {
		return usagef("which CONFIG?")
	}
	loaded, err := config.Load(files[0])
	if forService {
		if err == nil && len(loaded.Buses)+len(loaded.Sensors) == 0 {
			return fmt.Errorf("%s: %w", files[0], errNothingToRead)
		}
		return nil
	}
	if err != nil {
		return err
	}
	usable := true
	databases, messages, signals := 0, 0, 0
	read := func(path string) {
		text, err := os.ReadFile(path)
		var db *dbc.Database
		if err == nil {
			db, err = dbc.Parse(path, text)
		}
		if err != nil {
			fmt.Fprintln(inv.stderr, err)
			usable = false
			return
		}
		databases++
		messages += len(db.Messages)
		for _, m := range db.Messages {
			signals += len(m.Signals)
		}
		for _, p := range db.Problems() {
			fmt.Fprintln(inv.stdout, p)
		}
	}
	for _, path := range loaded.DBC {
		read(path)
	}
	for _, bus := range loaded.Buses {
		for _, path := range bus.DBC {
			read(path)
		}
	}
	for i := range loaded.Sinks {
		if _, err := loaded.Sinks[i].ReadPassword(); err != nil {
			fmt.Fprintf(inv.stderr, "sink %s: %v\n", loaded.Sinks[i].Name, err)
			usable = false
		}
	}
	for i := range loaded.Sensors {
		if _, _, err := (&service{config: loaded}).sensor(&loaded.Sensors[i]); err != nil {
			fmt.Fprintf(inv.stderr, "sensor %s: %v\n", loaded.Sensors[i].Name, err)
			usable = false
		}
	}
	if !usable {
		return errReported
	}
	fmt.Fprintf(inv.stdout, "%s is usable: device %s, %s (%s, %s), %s, %s, %s\n", files[0], loaded.Device,
		plural(databases, "database"), plural(messages, "message"), plural(signals, "signal"),
		plural(len(loaded.Buses), "bus"), plural(len(loaded.Sensors), "sensor"), plural(len(loaded.Sinks), "sink"))
	return nil
}
