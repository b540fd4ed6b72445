package socketcan

import "time"

// hardwareClock moves the time stamps of a controller's clock to the system's.
//
// A controller counts from wherever it likes and drifts. What a frame's hardware
// time lies behind its software time is the clocks' difference plus the delay
// until the kernel came to it, which is never negative: the smallest difference of
// late is nearly the clocks'. Of late is the present window and the one before.
type hardwareClock struct {
	began         int64 // when the window began, system time
	offset, older int64 // the smallest differences of the windows
	running       bool
}

const (
	hardwareWindow = int64(2 * time.Second)
	// hardwareDelay is more than the kernel ever needs for a frame; a greater
	// difference is a clock that was set.
	hardwareDelay = int64(100 * time.Millisecond)
)

// systemTime gives the hardware time as the system's clock would have it, never
// after the software time; the software time itself where one of them is missing.
func (c *hardwareClock) systemTime(software, hardware int64) int64 {
	if software == 0 || hardware == 0 {
		return software
	}
	difference := software - hardware
	switch {
	case !c.running || difference-min(c.offset, c.older) > hardwareDelay || software < c.began:
		*c = hardwareClock{began: software, offset: difference, older: difference, running: true}
	case software-c.began >= hardwareWindow:
		c.began, c.older, c.offset = software, c.offset, difference
	default:
		c.offset = min(c.offset, difference)
	}
	return hardware + min(c.offset, c.older)
}
