package board_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
)

// TestBoardDiesWithItsTest: whatever happens to the test, no QEMU and no file is
// left. A test that is killed, or that panics, is this one, run by itself.
func TestBoardDiesWithItsTest(t *testing.T) {
	boardtest.Require(t)
	const victim = "MILEPOST_TEST_VICTIM"
	if how := os.Getenv(victim); how != "" {
		boardtest.Start(t, board.Options{Machine: board.ARM64})
		if how == "panic" {
			panic("on purpose")
		}
		fmt.Println("running")
		select {}
	}
	boardtest.Kernel(t, board.ARM64) // whose absence would be the victims' only fault
	for _, how := range []string{"panic", "kill"} {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBoardDiesWithItsTest$", "-test.v")
		cmd.Env = append(os.Environ(), victim+"="+how, "TMPDIR="+dir)
		var said lockedBuffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		seen := false
		for deadline := time.Now().Add(patience); how == "kill"; time.Sleep(10 * time.Millisecond) {
			seen = seen || len(processes(cmd.Process.Pid)) > 0
			if said.contains("running\n") {
				cmd.Process.Kill()
				break
			}
			if time.Now().After(deadline) {
				cmd.Process.Kill()
				t.Fatalf("the board does not run: %s", said.String())
			}
		}
		if err := <-ended; err == nil {
			t.Errorf("%s: the victim has survived", how)
		}
		if how == "kill" && !seen {
			t.Error("there was no QEMU to begin with")
		}
		if how == "panic" && !said.contains("on purpose") {
			t.Errorf("the victim has ended otherwise: %s", said.String())
		}
		for deadline := time.Now().Add(patience); len(mentioning(dir)) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: processes are left: %q", how, mentioning(dir))
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "milepost-*")); len(left) > 0 {
			t.Errorf("%s: files are left: %q", how, left)
		}
	}
}

// processes are the QEMUs that a process has started.
func processes(parent int) (found []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, _ := os.ReadFile(stat)
		_, rest, ok := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); ok && len(fields) > 1 && fields[1] == fmt.Sprint(parent) && strings.Contains(string(text), "(qemu") {
			found = append(found, stat)
		}
	}
	return found
}

// mentioning are the command lines in which a path is.
func mentioning(path string) (found []string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		if text, _ := os.ReadFile(line); bytes.Contains(text, []byte(path)) {
			found = append(found, string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})))
		}
	}
	return found
}
