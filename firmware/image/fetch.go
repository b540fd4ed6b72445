package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"milepost/firmware/debian"
)

// wanted are the packages that a system is made of, beside what they depend on.
var wanted = []string{
	"base-files", "base-passwd", "bash", "dash", "coreutils", "grep", "sed", "util-linux", "mount", "procps",
	"systemd", "systemd-sysv", "systemd-timesyncd", "systemd-resolved", "udev", "dbus", "kmod",
	"iproute2", "can-utils", "netbase", "openssh-server", "ca-certificates", "e2fsprogs",
}

// leftOut are packages that the wanted ones depend on and that nothing here needs:
// they are for maintainer scripts, which are not run, and for installing packages.
var leftOut = []string{
	"adduser", "debconf", "dpkg", "init-system-helpers", "libdb5.3", "libdebconfclient0", "libgdbm-compat4", "libgdbm6",
	"libfile-find-rule-perl", "libnumber-compare-perl", "libperl5.36", "libsemanage-common", "libsemanage2", "libsepol2",
	"libtext-glob-perl", "lsb-base", "mawk", "openssl", "passwd", "perl", "perl-base", "perl-modules-5.36",
	"runit-helper", "sensible-utils", "tar", "ucf", "usrmerge",
}

const kernelPrefix = "linux-image-"

// fetch returns the packages: those of the folder, or else those that are the
// newest now, which are then kept there.
func fetch(ctx context.Context, work string, o *Options) ([]debian.Package, error) {
	list, err := debian.ReadList(o.Packages)
	if err == nil {
		o.log("%d packages of %s", len(list), o.Packages)
		return list, o.checkList(list)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	o.log("asking Debian's package sources for %s", o.Board.Arch.Debian)
	apt, err := debian.NewApt(filepath.Join(work, "apt"), o.Board.Arch.Debian)
	if err != nil {
		return nil, err
	}
	update := func() error {
		err := apt.Update(ctx)
		if err != nil && o.Incomplete {
			o.log("some package sources are left out: packages may be older than they should be: %v", err)
			return nil
		}
		return err
	}
	if err := update(); err != nil {
		return nil, err
	}
	components := []string{"main"}
	names := slices.Clone(wanted)
	if needsFirmware(o.Board) {
		components = append(components, "non-free-firmware")
		names = append(names, firmwarePackage)
	}
	if err := apt.OnlyDebian(ctx, Release, components...); err != nil {
		return nil, err
	}
	if err := update(); err != nil {
		return nil, err
	}
	resolved, err := apt.Resolve(ctx, names...)
	if err != nil {
		return nil, err
	}
	resolved = slices.DeleteFunc(resolved, func(p debian.Package) bool { return slices.Contains(leftOut, p.Name) })
	// Without its dependencies: they make an initramfs.
	kernel, err := apt.Dependency(ctx, o.Board.Kernel.Package, kernelPrefix)
	if err != nil {
		return nil, err
	}
	o.log("downloading %d packages", len(resolved)+1)
	if list, err = apt.Download(ctx, o.Packages, append(resolved, debian.Package{Name: kernel})...); err != nil {
		return nil, err
	}
	return list, os.WriteFile(filepath.Join(o.Packages, debian.ListFile), debian.FormatList(list), 0o666)
}

// checkList refuses packages that were downloaded for another kind of board.
func (o *Options) checkList(list []debian.Package) error {
	firmware := false
	for _, p := range list {
		if p.Architecture != "all" && p.Architecture != o.Board.Arch.Debian {
			return fmt.Errorf("%s has %s for %s, and %s is %s: give each architecture a folder of its own", o.Packages, p.Name, p.Architecture, o.Board.Name, o.Board.Arch.Debian)
		}
		firmware = firmware || p.Name == firmwarePackage
	}
	if needsFirmware(o.Board) && !firmware {
		return fmt.Errorf("%s has no %s, which %s needs: remove the list there to download again", o.Packages, firmwarePackage, o.Board.Name)
	}
	return nil
}
