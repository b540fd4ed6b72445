package uml

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Init is the first process of the guest: it makes the system, runs the program,
// and ends the guest. It returns only where it is not the first process.
func Init(dir string) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is for the first process of a guest", InitCommand)
	}
	code, err := runJob(dir)
	r := result{ExitCode: code}
	if err != nil {
		r.Error = err.Error()
	}
	text, err := json.Marshal(r)
	if err == nil {
		err = writeSynced(filepath.Join(dir, resultFile), text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "milepost-lab: the exit code cannot be told:", err) // to the console
	}
	unix.Sync()
	for {
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		time.Sleep(time.Second)
	}
}

func runJob(dir string) (exitCode int, err error) {
	text, err := os.ReadFile(filepath.Join(dir, jobFile))
	if err != nil {
		return 0, err
	}
	var j job
	if err := json.Unmarshal(text, &j); err != nil {
		return 0, err
	}
	if err := mountAll(); err != nil {
		return 0, err
	}
	if err := loadModules(j.Modules); err != nil {
		return 0, err
	}
	if err := linkUp("lo"); err != nil {
		return 0, err
	}
	stdout, err := serialLine("/dev/ttyS0")
	if err != nil {
		return 0, err
	}
	stderr, err := serialLine("/dev/ttyS1")
	if err != nil {
		return 0, err
	}
	cmd := exec.Cmd{Path: j.Args[0], Args: j.Args, Env: j.Env, Dir: j.Dir, Stdout: stdout, Stderr: stderr}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
		if exitCode = exit.ExitCode(); exitCode < 0 {
			exitCode = 1
			fmt.Fprintf(stderr, "%s: %v\n", j.Args[0], exit)
		}
	}
	for _, line := range []*os.File{stdout, stderr} {
		unix.IoctlSetInt(int(line.Fd()), unix.TCSBRK, 1) // tcdrain
	}
	return exitCode, err
}

// mountAll mounts what programs expect over the host's directories of the same
// name. /dev may be there already: the kernel can mount it itself.
func mountAll() error {
	for _, m := range []struct{ fstype, dir string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/dev/shm"}, {"devpts", "/dev/pts"},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fstype, m.dir, m.fstype, 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mounting %s: %w", m.dir, err)
		}
	}
	return nil
}

func linkUp(name string) error {
	ifreq, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifreq.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifreq); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	return nil
}

// serialLine opens a line to the host that changes no byte on its way.
func serialLine(path string) (*os.File, error) {
	line, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	termios, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	if err == nil {
		termios.Oflag &^= unix.OPOST
		termios.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
		err = unix.IoctlSetTermios(int(line.Fd()), unix.TCSETS, termios)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return line, nil
}

func writeSynced(path string, text []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
