package uml

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// moduleDirs are where the modules of a User-Mode Linux lie; the first is
// Debian's, which keeps them apart from the host's.
var moduleDirs = []string{"/usr/lib/uml/modules", "/lib/modules"}

// loadModules loads modules and what they depend on into the running kernel.
func loadModules(modules []string) error {
	if len(modules) == 0 {
		return nil
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	release := unix.ByteSliceToString(name.Release[:])
	for _, dir := range moduleDirs {
		dir = filepath.Join(dir, release)
		text, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		files, err := parseDependencies(string(text)).order(modules)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		parameters := parametersOf(modules)
		for _, file := range files {
			if err := loadModule(filepath.Join(dir, file), parameters[moduleName(file)]); err != nil {
				return fmt.Errorf("loading %s: %w", file, err)
			}
		}
		return nil
	}
	return fmt.Errorf("there are no modules for kernel %s in %s", release, strings.Join(moduleDirs, " or "))
}

func loadModule(file, parameters string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(file, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(int(f.Fd()), parameters, flags); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}
