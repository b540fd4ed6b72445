//go:build unix

package kafkaserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// pause stops the process. The signal is on its way when it is sent: threads on
// other processors may still answer until they have got it, which is waited for
// where the system tells (proc(5)).
func pause(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); !stopped(p.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d is not stopped 10 s after SIGSTOP", p.Pid)
		}
	}
	return nil
}

// stopped reports whether all threads of a process are stopped, or cannot be seen.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The state stands behind the name, which is in parentheses.
		if _, state, ok := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " "); ok && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
