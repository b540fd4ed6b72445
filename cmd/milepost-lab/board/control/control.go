// Package control is what a virtual board's host asks of its guest, and what the
// guest answers: calls of net/rpc over a serial port that is for nothing else.
package control

import (
	"time"

	"milepost/can"
)

const (
	// Port is the name of the virtio serial port.
	Port = "milepost.control"
	// Service is the name under which the guest's methods are called.
	Service = "Guest"
	// ModulesFile lists the modules that the guest loads at first, one a line.
	ModulesFile = "/etc/modules"
	// DataDir is where the data disk is mounted.
	DataDir = "/data"
	// Address is the guest's, behind which the host's loopback interface is
	// Host: QEMU's user network.
	Address = "10.0.2.15"
	Host    = "10.0.2.2"
)

// None is for what needs no arguments, or has no result. (Package gob does not take
// an empty struct.)
type None bool

// Info is what the guest is.
type Info struct {
	Release string        // the kernel's
	Machine string        // as uname -m says it
	Boot    string        // the kernel's boot ID
	Init    time.Duration // since the kernel's start, when init began
	Now     time.Duration // since the kernel's start
	Wall    time.Time     // the clock
}

// Program is a program to start.
type Program struct {
	Args []string // with the program's path
	Env  []string
	Dir  string
}

// Signal is for a program that was started.
type Signal struct {
	ID     int
	Number int
}

// Exit is how a program ended.
type Exit struct {
	Code           int // -1 for a signal
	How            string
	Stdout, Stderr []byte
}

// Write is what is to be written to a file.
type Write struct {
	Path   string
	Data   []byte
	Append bool
	// Sync writes it through to the disk, the file's name included, before the
	// call returns.
	Sync bool
}

// CANLink is how a CAN interface is to be.
type CANLink struct {
	Name    string
	Bitrate uint32 // bit/s; 0 leaves it as it is
	Up      bool
}

// Attach makes a CAN interface of a serial line with an adapter behind it.
type Attach struct {
	Line    string // such as /dev/hvc0
	Name    string // of the new interface
	Bitrate uint32
}

// Frames are to be sent on an interface, one after another, with a pause.
type Frames struct {
	Name   string
	Frames []can.Frame
	Every  time.Duration // from frame to frame; 0 is as fast as the interface takes them
}

// Captured asks for what a capture has received from a place on.
type Captured struct {
	ID   int
	From int
	// AtLeast so many frames, or edges, are waited for, but not for longer than
	// Wait.
	AtLeast int
	Wait    time.Duration
}

// Reception is what a capture has received.
type Reception struct {
	Frames  []can.Frame // error frames among them
	Dropped uint32      // by the kernel, because the socket was full
}

// Lines are lines of a GPIO chip.
type Lines struct {
	Chip     string // such as gpiochip0
	Offsets  []int
	Debounce time.Duration
	Values   []int // of outputs
}

// Outputs are the new values of lines that were requested as outputs.
type Outputs struct {
	ID     int
	Values []int
}

// LineInfo describes a line.
type LineInfo struct {
	Name, Consumer string
	Output         bool
}

// Edge is a change of a line as the kernel saw it.
type Edge struct {
	Line     int
	Rising   bool
	At       time.Duration // since the kernel's start
	Sequence uint32        // of all lines of the request, from 1; a gap is a loss
}

// Edges are those that a watch has seen.
type Edges struct{ Edges []Edge }
