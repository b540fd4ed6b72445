//go:build !linux

package volatiledisk

import "errors"

// Device is a disk as a block device of the kernel.
type Device struct{ Path string }

// Attach is not supported on this system.
func Attach(*Disk) (*Device, error) {
	return nil, errors.New("volatiledisk: only Linux has the block devices for it")
}

// Detach does nothing on this system.
func (*Device) Detach() error { return nil }
