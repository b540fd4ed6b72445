package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"milepost/can/dbc"
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

// load reads the databases and says in a line each on stderr where one has
// problems.
func (d *databaseFlags) load(stderr io.Writer) (*gateway.Bindings, error) {
	options, err := d.options()
	if err != nil {
		return nil, err
	}
	parsed := make(map[string]*dbc.Database)
	byBus := make(map[string][]*dbc.Database) // "" is for all other buses
	for _, argument := range d.files {
		bus, path, err := splitBus(argument)
		if err != nil {
			return nil, err
		}
		db := parsed[path]
		if db == nil {
			if db, err = readDatabase(path); err != nil {
				return nil, err
			}
			parsed[path] = db
			if n := len(db.Problems()); n > 0 {
				fmt.Fprintf(stderr, "%s: %s, `milepost lint %s` lists them\n", path, plural(n, "problem"), path)
			}
		}
		byBus[bus] = append(byBus[bus], db)
	}
	var common *dbc.Decoder
	buses := make(map[string]*dbc.Decoder)
	conflicts := 0
	first := ""
	for bus, dbs := range byBus {
		decoder := dbc.Compile(dbs, options)
		if problems := decoder.Problems(); len(problems) > 0 {
			conflicts += len(problems)
			// Of several, the same one from run to run.
			if text := problems[0].String(); first == "" || text < first {
				first = text
			}
		}
		if bus == "" {
			common = decoder
		} else {
			buses[bus] = decoder
		}
	}
	if conflicts > 0 {
		fmt.Fprintf(stderr, "%s between databases, such as %s\n", plural(conflicts, "conflict"), first)
	}
	return gateway.NewBindings(common, buses), nil
}

func readDatabase(path string) (*dbc.Database, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return dbc.Parse(path, data)
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
	return fmt.Sprintf("%d %ss", n, thing)
}
