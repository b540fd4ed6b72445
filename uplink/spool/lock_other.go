//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package spool

import (
	"errors"
	"os"
)

// lockFile refuses: without a lock, two processes would destroy each other's
// entries.
func lockFile(string) (*os.File, error) {
	return nil, errors.New("file locks are not supported on this system, and a spool needs one")
}
