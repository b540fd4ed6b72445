package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"milepost/cmd/internal/slots"
)

// mount is a call of mount(2).
type mount struct {
	source, target, kind string
	flags                uintptr
	options              string
}

func (m mount) mount() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil && !errors.Is(err, unix.EROFS) {
		return err
	}
	return unix.Mount(m.source, m.target, m.kind, m.flags, m.options)
}

// mountSystem mounts the system that the boot state says, or else the other one.
func (s *stage) mountSystem() error {
	device, err := os.OpenFile(s.disk.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer device.Close()
	s.state, err = slots.Boot(device)
	s.try("the boot state", err)
	for {
		if s.state.Says != "" {
			s.say("%s", s.state.Says)
		}
		if s.state.Start == slots.None {
			return errors.New("neither slot has a system that can be started")
		}
		err := s.mountSlot(s.state.Start)
		if err == nil {
			return nil
		}
		s.state, err = slots.BootOther(device, s.state, err)
		s.try("the boot state", err)
	}
}

// mountSlot mounts a slot's system and looks whether it is one.
func (s *stage) mountSlot(slot slots.Slot) error {
	number := 2
	if slot == slots.B {
		number = 3
	}
	err := mount{s.disk.partition(number), root, "squashfs", unix.MS_RDONLY | unix.MS_NODEV, ""}.mount()
	if err != nil {
		return err
	}
	if _, err := os.Stat(root + initProgram); err != nil {
		s.try("unmounting", unix.Unmount(root, 0))
		return fmt.Errorf("it has no %s", initProgram)
	}
	return nil
}

// mountData mounts the data partition, repaired if need be. Without it the gateway
// runs all the same, and keeps what it has in memory.
func (s *stage) mountData() {
	data := mount{s.disk.partition(4), root + "/data", "ext4", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOATIME, "errors=remount-ro"}
	err := data.mount()
	if err != nil {
		s.say("the data partition does not mount: %v; it is repaired", err)
		s.try("repairing", repair(data.source))
		err = data.mount()
	}
	if err != nil {
		s.say("THE DATA PARTITION IS LOST: %v. Spool and configuration are in memory until the next start. Flash the image again.", err)
		s.try("memory in its place", mount{"tmpfs", root + "/data", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755,size=30%"}.mount())
	}
}

// repair runs e2fsck of the system that is mounted. It ends with 1 where it has
// repaired everything.
func repair(device string) error {
	if err := unix.Mount("/dev", root+"/dev", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	defer unix.Unmount(root+"/dev", unix.MNT_DETACH)
	cmd := exec.Command("/usr/sbin/e2fsck", "-y", device)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	said, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		return fmt.Errorf("e2fsck: %w: %s", err, lines[len(lines)-1])
	}
	return nil
}

// overlays makes folders of the system writable, in memory.
func (s *stage) overlays() {
	for _, name := range []string{"etc", "var"} {
		above := filepath.Join("/run/milepost-overlay", name)
		upper, work := above+"/upper", above+"/work"
		for _, dir := range []string{upper, work} {
			s.try("memory over /"+name, os.MkdirAll(dir, 0o755))
		}
		options := fmt.Sprintf("lowerdir=%s/%s,upperdir=%s,workdir=%s", root, name, upper, work)
		s.try("memory over /"+name, mount{"overlay", filepath.Join(root, name), "overlay", unix.MS_NOSUID | unix.MS_NODEV, options}.mount())
	}
	s.try("/run/milepost-overlay", os.Chmod("/run/milepost-overlay", 0o700))
}

// initProgram is what the kernel's first process becomes.
const initProgram = "/usr/lib/systemd/systemd"

// switchRoot makes the system the root and becomes its first program. What the
// initramfs holds is removed first: it is memory.
func switchRoot() error {
	for _, name := range []string{"/init", "/modules", "/lib"} {
		os.RemoveAll(name)
	}
	for _, name := range []string{"/dev", "/proc", "/sys", "/run"} {
		if err := unix.Mount(name, root+name, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving %s: %w", name, err)
		}
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return unix.Exec(initProgram, []string{initProgram}, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"})
}
