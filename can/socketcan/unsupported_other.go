//go:build !linux

package socketcan

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"milepost/can"
)

// errUnsupported is what everything here says elsewhere than on Linux.
var errUnsupported = fmt.Errorf("%w, and this is %s: %w", errNoSocketCAN, runtime.GOOS, errors.ErrUnsupported)

// Socket cannot be had on this system.
type Socket struct{ index int }

func Open(o Options) (*Socket, error)             { return open(o, nil) }
func open(Options, *can.Streams) (*Socket, error) { return nil, errUnsupported }
func (*Socket) Buses() []string                   { return nil }
func (*Socket) Read([]can.Frame) (int, error)     { return 0, errUnsupported }
func (*Socket) readNow([]can.Frame) (int, error)  { return 0, errUnsupported }
func (*Socket) SetReadDeadline(time.Time) error   { return errUnsupported }
func (*Socket) Close() error                      { return errUnsupported }
func (*Socket) Stats() SocketStats                { return SocketStats{} }
func (*Socket) empty() bool                       { return true }
func ReadLink(string) (Link, error)               { return Link{}, errUnsupported }
func Configure(string, LinkOptions) error         { return errUnsupported }
func Restart(string) error                        { return errUnsupported }
func watchLinks(func()) (stop func(), err error)  { return nil, errUnsupported }

// asker has nobody to ask.
type asker struct{}

func (*asker) readLink(string) (Link, error) { return Link{}, errUnsupported }
func (*asker) close()                        {}

func (*Socket) setFilters([]Filter) error { return errUnsupported }
