//go:build !linux

package clock

import (
	"context"
	"errors"
	"fmt"

	"milepost/uplink"
)

var errUnsupported = fmt.Errorf("this system's boot clock is not known here: %w", errors.ErrUnsupported)

// BootID is the kernel's ID of this boot. It is not supported here.
func BootID() (uplink.BootID, error) { return uplink.BootID{}, errUnsupported }

func readKernel() (reading, error) { return reading{}, errUnsupported }

func watchSteps(context.Context, func()) error { return errUnsupported }
