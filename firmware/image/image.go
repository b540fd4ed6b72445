// Package image makes images for the disks of boards: what starts the board, a
// system made of Debian's signed packages with milepost in it, room for a second
// one, and a data partition. docs/images.md says what such a gateway does.
//
// No maintainer script is run and no root is needed: packages are unpacked into a
// list of files, what their scripts would have made is made here, and the
// programs that make file systems write into files. The same packages and the same
// milepost give the same image, bit by bit.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"milepost/boards"
	"milepost/firmware/debian"
	"milepost/firmware/packages"
)

// Release is Debian's that systems are made of.
const Release = "bookworm"

// Options say what an image is made of. Board, Gateway, Stage, Version and Time
// are required.
type Options struct {
	Board *boards.Board
	// Gateway are the files of milepost's Debian package for the board.
	Gateway []packages.File
	// Stage is cmd/milepost-stage, built for the board.
	Stage []byte
	// Version is the system's: milepost's, or a later one where only Debian's packages
	// are new. Update bundles are ordered by it.
	Version string
	// Time is that of everything in the image.
	Time time.Time
	// Packages is a folder where downloaded packages are kept, and taken from if they
	// are there. Empty for a temporary one.
	Packages string
	// UpdateKeys are the public keys whose update bundles the system takes, by the
	// names of their files.
	UpdateKeys map[string][]byte
	// BootFiles are further files of the boot partition, such as milepost.yaml.
	BootFiles map[string][]byte
	// Incomplete says that package sources that cannot be read are left out. The
	// packages may then be older than they should be.
	Incomplete bool
	// Sizes in MiB; 128, 256 and 60 where they are zero.
	BootMiB, SystemMiB, DataMiB int
	// Log gets a line a step, if not nil.
	Log func(format string, args ...any)
}

// Result says what an image is.
type Result struct {
	Layout   Layout
	Kernel   string           // its release
	Packages []debian.Package // that the system was made of
	System   int64            // bytes of the squashfs
}

func (o *Options) log(format string, args ...any) {
	if o.Log != nil {
		o.Log(format, args...)
	}
}

// Check says why there is no image for a board.
func Check(b *boards.Board) error {
	switch {
	case b.Kernel.Release != Release:
		return fmt.Errorf("%s needs the kernel of Debian %s, and images are made of %s", b.Name, b.Kernel.Release, Release)
	case !RaspberryPi(b) && !strings.Contains(b.Emulator, " virt"): // of QEMU, which starts the kernel itself
		return fmt.Errorf("%s: images are made for Raspberry Pis and for QEMU's virt; for others there is the package", b.Name)
	}
	return nil
}

// Build makes an image, and beside it, if system is not empty, the file system of
// its system, as update bundles have it.
func Build(ctx context.Context, out, system string, o Options) (result *Result, err error) {
	if err := Check(o.Board); err != nil {
		return nil, err
	}
	t, err := findTools()
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if o.Packages == "" {
		o.Packages = filepath.Join(work, "packages")
	}
	if err := os.MkdirAll(o.Packages, 0o777); err != nil {
		return nil, err
	}
	list, err := fetch(ctx, work, &o)
	if err != nil {
		return nil, err
	}
	kernelPackage := slices.IndexFunc(list, func(p debian.Package) bool { return strings.HasPrefix(p.Name, kernelPrefix) })
	if kernelPackage < 0 {
		return nil, fmt.Errorf("%s: there is no %s* in the list of packages", o.Packages, kernelPrefix)
	}
	o.log("unpacking the kernel %s %s", list[kernelPackage].Name, list[kernelPackage].Version)
	kernel, err := debian.UnpackKernel(ctx, list[kernelPackage].File, filepath.Join(work, "kernel"))
	if err != nil {
		return nil, err
	}
	files, err := newTree(work)
	if err != nil {
		return nil, err
	}
	defer files.close()
	if err := o.fill(ctx, files, list, kernel, work); err != nil {
		return nil, err
	}
	if system == "" {
		system = filepath.Join(work, "system.squashfs")
	}
	o.log("packing %d files, %d MiB", len(files.entries), files.end/mib)
	if err := t.makeSystem(ctx, files, system, o.Time); err != nil {
		return nil, err
	}
	result = &Result{Layout: newLayout(orSize(o.BootMiB, 128), orSize(o.SystemMiB, 256), orSize(o.DataMiB, 60)), Kernel: kernel.Release, Packages: list}
	if result.System, result.Layout.Signed, err = sign(system, &o); err != nil {
		return nil, err
	}
	o.log("writing %s: %d MiB, of which the system has %d", out, result.Layout.Size()/mib, (result.System+mib-1)/mib)
	if err := o.write(ctx, &t, filepath.Join(work, "image"), system, work, kernel, result); err != nil {
		return nil, err
	}
	return result, os.Rename(filepath.Join(work, "image"), out)
}

