//go:build !linux

package update

import (
	"errors"

	"milepost/cmd/internal/slots"
)

var errNoLinux = errors.New("not supported on this system: updates are for images of milepost's, which run Linux")

// LockFile is held while the boot state is changed.
const LockFile = "/run/milepost-update.lock"

// Machine is the device that runs, with its disk.
type Machine struct{ Booted *slots.Booted }

// OpenMachine is not supported on this system.
func OpenMachine(_, _ string, _ bool) (*Machine, error) { return nil, errNoLinux }

// State is not supported on this system.
func (m *Machine) State() (slots.State, error) { return slots.State{}, errNoLinux }

// SetState is not supported on this system.
func (m *Machine) SetState(slots.State) error { return errNoLinux }

// Target is not supported on this system.
func (m *Machine) Target() (Target, func() error, error) { return Target{}, nil, errNoLinux }

// Close does nothing.
func (m *Machine) Close() error { return nil }

// KernelRelease is not supported on this system.
func KernelRelease() (string, error) { return "", errNoLinux }

// Restart is not supported on this system.
func Restart() error { return errNoLinux }
