// Package uml runs a program inside a kernel of its own: User-Mode Linux, a
// Linux kernel that is an ordinary process. It needs neither root nor hardware
// nor modules on the host, boots in half a second, and gives tests what their
// host may lack or must not touch: CAN interfaces, block devices, mounts.
//
// The program sees the host's files (hostfs), with the same arguments,
// environment and working directory; /dev, /proc and /sys are the guest's. So it
// fits `go test -exec`:
//
//	go test -exec "$PWD/bin/milepost-lab uml --modules nbd" ./uplink/spool/powercut
//
// It is for amd64, has one processor and a clock of 100 Hz: no place for the race
// detector (which cannot map its shadow there) or for measuring time.
package uml

import (
	"errors"
	"io"
	"time"
)

// InitCommand is the argument with which Run has the kernel start the running
// program as its init. The program must then call Init.
const InitCommand = "uml-init"

// Variable is set in the guest's environment, so that a test knows that the
// kernel is its own.
const Variable = "MILEPOST_UML"

const (
	defaultMemory  = 512
	defaultTimeout = 10 * time.Minute
)

// Options of Run. The zero value is usable.
type Options struct {
	// Modules are loaded before the program starts, with what they depend on. One may
	// have parameters: "i2c_stub:chip_addr=0x40,0x54".
	Modules []string
	// Memory of the guest in MiB, 512 if zero. Only what is touched is taken.
	Memory int
	// Timeout ends the guest, 10 minutes if zero.
	Timeout time.Duration
	// Kernel is the executable, linux.uml from the PATH if empty.
	Kernel string
	// Stdout and Stderr get what the program writes; nil discards it.
	Stdout, Stderr io.Writer
}

// Why there can be no guest.
var (
	ErrNoKernel = errors.New("there is no linux.uml: on Debian, `apt-get install user-mode-linux`")
	ErrMachine  = errors.New("User-Mode Linux is for amd64 only")
)

// job is what the guest's init is told, as JSON in the file job.
type job struct {
	Args    []string // the program's path first
	Env     []string
	Dir     string
	Modules []string
}

// result is what it answers in the file result. An error says that the program
// was not run.
type result struct {
	ExitCode int
	Error    string
}

// The files of the directory that host and guest share.
const (
	jobFile    = "job"
	resultFile = "result"
	initFile   = "init" // a link to the running program
)
