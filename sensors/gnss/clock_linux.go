package gnss

import "golang.org/x/sys/unix"

// bootTime is CLOCK_BOOTTIME, which nobody sets and which runs on in suspend.
func bootTime() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return t.Nano()
}
