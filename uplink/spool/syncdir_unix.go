//go:build unix

package spool

import (
	"errors"
	"os"
	"syscall"
)

// nonblock lets the opening of a pipe that stands in a file's place return.
const nonblock = syscall.O_NONBLOCK

// syncDir makes the names in a directory durable. Some file systems (FUSE, SMB)
// refuse to sync a directory; there is nothing more to be done about it there.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
