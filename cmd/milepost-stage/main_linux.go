// Command milepost-stage is the first program of an image: /init of the initramfs
// that the kernel starts. It finds the disk, decides which of the two systems is
// started (cmd/internal/slots), brings the data partition and the configuration in
// place, and hands over to systemd. docs/images.md says what a user sees of it.
//
// Whatever fails is said on the console, and what can go on goes on: a gateway
// that has lost its data partition still sends. Where nothing can go on the stage
// ends, the kernel panics, and the board starts anew.
package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"milepost/cmd/internal/slots"
)

// root is where the system is mounted before it becomes the root.
const root = "/sysroot"

func main() {
	s := &stage{began: time.Now()}
	err := s.run()
	s.say("cannot start a system: %v", err)
	time.Sleep(5 * time.Second) // for whoever reads the console
	os.Exit(1)                  // the kernel panics, and restarts after panic= seconds
}

// stage is what is known so far.
type stage struct {
	began time.Time
	log   *os.File // the kernel's, which ends up in the journal; nil before /dev is there
	disk  *disk
	state slots.Decision
}

// say writes a line to the console and to the kernel's log.
func (s *stage) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Printf("milepost: %s\n", line)
	if s.log != nil {
		fmt.Fprintf(s.log, "<5>milepost-stage: %s\n", line)
	}
}

// try says what has failed and goes on.
func (s *stage) try(what string, err error) {
	if err != nil {
		s.say("%s: %v", what, err)
	}
}

func (s *stage) run() error {
	for _, m := range []mount{
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755,size=20%"},
	} {
		if err := m.mount(); err != nil && err != unix.EBUSY {
			s.try(m.target, err)
		}
	}
	s.log, _ = os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	signature, err := readSignature("/proc/cmdline")
	if err != nil {
		return err
	}
	s.loadModules("/modules")
	s.feedWatchdog()
	if s.disk, err = s.findDisk(signature); err != nil {
		return err
	}
	s.try("growing the data partition", s.growPartition())
	if err := s.mountSystem(); err != nil {
		return err
	}
	s.mountData()
	s.try("the boot partition", mount{s.disk.partition(1), root + "/boot", "vfat", unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "fmask=0177,dmask=0077,utf8"}.mount())
	s.overlays()
	s.prepare()
	booted := slots.Booted{Disk: s.disk.path, A: s.disk.partition(2), B: s.disk.partition(3), Started: s.state.Start}
	s.try("telling the system what it is", booted.Write(slots.BootedFile))
	s.say("slot %v starts, %.1f s after the stage began", s.state.Start, time.Since(s.began).Seconds())
	return switchRoot()
}
