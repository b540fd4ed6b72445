// Package modules loads modules into the running kernel.
package modules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"milepost/firmware/modules"
)

// Load loads modules and what they depend on into the running kernel, from the
// directory that has its modules.dep. One may have parameters, see Parameters. It
// needs CAP_SYS_MODULE.
func Load(dir string, names ...string) error {
	text, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return err
	}
	files, err := modules.Parse(string(text)).Order(names)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	parameters := modules.Parameters(names)
	for _, file := range files {
		if err := loadFile(filepath.Join(dir, file), parameters[modules.Name(file)]); err != nil {
			return fmt.Errorf("loading %s: %w", file, err)
		}
	}
	return nil
}

func loadFile(file, parameters string) error {
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

// Release is the running kernel's, such as 6.1.0-56-arm64: what the directory of
// its modules is called.
func Release() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(name.Release[:]), nil
}
