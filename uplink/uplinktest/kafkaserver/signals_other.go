//go:build !unix

package kafkaserver

import (
	"errors"
	"os"
)

var errNoSignals = errors.New("a process cannot be paused on this system")

func pause(*os.Process) error  { return errNoSignals }
func resume(*os.Process) error { return errNoSignals }
