package aggregate

// Clock is how far a wall clock could be trusted when it stamped the samples of
// a window. Above ClockUnknown, better qualities are larger.
type Clock uint8

const (
	// ClockUnknown: nothing is known, as of a recorded log.
	ClockUnknown Clock = iota
	// ClockUnset: the clock has not been set since the device started, and had
	// nothing to start from: the time is wrong, usually by years.
	ClockUnset
	// ClockSet: it was set once, or from a real-time clock or a file, and nothing
	// has disciplined it since.
	ClockSet
	// ClockSynchronized: it is disciplined by a time server or by GNSS.
	ClockSynchronized
)

var clockNames = [...]string{ClockUnknown: "unknown", ClockUnset: "unset", ClockSet: "set", ClockSynchronized: "synchronized"}

// String is the name in records and in the table of boots.
func (c Clock) String() string {
	if int(c) < len(clockNames) {
		return clockNames[c]
	}
	return clockNames[ClockUnknown]
}

// ParseClock is the inverse of String; what is not known is ClockUnknown and
// not ok.
func ParseClock(name string) (c Clock, ok bool) {
	for i, n := range clockNames {
		if n == name {
			return Clock(i), true
		}
	}
	return ClockUnknown, false
}

// Stamp is the clock under which samples got their times.
type Stamp struct {
	// Clock is its quality. Where it is ClockUnknown the offset means nothing.
	Clock Clock
	// ClockOffset is what the wall clock said less what the boot clock said
	// (CLOCK_BOOTTIME), in nanoseconds.
	ClockOffset int64
}
