package board

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"milepost/cmd/milepost-lab/modules"
)

// Kernel is one of Debian's, unpacked and never installed.
type Kernel struct {
	Release string // such as 6.1.0-56-arm64
	Dir     string // of the unpacked package
}

// Image is the kernel itself.
func (k *Kernel) Image() string { return filepath.Join(k.Dir, "boot", "vmlinuz-"+k.Release) }

// moduleDir is where the modules are, here and in the guest, below a root.
func (k *Kernel) moduleDir() string { return "lib/modules/" + k.Release }

// DefaultCache is where kernels are kept: a folder of the user's cache.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("board: %w", err)
	}
	return filepath.Join(dir, "milepost-lab", "kernel"), nil
}

// FetchKernel returns the machine's kernel, from a cache or else from the package
// sources of this (Debian) machine. What is in the cache is used as it is: remove
// it to get a newer kernel. An empty cache is DefaultCache.
func FetchKernel(ctx context.Context, m Machine, cache string) (*Kernel, error) {
	if cache == "" {
		var err error
		if cache, err = DefaultCache(); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(cache, m.debian)
	if k, err := unpackedKernel(dir); err == nil {
		return k, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("board: %w", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	// Everything is made in a folder of its own and then renamed: what is in the
	// cache is whole, and two processes do not disturb one another.
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	defer os.RemoveAll(work)
	unpacked := filepath.Join(work, "kernel")
	if err := fetchKernel(ctx, m, work, unpacked); err != nil {
		return nil, fmt.Errorf("board: fetching a kernel: %w", err)
	}
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	renamed := os.Rename(unpacked, dir)
	k, err := unpackedKernel(dir) // another process may have been quicker
	if err != nil {
		return nil, fmt.Errorf("board: %w", errors.Join(renamed, err))
	}
	return k, nil
}

func fetchKernel(ctx context.Context, m Machine, work, unpacked string) error {
	depmod, err := findProgram("depmod", "kmod")
	if err != nil {
		return err
	}
	dpkg, err := findProgram("dpkg-deb", "dpkg")
	if err != nil {
		return err
	}
	if _, err := findProgram("apt-get", "apt"); err != nil {
		return err
	}
	packages := &apt{dir: work, architecture: m.debian}
	// One source of several may be out of order, a mirror in the middle of its
	// work, say. apt then leaves that one out, and any kernel of the others will do.
	incomplete := packages.update(ctx)
	// The name of the package changes with the kernel's binary interface.
	name, err := packages.dependency(ctx, m.image, "linux-image-")
	if err != nil {
		return errors.Join(err, incomplete)
	}
	file, err := packages.download(ctx, name)
	if err != nil {
		return err
	}
	if err := command(ctx, dpkg, "-x", file, unpacked); err != nil {
		return err
	}
	k, err := unpackedKernel(unpacked)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return command(ctx, depmod, "-b", unpacked, "-F", filepath.Join(unpacked, "boot", "System.map-"+k.Release), k.Release)
}

// unpackedKernel finds the kernel in a folder. The error is fs.ErrNotExist if
// there is none.
func unpackedKernel(dir string) (*Kernel, error) {
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("a kernel below %s: %w", dir, fs.ErrNotExist)
	}
	return &Kernel{Release: strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-"), Dir: dir}, nil
}

// files are those of some modules and of what they depend on, with their paths
// below the kernel's root, and a modules.dep of them alone. A module that is built
// into the kernel needs no file.
func (k *Kernel) files(names []string) (files []string, dependencies string, err error) {
	dir := filepath.Join(k.Dir, k.moduleDir())
	dep, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, "", err
	}
	builtin, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, "", err
	}
	inside := map[string]bool{}
	for line := range strings.Lines(string(builtin)) {
		inside[modules.Name(strings.TrimSpace(line))] = true
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return inside[modules.Name(name)] })
	all := modules.Parse(string(dep))
	order, err := all.Order(names)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", k.Release, err)
	}
	var lines strings.Builder
	for _, file := range order {
		files = append(files, k.moduleDir()+"/"+file)
		needs := all[modules.Name(file)]
		fmt.Fprintf(&lines, "%s: %s\n", needs[0], strings.Join(needs[1:], " "))
	}
	return files, lines.String(), nil
}

// findProgram finds a program that may be in the directories of root.
func findProgram(name, debian string) (string, error) {
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", &MissingError{Program: name, Package: debian}
}

// MissingError says that a program that a board needs is not installed.
type MissingError struct {
	Program string
	Package string // Debian's, that has it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("there is no %s: on Debian, `apt-get install %s`", e.Program, e.Package)
}

// command runs a program; what it says is in the error.
func command(ctx context.Context, program string, args ...string) error {
	if said, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(said))
	}
	return nil
}
