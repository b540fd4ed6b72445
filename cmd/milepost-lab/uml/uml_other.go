//go:build !linux

package uml

import (
	"context"
	"errors"
)

var errSystem = errors.New("uml: User-Mode Linux runs on Linux only")

// Run is not supported on this system.
func Run(context.Context, Options, ...string) (int, error) { return 0, errSystem }

// Init is not supported on this system.
func Init(string) error { return errSystem }
