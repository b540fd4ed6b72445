package gateway

import (
	"fmt"
	"os"

	"milepost/can/dbc"
)

// Databases are the DBC files of a run: those of single buses, by name, and
// those of all others under the empty name.
type Databases map[string][]string

// Bind reads the files and compiles them. A bus with files of its own uses those
// first and the common ones behind them. Problems of the files are reported, and
// do not keep the rest of a file from being used.
func (d Databases) Bind(options dbc.Options, report func(dbc.Problem)) (*Bindings, error) {
	read := make(map[string]*dbc.Database)
	load := func(paths []string) ([]*dbc.Database, error) {
		var all []*dbc.Database
		for _, path := range paths {
			if read[path] == nil {
				text, err := os.ReadFile(path)
				if err != nil {
					return nil, fmt.Errorf("read the database: %w", err)
				}
				db, err := dbc.Parse(path, text)
				if err != nil {
					return nil, err
				}
				for _, p := range db.Problems() {
					report(p)
				}
				read[path] = db
			}
			all = append(all, read[path])
		}
		return all, nil
	}
	// Databases of equal standing should not contradict one another; that a bus's
	// own take precedence over the common ones is what they are for.
	reportConflicts := func(dbs []*dbc.Database) {
		for _, p := range dbc.Compile(dbs, options).Problems() {
			report(p)
		}
	}
	common, err := load(d[""])
	if err != nil {
		return nil, err
	}
	buses := make(map[string]*dbc.Decoder)
	for bus, paths := range d {
		if bus == "" {
			continue
		}
		own, err := load(paths)
		if err != nil {
			return nil, err
		}
		reportConflicts(own)
		buses[bus] = dbc.Compile(append(own, common...), options)
	}
	var shared *dbc.Decoder
	if len(common) > 0 {
		reportConflicts(common)
		shared = dbc.Compile(common, options)
	}
	return NewBindings(shared, buses), nil
}
