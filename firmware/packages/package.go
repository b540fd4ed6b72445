// Package packages writes installable packages of milepost: .deb for Debian and its
// descendants, .rpm for Fedora and its, .ipk for OpenWrt with opkg.
//
// The formats are small, and are written here by themselves, so that building
// them needs Go alone and gives the same bytes on every machine: nothing of the
// clock, the user or the file system of the builder gets into them.
package packages

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Package is what is installed and what is said of it.
type Package struct {
	Name string
	// Version is as Debian orders versions; RPM and opkg order these the same: what
	// follows "~" is older than nothing. It has no "-".
	Version string
	// Arch is the format's name for the architecture.
	Arch       string
	Maintainer string // Name <address>
	Section    string // of Debian
	License    string // an SPDX expression
	Homepage   string
	Summary    string // one line
	// Description is paragraphs of plain text with an empty line between.
	Description string
	// Depends are the packages that must be there, in the format's own notation.
	Depends []string
	// Users are those that opkg makes before AfterInstall: user:group:further groups.
	Users   string
	Scripts Scripts
	Files   []File
	// Time is that of everything in the package.
	Time time.Time
}

// File is a file, a link or an empty folder of a package. The folders of files
// need not be named. All belong to root.
type File struct {
	Path string // absolute
	// Mode is the permissions, and fs.ModeDir for a folder.
	Mode fs.FileMode
	Body []byte
	// Link is where a symbolic link points to; empty for what is none.
	Link string
	// Config is what an administrator may change: an upgrade keeps the change.
	Config bool
}

// Scripts run as root while a package comes or goes; empty ones don't. They are for
// /bin/sh, with the arguments of the format's package manager.
type Scripts struct {
	BeforeInstall, AfterInstall, BeforeRemove, AfterRemove string
}

// check says what no format could take.
func (p *Package) check() error {
	for _, must := range []struct{ what, value string }{
		{"name", p.Name}, {"version", p.Version}, {"architecture", p.Arch}, {"maintainer", p.Maintainer}, {"summary", p.Summary},
	} {
		if must.value == "" || strings.ContainsAny(must.value, "\n\r\x00") {
			return fmt.Errorf("package %s: the %s %q is empty or not one line", p.Name, must.what, must.value)
		}
	}
	if strings.ContainsAny(p.Version, "-_:/ ") {
		return fmt.Errorf("package %s: version %q has one of \"-_:/ \", which some format has another use for", p.Name, p.Version)
	}
	if p.Time.Unix() < 0 || p.Time.Unix() > 1<<32-1 {
		return fmt.Errorf("package %s: the time %s does not fit into 32 bits", p.Name, p.Time)
	}
	seen := make(map[string]bool)
	for _, f := range p.Files {
		switch {
		case !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/":
			return fmt.Errorf("package %s: %q is not a clean absolute path", p.Name, f.Path)
		case seen[f.Path]:
			return fmt.Errorf("package %s: %s is there twice", p.Name, f.Path)
		case f.Link == "" && f.Mode.Perm() == 0:
			return fmt.Errorf("package %s: %s has no permissions", p.Name, f.Path)
		case int64(len(f.Body)) > maxFile:
			return fmt.Errorf("package %s: %s has %d bytes, more than the formats hold", p.Name, f.Path, len(f.Body))
		}
		seen[f.Path] = true
	}
	if len(p.Files) == 0 {
		return errors.New("package " + p.Name + ": it has no files")
	}
	return nil
}

// maxFile is what an int32 holds, as RPM has sizes.
const maxFile = 1<<31 - 1

// tree is the files with all their folders, each folder before what is in it.
func (p *Package) tree() []File {
	all := make(map[string]File)
	for _, f := range p.Files {
		all[f.Path] = f
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if _, there := all[dir]; !there {
				all[dir] = File{Path: dir, Mode: fs.ModeDir | 0o755}
			}
		}
	}
	return sorted(all)
}

func sorted(all map[string]File) (files []File) {
	for _, f := range all {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// installedKiB is the size of the files, each rounded up to a KiB.
func (p *Package) installedKiB() (kib int) {
	for _, f := range p.tree() {
		kib += max(1, (len(f.Body)+1023)/1024)
	}
	return kib
}

// configFiles are the paths of what an administrator may change.
func (p *Package) configFiles() (paths []string) {
	for _, f := range p.tree() {
		if f.Config {
			paths = append(paths, f.Path)
		}
	}
	return paths
}
