package uml

import (
	"fmt"
	"path"
	"strings"
)

// dependencies is what modules.dep says: for each module's name the files to
// load, its own first, each of which may need those behind it.
type dependencies map[string][]string

// parseDependencies reads a modules.dep, as depmod(8) writes it: a line a module,
// "FILE: FILE…".
func parseDependencies(text string) dependencies {
	deps := dependencies{}
	for line := range strings.Lines(text) {
		file, needs, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		deps[moduleName(file)] = append([]string{file}, strings.Fields(needs)...)
	}
	return deps
}

// moduleName is the name of the module in a file: kernel/net/can/can-raw.ko.xz
// has can_raw.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// parametersOf returns what follows the colon of each module that has one, by the
// module's name: "i2c_stub:chip_addr=0x40,0x54".
func parametersOf(modules []string) map[string]string {
	parameters := map[string]string{}
	for _, module := range modules {
		if name, text, ok := strings.Cut(module, ":"); ok {
			parameters[moduleName(name)] = text
		}
	}
	return parameters
}

// order returns the files for some modules in the order in which they can be
// loaded, each once.
func (d dependencies) order(modules []string) (files []string, err error) {
	seen := map[string]bool{}
	for _, module := range modules {
		module, _, _ := strings.Cut(module, ":") // without its parameters
		needs, ok := d[moduleName(module)]
		if !ok {
			return nil, fmt.Errorf("this kernel has no module %s", module)
		}
		for i := len(needs) - 1; i >= 0; i-- {
			if !seen[needs[i]] {
				seen[needs[i]] = true
				files = append(files, needs[i])
			}
		}
	}
	return files, nil
}
