package main

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"milepost/can/dbc"
	"milepost/cmd/internal/config"
	"milepost/cmd/internal/gateway"
)

// databaseFlags say which databases decode the frames of which bus, and how.
type databaseFlags struct {
	files        list // FILE or BUS=FILE
	match        string
	notAvailable string
}

func (d *databaseFlags) declare(flags *flag.FlagSet) {
	flags.Var(&d.files, "dbc", "database: `[BUS=]FILE`, for that bus or for all that have none of their own; may be repeated")
	flags.StringVar(&d.match, "match", "auto", "`HOW` frames find their message: by ID (exact), 29-bit IDs by PGN (j1939), as the DBC says (auto)")
	flags.StringVar(&d.notAvailable, "not-available", "missing", "`WHAT` J1939's \"not available\" and \"error\" are: missing, or keep them as numbers")
}

// isDatabase tells a DBC file among arguments by its name.
func isDatabase(argument string) bool {
	return strings.EqualFold(filepath.Ext(argument), ".dbc")
}

// options gives the meaning of the flags --match and --not-available.
func (d *databaseFlags) options() (options dbc.Options, err error) {
	switch d.match {
	case "auto":
		options.Match = dbc.MatchAuto
	case "exact":
		options.Match = dbc.MatchExact
	case "j1939":
		options.Match = dbc.MatchJ1939
	default:
		return options, usagef("--match %s: use auto, exact or j1939", d.match)
	}
	switch d.notAvailable {
	case "missing":
	case "keep":
		options.KeepNotAvailable = true
	default:
		return options, usagef("--not-available %s: use missing or keep", d.notAvailable)
	}
	return options, nil
}

// fromConfig adds the files of a configuration.
func (d *databaseFlags) fromConfig(c *config.Config) {
	d.files = append(d.files, c.DBC...)
	for _, bus := range c.Buses {
		for _, path := range bus.DBC {
			d.files = append(d.files, bus.Name+"="+path)
		}
	}
}

// load reads the databases and says in a line each where one has problems.
func (d *databaseFlags) load(messages io.Writer) (*gateway.Bindings, error) {
	options, err := d.options()
	if err != nil {
		return nil, err
	}
	databases := gateway.Databases{}
	for _, argument := range d.files {
		bus, path, err := splitBus(argument)
		if err != nil {
			return nil, err
		}
		databases[bus] = append(databases[bus], path)
	}
	problems := make(map[string]int)
	var files []string
	bindings, err := databases.Bind(options, func(p dbc.Problem) {
		if problems[p.File] == 0 {
			files = append(files, p.File)
		}
		problems[p.File]++
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	for _, path := range files {
		fmt.Fprintf(messages, "%s: %s, `milepost lint %s` lists them\n", path, plural(problems[path], "problem"), path)
	}
	return bindings, nil
}

// splitBus splits BUS=FILE. A path before the = is the name of a file that has
// one: ./a=b.dbc.
func splitBus(argument string) (bus, path string, err error) {
	bus, path, found := strings.Cut(argument, "=")
	if !found || strings.ContainsAny(bus, `/\`) {
		bus, path = "", argument
	}
	switch {
	case path == "":
		return "", "", usagef("--dbc %q: no file named", argument)
	case found && bus == "" && path != argument:
		return "", "", usagef("--dbc %q: no bus named before the =", argument)
	}
	return bus, path, nil
}

// plural counts things: 1 problem, 2 problems, 2 entries.
func plural[N int | int64 | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, found := strings.CutSuffix(thing, "ry"); found {
		return fmt.Sprintf("%d %sries", n, stem)
	}
	if strings.HasSuffix(thing, "s") {
		return fmt.Sprintf("%d %ses", n, thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
