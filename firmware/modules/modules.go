// Package modules knows which files a Linux kernel's modules are in and in which
// order they are loaded.
package modules

import (
	"fmt"
	"path"
	"strings"
)

// Dependencies is what modules.dep says: for each module's name the files to
// load, its own first, each of which may need those behind it.
type Dependencies map[string][]string

// Parse reads a modules.dep, as depmod(8) writes it: a line a module,
// "FILE: FILE…", with paths below the directory of the kernel's modules.
func Parse(text string) Dependencies {
	deps := Dependencies{}
	for line := range strings.Lines(text) {
		file, needs, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		deps[Name(file)] = append([]string{file}, strings.Fields(needs)...)
	}
	return deps
}

// Name is the name of the module in a file: kernel/net/can/can-raw.ko.xz has
// can_raw.
func Name(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// Parameters returns what follows the colon of each module that has one, by the
// module's name: "i2c_stub:chip_addr=0x40,0x54".
func Parameters(modules []string) map[string]string {
	parameters := map[string]string{}
	for _, module := range modules {
		if name, text, ok := strings.Cut(module, ":"); ok {
			parameters[Name(name)] = text
		}
	}
	return parameters
}

// Order returns the files for some modules in the order in which they can be
// loaded, each once.
func (d Dependencies) Order(modules []string) (files []string, err error) {
	seen := map[string]bool{}
	for _, module := range modules {
		module, _, _ := strings.Cut(module, ":") // without its parameters
		needs, ok := d[Name(module)]
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
