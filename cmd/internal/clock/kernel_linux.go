package clock

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"milepost/uplink"
)

// BootID is the kernel's ID of this boot.
func BootID() (uplink.BootID, error) {
	const path = "/proc/sys/kernel/random/boot_id"
	text, err := os.ReadFile(path)
	if err != nil {
		return uplink.BootID{}, fmt.Errorf("boot ID: %w", err)
	}
	id, err := uplink.ParseBootID(strings.TrimSpace(string(text)))
	if err != nil {
		return id, fmt.Errorf("%s: %w", path, err)
	}
	return id, nil
}

// readKernel reads the clocks, the wall clock between two readings of the boot
// clock. Where these lie apart the thread was interrupted, and it tries again.
func readKernel() (r reading, err error) {
	var timex unix.Timex // Modes 0: asks, and changes nothing
	// In a container it may be forbidden to ask; then nothing is known of NTP.
	if _, err := unix.Adjtimex(&timex); err == nil {
		r.synchronized = timex.Status&unix.STA_UNSYNC == 0
		r.estimate = max(time.Duration(timex.Esterror)*time.Microsecond, time.Millisecond)
	}
	const narrow, tries = int64(20 * time.Microsecond), 5
	narrowest := int64(-1)
	for range tries {
		before, err1 := clockTime(unix.CLOCK_BOOTTIME)
		wall := time.Now().UnixNano() // not ClockGettime, which ends in 2038 where the machine has 32 bits
		mono, err2 := clockTime(unix.CLOCK_MONOTONIC)
		after, err3 := clockTime(unix.CLOCK_BOOTTIME)
		if err := errors.Join(err1, err2, err3); err != nil {
			return r, fmt.Errorf("read the kernel's clocks: %w", err)
		}
		if width := after - before; narrowest < 0 || width < narrowest {
			narrowest = width
			r.wall, r.mono, r.boot = wall, mono, before+width/2
		}
		if narrowest <= narrow {
			break
		}
	}
	return r, nil
}

func clockTime(id int32) (int64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, err
	}
	return t.Nano(), nil
}
