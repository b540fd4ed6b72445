//go:build linux

package powercut

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// noFsyncVariable is set for a process whose kernel shall do nothing at fsync.
const noFsyncVariable = "POWERCUT_NO_FSYNC"

// removeFsync has the kernel answer all system calls that make data durable with
// success and do nothing, and starts this program anew under that rule. So the
// very code under test runs without fsync, unchanged.
func removeFsync() error {
	if err := os.Unsetenv(noFsyncVariable); err != nil {
		return err
	}
	const returns = unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the call's number
	for _, call := range []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNCFS, unix.SYS_SYNC, unix.SYS_MSYNC} {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
			unix.SockFilter{Code: returns, K: unix.SECCOMP_RET_ERRNO}) // with error 0
	}
	filter = append(filter, unix.SockFilter{Code: returns, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}

	// The filter is this thread's, and of what it executes.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("PR_SET_SECCOMP: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, os.Environ())
}
