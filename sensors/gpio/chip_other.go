//go:build !linux

package gpio

import (
	"errors"
	"fmt"
)

var errSystem = fmt.Errorf("GPIO lines are read through Linux's character device: %w on this system", errors.ErrUnsupported)

func canonical(chip string) string { return chip }

func systemLines() ([]Line, error) { return nil, errSystem }

func requestLine(*LineOptions, edgeKinds) (request, error) { return nil, errSystem }

func openSlow(*LineOptions) (slowLine, error) { return nil, errSystem }
