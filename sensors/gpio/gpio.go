// Package gpio reads lines of the GPIO character device: doors, ignition, wheel
// and flow pulses.
//
// Edges, Pulses and Input take edges from the second version of the kernel's
// interface (Linux 5.10), with the kernel's time stamps and sequence numbers.
// Level polls a slow line through periph.io. Each keeps its line requested, says
// in its Status what is in the way (the chip is absent, the line is held by
// someone else), and tries again until it works.
//
// # Clocks
//
// The kernel stamps edges with CLOCK_MONOTONIC unless it is asked for
// CLOCK_REALTIME. The monotonic clock is used: a clock that NTP or GNSS sets
// between two edges would tear the time between them, and with it every time on
// and every frequency. Readings carry wall-clock time, as CAN frames do: the
// distance of the two clocks is constant but for the clock being set and for
// suspend, so it is measured once, and again when it is found to have moved.
// Windows are cut where the wall clock says so.
//
// # Debounce
//
// With Debounce a line must hold a level for that time before the kernel says
// so; the chip does it where its driver can, else the kernel does, with a timer.
// Shorter excursions are eaten whole, both edges, and counted nowhere: that is
// what is asked for. Where the kernel does it, an edge is dated when the level
// has been held, one Debounce after it began, and so are all: times on are right.
//
// # Bias
//
// The kernel ignores a bias that a chip cannot set, and then reports it as set.
// A bias is a wish; only a resistor is certain.
package gpio

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bias is what pulls a line when nothing drives it.
type Bias uint8

const (
	// BiasAsIs leaves what the firmware or the device tree has set.
	BiasAsIs Bias = iota
	BiasDisabled
	BiasPullUp
	BiasPullDown
)

var biasNames = [...]string{"as-is", "disabled", "pull-up", "pull-down"}

// String is the name that ParseBias knows.
func (b Bias) String() string {
	if int(b) < len(biasNames) {
		return biasNames[b]
	}
	return fmt.Sprintf("Bias(%d)", uint8(b))
}

// ParseBias is the bias of a name: as-is (or nothing), disabled, pull-up,
// pull-down.
func ParseBias(name string) (Bias, error) {
	for b, known := range biasNames {
		if name == known {
			return Bias(b), nil
		}
	}
	if name == "" {
		return BiasAsIs, nil
	}
	return 0, fmt.Errorf("%q is no bias: as-is, disabled, pull-up or pull-down", name)
}

// LineOptions say which line is meant, and how it is read.
type LineOptions struct {
	// Chip is a chip's name ("gpiochip0"), its device ("/dev/gpiochip0") or its
	// label ("pinctrl-bcm2711"). Empty: whichever chip has a line of that name.
	Chip string
	// Line is the line's name or, with a Chip, its number on it, from 0.
	Line string
	// ActiveLow says that the line is on while its level is low.
	ActiveLow bool
	// Bias is asked of the chip; see the package's comment.
	Bias Bias
	// Debounce is how long a level must hold, in steps of a microsecond; 0 is not
	// at all. The kernel does it.
	Debounce time.Duration
}

// maxDebounce is what the kernel's 32 bits of microseconds hold.
const maxDebounce = time.Hour

func (o *LineOptions) check() error {
	switch {
	case o.Line == "":
		return errors.New("gpio: no line: give its name, or its chip and its number")
	case o.Chip == "" && isNumber(o.Line):
		return fmt.Errorf("gpio: line %s: a number needs the chip that it is counted on", o.Line)
	case o.Debounce < 0 || o.Debounce > maxDebounce:
		return fmt.Errorf("gpio: line %s: a debounce of %v: 0 to %v", o, o.Debounce, maxDebounce)
	case int(o.Bias) >= len(biasNames):
		return fmt.Errorf("gpio: line %s: unknown bias %d", o, uint8(o.Bias))
	}
	return nil
}

// String is how errors name the line: "gpiochip0/17", "ignition".
func (o *LineOptions) String() string {
	if o.Chip == "" {
		return o.Line
	}
	return strings.TrimPrefix(o.Chip, "/dev/") + "/" + o.Line
}

// failure says which line an error is about, if it does not say so itself.
func (o *LineOptions) failure(err error) error {
	if strings.HasPrefix(err.Error(), o.String()+": ") {
		return fmt.Errorf("gpio: line %w", err)
	}
	return fmt.Errorf("gpio: line %s: %w", o, err)
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// interval is what Interval says when it is left out.
func interval(configured time.Duration, line *LineOptions) (time.Duration, error) {
	if configured == 0 {
		return time.Second, nil
	}
	if configured < 10*time.Millisecond {
		return 0, fmt.Errorf("gpio: line %s: an interval of %v: at least 10ms", line, configured)
	}
	return configured, nil
}
