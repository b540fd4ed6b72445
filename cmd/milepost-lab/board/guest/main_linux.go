// Command guest is the first process of a virtual board: it makes the system,
// then does what the host asks of it. It is of no use anywhere else.
package main

import (
	"fmt"
	"net/rpc"
	"os"
	"strings"
	"time"

	"github.com/warthog618/go-gpiocdev"
	"golang.org/x/sys/unix"

	"milepost/cmd/milepost-lab/board/control"
	"milepost/cmd/milepost-lab/modules"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest is the first process of a virtual board (`milepost-lab board`), and nothing else")
		os.Exit(2)
	}
	os.Setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
	if err := serve(); err != nil {
		say("%v", err)
	}
	powerOff()
}

// serve makes the system and answers the host until that is gone.
func serve() error {
	begun, err := sinceBoot()
	if err != nil {
		return err
	}
	if err := mountAll(); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	g := &Guest{begun: begun}
	server := rpc.NewServer()
	if err := server.RegisterName(control.Service, g); err != nil {
		return err
	}
	say("ready")
	server.ServeConn(port)
	return nil
}

// Guest is what the host can ask. Its methods are called at the same time.
type Guest struct {
	begun     time.Duration
	processes table[*process]
	captures  table[*capture]
	watches   table[*watch]
	outputs   table[*gpiocdev.Lines]
	lines     table[*os.File]
}

// say tells the console something.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "guest: "+format+"\n", args...) }

// sinceBoot is the time since the kernel's start, suspensions included.
func sinceBoot() (time.Duration, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	return time.Duration(now.Nano()), err
}

func mountAll() error {
	for _, m := range []struct{ fstype, dir string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"devpts", "/dev/pts"},
		{"tmpfs", "/dev/shm"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"},
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

func loadModules() error {
	release, err := modules.Release()
	if err != nil {
		return err
	}
	names, err := os.ReadFile(control.ModulesFile)
	if err != nil {
		return err
	}
	return modules.Load("/lib/modules/"+release, strings.Fields(string(names))...)
}

// openPort opens the port to the host, which appears a moment after its driver.
func openPort() (*os.File, error) {
	const ports = "/sys/class/virtio-ports"
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		entries, _ := os.ReadDir(ports)
		for _, e := range entries {
			name, _ := os.ReadFile(ports + "/" + e.Name() + "/name")
			if strings.TrimSpace(string(name)) == control.Port {
				return os.OpenFile("/dev/"+e.Name(), os.O_RDWR, 0)
			}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("there is no port %s in %s", control.Port, ports)
		}
	}
}

// powerOff ends the board in good order.
func powerOff() {
	unix.Sync()
	for {
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		time.Sleep(time.Second)
	}
}
