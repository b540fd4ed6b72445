//go:build unix

package mosquitto

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func signalPause(p *os.Process) error  { return p.Signal(syscall.SIGSTOP) }
func signalResume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
func signalSave(p *os.Process) error   { return p.Signal(syscall.SIGUSR1) }
func signalReload(p *os.Process) error { return p.Signal(syscall.SIGHUP) }

// withFileLimit makes writing of more than so many bytes to a file an error, as
// on a full disk. A shell sets that up, and keeps the signal away that would come
// with it.
func withFileLimit(cmd *exec.Cmd, bytes int64) (*exec.Cmd, error) {
	script := fmt.Sprintf("trap '' XFSZ; ulimit -f %d; exec \"$0\" \"$@\"", bytes/512)
	return exec.Command("/bin/sh", append([]string{"-c", script, cmd.Path}, cmd.Args[1:]...)...), nil
}
