package spool

import (
	"os"
	"syscall"
)

// syncData makes a file's bytes durable, and of its metadata what is needed to
// read them.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync "+f.Name(), err)
		}
	}
}
