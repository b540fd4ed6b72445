package uml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Run boots a kernel, runs a program in it and returns the program's exit code.
// An error says that there is none: no kernel, a module that is missing, a panic,
// or the end of ctx or of the time limit. Nothing is left behind: no process, no
// file.
func Run(ctx context.Context, opts Options, args ...string) (exitCode int, err error) {
	if len(args) == 0 {
		return 0, errors.New("uml: there is no program to run")
	}
	if runtime.GOARCH != "amd64" {
		return 0, fmt.Errorf("uml: %w", ErrMachine)
	}
	if opts.Kernel == "" {
		opts.Kernel = "linux.uml"
	}
	kernel, err := exec.LookPath(opts.Kernel)
	if err != nil {
		return 0, fmt.Errorf("uml: %w (%w)", ErrNoKernel, err)
	}
	dir, err := os.MkdirTemp("", "milepost-uml-")
	if err != nil {
		return 0, fmt.Errorf("uml: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := share(dir, opts, args); err != nil {
		return 0, fmt.Errorf("uml: %w", err)
	}
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Memory == 0 {
		opts.Memory = defaultMemory
	}
	ctx, cancel := context.WithTimeoutCause(ctx, opts.Timeout, fmt.Errorf("the time limit of %v is over", opts.Timeout))
	defer cancel()
	said := &console{}
	ended := boot(ctx, kernel, dir, opts, said)
	if ctx.Err() != nil {
		return 0, fmt.Errorf("uml: %w", &guestError{"the guest was ended: " + context.Cause(ctx).Error(), said.String()})
	}
	var r result
	text, err := os.ReadFile(filepath.Join(dir, resultFile))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	switch {
	case err != nil && ended != nil:
		return 0, fmt.Errorf("uml: %w", &guestError{"the guest broke down: " + said.panic(ended.Error()), said.String()})
	case err != nil:
		return 0, fmt.Errorf("uml: %w", &guestError{"the guest ended without an exit code", said.String()})
	case r.Error != "":
		return 0, fmt.Errorf("uml: in the guest: %s", r.Error)
	}
	return r.ExitCode, nil
}

// share writes what the guest's init needs to a directory.
func share(dir string, opts Options, args []string) error {
	// A kernel's command line cannot quote everything.
	if strings.ContainsAny(dir, " \t\n\",") {
		return fmt.Errorf("the directory for temporary files has a blank, a quote or a comma in its path: set TMPDIR to another than %s", filepath.Dir(dir))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(dir, initFile)); err != nil {
		return err
	}
	j := job{Args: append([]string(nil), args...), Env: append(os.Environ(), Variable+"=1"), Modules: opts.Modules}
	if j.Dir, err = os.Getwd(); err != nil {
		return err
	}
	if j.Args[0], err = exec.LookPath(args[0]); err != nil {
		return err
	}
	if j.Args[0], err = filepath.Abs(j.Args[0]); err != nil {
		return err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, jobFile), text, 0o600) // the environment may hold secrets
}

// boot runs the kernel to its end.
func boot(ctx context.Context, kernel, dir string, opts Options, said io.Writer) error {
	// The guest's standard error has a serial line of its own, and so a file
	// beyond the three that exec.Cmd knows. A pipe is between it and ours in any
	// case: the kernel makes what it is given non-blocking, for all who share it.
	guestErr, line, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, kernel,
		fmt.Sprintf("mem=%dM", opts.Memory), "rootfstype=hostfs", "rootflags=/", "rw",
		"uml_dir="+dir+"/", "umid=guest",
		"con=null", "con0=null,fd:2", "ssl0=null,fd:1", "ssl1=null,fd:3",
		"quiet", "panic=-1", "selinux=0",
		"initcall_blacklist=raid6_select_algo", // it measures for a second what nobody needs
		"init="+filepath.Join(dir, initFile), "--", InitCommand, dir)
	cmd.Env = append(os.Environ(), "TMPDIR="+memoryDir(int64(opts.Memory)<<20))
	cmd.Stdout = &passOn{to: opts.Stdout}
	cmd.Stderr = said
	cmd.ExtraFiles = []*os.File{line}
	cmd.WaitDelay = 2 * time.Second
	// The kernel has a process for each of the guest's address spaces, and some
	// more: they are one group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Start()
	line.Close()
	if err != nil {
		guestErr.Close()
		return err
	}
	dismiss := guard(cmd.Process.Pid, dir)
	var copying sync.WaitGroup
	copying.Go(func() { io.Copy(&passOn{to: opts.Stderr}, guestErr) })
	err = cmd.Wait()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a panic may have left
	dismiss()
	guestErr.SetReadDeadline(time.Now().Add(cmd.WaitDelay))
	copying.Wait()
	guestErr.Close()
	return err
}

// guard starts a process that ends a group of processes and removes a directory
// should this one die before it can do so itself: `go test` kills what takes too
// long. There is no guard where there is no shell.
func guard(group int, dir string) (dismiss func()) {
	cmd := exec.Command("/bin/sh", "-c", `read -r word || { kill -9 -"$1"; rm -rf "$2"; }`, "guard", strconv.Itoa(group), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's signals are not for it
	word, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return func() {}
	}
	return func() {
		io.WriteString(word, "dismissed\n")
		cmd.Wait()
	}
}

// memoryDir is where the guest's memory goes: to memory where there is enough of
// it, or else to a file on disk. (Containers often have 64 MiB in /dev/shm; a
// guest that touches more would die of SIGBUS.)
func memoryDir(bytes int64) string {
	const shm = "/dev/shm"
	var st unix.Statfs_t
	if err := unix.Statfs(shm, &st); err == nil && int64(st.Bavail)*int64(st.Bsize) >= bytes && unix.Access(shm, unix.W_OK) == nil {
		return shm
	}
	return os.TempDir()
}
