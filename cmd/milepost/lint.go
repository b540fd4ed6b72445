package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"milepost/can/dbc"
)

var lintCommand = &command{
	name:    "lint",
	summary: "list what is wrong with DBC files",
	usage:   "FILE.dbc…",
	detail: `
Prints each problem as file:line:column: message, with what milepost makes of
it. It fails only if nothing of a file can be used: if it is no DBC file, or
none of its messages is left.`,
	example: `milepost lint car.dbc`,
	run:     runLint,
}

func runLint(ctx context.Context, inv *invocation, c *command, args []string) error {
	files, err := c.parse(inv, args, nil)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("no file: name a DBC file")
	}
	out := bufio.NewWriter(inv.stdout)
	var unusable error
	for _, file := range files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		db, err := readDatabase(file)
		if err != nil {
			fmt.Fprintln(inv.stderr, err)
			unusable = errReported
			continue
		}
		problems := db.Problems()
		for _, problem := range problems {
			fmt.Fprintln(out, problem)
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write the problems: %w", err)
		}
		signals := 0
		for _, m := range db.Messages {
			signals += len(m.Signals)
		}
		found := "no problems"
		if len(problems) > 0 {
			found = plural(len(problems), "problem")
		}
		fmt.Fprintf(inv.stderr, "%s: %s in %s with %s\n", file, found,
			plural(len(db.Messages), "message"), plural(signals, "signal"))
		if len(db.Messages) == 0 && len(problems) > 0 {
			unusable = errReported
		}
	}
	return unusable
}

func readDatabase(path string) (*dbc.Database, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return dbc.Parse(path, data)
}
