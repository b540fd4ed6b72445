package uml

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"milepost/cmd/milepost-lab/modules"
)

// moduleDirs are where the modules of a User-Mode Linux lie; the first is
// Debian's, which keeps them apart from the host's.
var moduleDirs = []string{"/usr/lib/uml/modules", "/lib/modules"}

// loadModules loads modules and what they depend on into the running kernel.
func loadModules(names []string) error {
	if len(names) == 0 {
		return nil
	}
	release, err := modules.Release()
	if err != nil {
		return err
	}
	for _, dir := range moduleDirs {
		dir = filepath.Join(dir, release)
		if _, err := os.Stat(filepath.Join(dir, "modules.dep")); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return modules.Load(dir, names...)
	}
	return fmt.Errorf("there are no modules for kernel %s in %s", release, strings.Join(moduleDirs, " or "))
}
