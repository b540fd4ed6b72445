package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// ErrLocked says that another process has the spool open.
var ErrLocked = errors.New("in use")

// takeLock locks the file name against other processes and writes our process
// number into it. The lock goes with the process, however that ends.
func takeLock(name string) (io.Closer, error) {
	f, err := lockFile(name)
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%w by %s: stop it, or give this one its own spool directory", ErrLocked, lockHolder(name))
	}
	if err != nil {
		return nil, err
	}
	// The number is for the message above only; the lock holds without it.
	if f.Truncate(0) == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func lockHolder(name string) string {
	data, err := os.ReadFile(name)
	if err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return "process " + strconv.Itoa(pid)
		}
	}
	return "another process"
}
