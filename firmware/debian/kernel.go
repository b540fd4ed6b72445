package debian

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"milepost/firmware/modules"
)

// Kernel is one of Debian's, unpacked and never installed.
type Kernel struct {
	Release string // such as 6.1.0-56-arm64
	Dir     string // of the unpacked package
}

// UnpackKernel unpacks a package linux-image-RELEASE into a folder, and writes
// there what says which module needs which.
func UnpackKernel(ctx context.Context, deb, dir string) (*Kernel, error) {
	dpkg, err := FindProgram("dpkg-deb", "dpkg")
	if err != nil {
		return nil, err
	}
	depmod, err := FindProgram("depmod", "kmod")
	if err != nil {
		return nil, err
	}
	if err := Run(ctx, dpkg, "-x", deb, dir); err != nil {
		return nil, err
	}
	k, err := OpenKernel(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(deb), err)
	}
	return k, Run(ctx, depmod, "-b", dir, "-F", k.SymbolMap(), k.Release)
}

// OpenKernel finds the kernel in a folder. The error is fs.ErrNotExist if there is
// none.
func OpenKernel(dir string) (*Kernel, error) {
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("a kernel below %s: %w", dir, fs.ErrNotExist)
	}
	return &Kernel{Release: strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-"), Dir: dir}, nil
}

// Image is the kernel itself.
func (k *Kernel) Image() string { return filepath.Join(k.Dir, "boot", "vmlinuz-"+k.Release) }

// SymbolMap is the file with the addresses of the kernel's symbols.
func (k *Kernel) SymbolMap() string { return filepath.Join(k.Dir, "boot", "System.map-"+k.Release) }

// DeviceTree is the file of a device tree, by its path below the kernel's folder of
// them, such as broadcom/bcm2711-rpi-4-b.dtb.
func (k *Kernel) DeviceTree(path string) string {
	return filepath.Join(k.Dir, "usr", "lib", "linux-image-"+k.Release, path)
}

// ModuleDir is where the modules are, here below Dir and on the board below its
// root.
func (k *Kernel) ModuleDir() string { return "lib/modules/" + k.Release }

// Dependencies are those of all modules.
func (k *Kernel) Dependencies() (modules.Dependencies, error) {
	text, err := os.ReadFile(filepath.Join(k.Dir, k.ModuleDir(), "modules.dep"))
	if err != nil {
		return nil, err
	}
	return modules.Parse(string(text)), nil
}

// ModuleFiles are those of some modules and of what they depend on, with their
// paths below Dir, in the order in which they can be loaded, and a modules.dep of
// them alone. A module that is built into the kernel needs no file.
func (k *Kernel) ModuleFiles(names []string) (files []string, dependencies string, err error) {
	all, err := k.Dependencies()
	if err != nil {
		return nil, "", err
	}
	builtin, err := os.ReadFile(filepath.Join(k.Dir, k.ModuleDir(), "modules.builtin"))
	if err != nil {
		return nil, "", err
	}
	inside := map[string]bool{}
	for line := range strings.Lines(string(builtin)) {
		inside[modules.Name(strings.TrimSpace(line))] = true
	}
	var loaded []string
	for _, name := range names {
		if !inside[modules.Name(name)] {
			loaded = append(loaded, name)
		}
	}
	order, err := all.Order(loaded)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", k.Release, err)
	}
	var lines strings.Builder
	for _, file := range order {
		files = append(files, k.ModuleDir()+"/"+file)
		needs := all[modules.Name(file)]
		fmt.Fprintf(&lines, "%s: %s\n", needs[0], strings.Join(needs[1:], " "))
	}
	return files, lines.String(), nil
}
