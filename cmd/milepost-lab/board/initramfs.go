package board

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"milepost/cmd/milepost-lab/board/control"
	"milepost/firmware/cpio"
	"milepost/firmware/debian"
	"milepost/firmware/modules"
)

// writeInitramfs writes the guest's first and only file system apart from the
// data disk: the guest's program as /init, the modules, and what the test brings
// along, by its path in the guest.
func writeInitramfs(path string, k *debian.Kernel, names []string, init string, files map[string]string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	a := cpio.New(buffered)
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "etc", strings.Trim(control.DataDir, "/")} {
		a.Directory(dir)
	}
	a.Character("dev/console", 0o600, 5, 1) // the kernel opens it before /dev is mounted
	add := func(name, from string, permissions uint32) error {
		data, err := os.ReadFile(from)
		if err == nil {
			a.File(name, permissions, data)
		}
		return err
	}
	if err := add("init", init, 0o755); err != nil {
		return err
	}
	moduleFiles, dependencies, err := k.ModuleFiles(names)
	if err != nil {
		return err
	}
	var order strings.Builder
	for _, file := range moduleFiles {
		if err := add(file, filepath.Join(k.Dir, file), 0o644); err != nil {
			return err
		}
		order.WriteString(modules.Name(file) + "\n")
	}
	a.File(k.ModuleDir()+"/modules.dep", 0o644, []byte(dependencies))
	a.File(strings.Trim(control.ModulesFile, "/"), 0o644, []byte(order.String()))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		permissions := uint32(0o644)
		if info, err := os.Stat(files[name]); err == nil && info.Mode()&0o111 != 0 {
			permissions = 0o755
		}
		if err := add(strings.Trim(name, "/"), files[name], permissions); err != nil {
			return err
		}
	}
	if err := a.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}