func orSize(size, otherwise int) int {
	if size == 0 {
		return otherwise
	}
	return size
}

// fill makes the system's files.
func (o *Options) fill(ctx context.Context, files *tree, list []debian.Package, kernel *debian.Kernel, work string) error {
	installed := slices.DeleteFunc(slices.Clone(list), func(p debian.Package) bool {
		return strings.HasPrefix(p.Name, kernelPrefix) || p.Name == firmwarePackage
	})
	o.log("unpacking %d packages", len(installed))
	if err := files.unpack(ctx, installed); err != nil {
		return err
	}
	for _, f := range o.Gateway {
		switch {
		case f.Mode.IsDir():
			files.folder(f.Path, f.Mode.Perm())
		case f.Link != "":
			files.symlink(f.Path, f.Link)
		case f.Config: // comes from the boot partition
		default:
			if err := files.file(f.Path, f.Mode, f.Body); err != nil {
				return err
			}
		}
	}
	if err := files.addModules(ctx, kernel, work); err != nil {
		return err
	}
	if err := files.complete(); err != nil {
		return err
	}
	for name, key := range o.UpdateKeys {
		if err := files.file("usr/share/milepost/update-keys/"+name, 0o644, key); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"usr/share/milepost/packages":                string(debian.FormatList(list)),
		"etc/milepost-release":                       o.releaseFile(kernel),
		"etc/modules-load.d/milepost.conf":           o.loadedModules(files, kernel),
		"etc/systemd/system.conf.d/50-watchdog.conf": o.watchdog(),
	} {
		if err := files.file(name, 0o644, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// sign makes the disk's signature of what the disk holds.
func sign(system string, o *Options) (size int64, signature uint32, err error) {
	body, err := os.ReadFile(system)
	if err != nil {
		return 0, 0, err
	}
	h := sha256.New()
	h.Write(body)
	h.Write(o.Stage)
	fmt.Fprintf(h, "%s %s", o.Board.Name, o.Version)
	return int64(len(body)), binary.LittleEndian.Uint32(h.Sum(nil)) | 1, nil
}

// write writes the image.
func (o *Options) write(ctx context.Context, t *tools, out, system, work string, kernel *debian.Kernel, r *Result) error {
	l := &r.Layout
	table, err := l.partitionTable()
	if err != nil {
		return err
	}
	initrd, err := initramfs(kernel, o.Board, o.Stage)
	if err != nil {
		return err
	}
	boot, err := bootFiles(ctx, o.Board, kernel, r.Packages, initrd, l.Signed, work)
	if err != nil {
		return err
	}
	for name, body := range o.BootFiles {
		boot = append(boot, bootFile{name, body})
	}
	slices.SortFunc(boot, func(a, b bootFile) int { return strings.Compare(a.name, b.name) })
	image, err := os.Create(out)
	if err != nil {
		return err
	}
	defer image.Close()
	if err := image.Truncate(l.Size()); err != nil {
		return err
	}
	if _, err := image.WriteAt(table, 0); err != nil {
		return err
	}
	if err := copyInto(image, l.A, system); err != nil {
		return err
	}
	staging := filepath.Join(work, "boot")
	if err := os.Mkdir(staging, 0o777); err != nil {
		return err
	}
	if err := t.makeBoot(ctx, out, staging, l, boot, o.Time); err != nil {
		return err
	}
	return t.makeData(ctx, out, work, l, o.Time)
}
