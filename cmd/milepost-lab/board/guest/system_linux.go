package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"milepost/cmd/milepost-lab/board/control"
)

// Info tells what the guest is.
func (g *Guest) Info(_ control.None, info *control.Info) (err error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	info.Release = unix.ByteSliceToString(name.Release[:])
	info.Machine = unix.ByteSliceToString(name.Machine[:])
	info.Boot = strings.TrimSpace(string(boot))
	info.Init = g.begun
	info.Wall = time.Now().Round(0)
	info.Now, err = sinceBoot()
	return err
}

// SetClock sets the clock.
func (g *Guest) SetClock(wall time.Time, _ *control.None) error {
	at := unix.NsecToTimespec(wall.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &at)
}

// PowerOff ends the guest in good order. There is no answer.
func (g *Guest) PowerOff(_, _ *control.None) error {
	powerOff()
	return nil
}

// MountData mounts the data disk.
func (g *Guest) MountData(options string, _ *control.None) error {
	return unix.Mount("/dev/vda", control.DataDir, "ext4", unix.MS_NOATIME, options)
}
