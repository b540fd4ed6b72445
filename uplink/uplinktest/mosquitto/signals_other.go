//go:build !unix

package mosquitto

import (
	"errors"
	"os"
	"os/exec"
)

var errNoSignals = errors.New("a process gets no signals on this system")

func signalPause(*os.Process) error  { return errNoSignals }
func signalResume(*os.Process) error { return errNoSignals }
func signalSave(*os.Process) error   { return errNoSignals }
func signalReload(*os.Process) error { return errNoSignals }

func withFileLimit(cmd *exec.Cmd, _ int64) (*exec.Cmd, error) { return cmd, errNoSignals }
