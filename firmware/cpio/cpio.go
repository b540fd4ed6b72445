// Package cpio writes the archives that the Linux kernel unpacks as its first file
// system.
package cpio

import (
	"fmt"
	"io"
	"path"
)

// Archive writes a cpio archive in the format "newc" (Documentation/driver-api/early-userspace/buffer-format.rst):
//
//	entry    "070701", 13 numbers of 8 hexadecimal digits, name with a zero byte,
//	         zeros up to a multiple of 4, data, zeros up to a multiple of 4
//	numbers  inode, mode, uid, gid, links, mtime, size, device (major, minor),
//	         device node (major, minor), length of the name with its zero, check (0)
//	end      an entry of the name "TRAILER!!!"
//
// The same entries give the same bytes.
type Archive struct {
	w       io.Writer
	entries int
	dirs    map[string]bool
	err     error
}

const (
	modeDirectory = 0o040000
	modeFile      = 0o100000
	modeCharacter = 0o020000
)

// New begins an archive. Errors are kept for Close.
func New(w io.Writer) *Archive { return &Archive{w: w, dirs: map[string]bool{".": true}} }

// File adds a file, and the directories above it. Paths have no slash at the
// beginning.
func (a *Archive) File(name string, permissions uint32, data []byte) {
	a.Directory(path.Dir(name))
	a.entry(name, modeFile|permissions, 0, 0, data)
}

// Directory adds a directory, and those above it, unless they are there.
func (a *Archive) Directory(name string) {
	if a.dirs[name] {
		return
	}
	a.Directory(path.Dir(name))
	a.dirs[name] = true
	a.entry(name, modeDirectory|0o755, 0, 0, nil)
}

// Character adds a character device.
func (a *Archive) Character(name string, permissions, major, minor uint32) {
	a.Directory(path.Dir(name))
	a.entry(name, modeCharacter|permissions, major, minor, nil)
}

// Close ends the archive and returns the first error of all.
func (a *Archive) Close() error {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}

func (a *Archive) entry(name string, mode, major, minor uint32, data []byte) {
	a.entries++
	header := "070701"
	for _, n := range []uint32{uint32(a.entries), mode, 0, 0, 1, 0, uint32(len(data)), 0, 0, major, minor, uint32(len(name) + 1), 0} {
		header += fmt.Sprintf("%08X", n)
	}
	header += name + "\x00"
	a.write([]byte(header))
	a.write(make([]byte, -len(header)&3))
	a.write(data)
	a.write(make([]byte, -len(data)&3))
}

func (a *Archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
}
