package gpio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/driver"
	"periph.io/x/conn/v3/driver/driverreg"
	pgpio "periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// What periph.io/x/host/v3 v3.8.5 does that is to be known, and what is done here:
//
//   - Read of a line that was not configured makes it an input with a pull-up. So
//     In comes first, always, with the bias that is asked for.
//   - Read of a line that fails logs, and says low. So the chip is asked after
//     each Read, through a descriptor of ours, whether it is still the one that
//     the line was requested of: then the Read was good.
//   - Errors carry text and no number, and In of a line that is held does not say
//     by whom. So the line is looked up here first.
//   - Chips are looked for once. So the driver is started only when the wanted
//     chip is there, and again when it comes back, which leaves a descriptor a
//     chip open each time.
//   - GPIOChip.Close closes descriptor 0 (gpio.go:384: its fd has been set to 0
//     before), and its descriptor twice. So chips are never closed, and never
//     dropped either: the finalizers would close twice, too.
//   - ByName of a name that two chips have finds "gpiochip1-name". So lines are
//     taken by number.

var periphMu sync.Mutex // its driver and its list of chips are global

// maxRescans bounds the descriptors that chips which come and go may cost.
const maxRescans = 32

var rescans int

// slowPeriphLine is a line of periph.io, and a descriptor of its chip.
type slowPeriphLine struct {
	chip   *chip
	number int
	pin    *gpioioctl.GPIOLine
	invert bool
}

func openSlow(o *LineOptions) (slowLine, error) {
	c, line, err := locate(o)
	if err != nil {
		return nil, err
	}
	pin, err := requestPin(&line, o.Bias)
	if err != nil {
		c.close()
		return nil, err
	}
	return &slowPeriphLine{c, line.Number, pin, o.ActiveLow}, nil
}

// requestPin makes a line an input of ours.
func requestPin(line *Line, bias Bias) (*gpioioctl.GPIOLine, error) {
	if line.Used {
		return nil, line.busy()
	}
	pull := pgpio.PullNoChange // and Float would be the same: no flag
	switch bias {
	case BiasPullUp:
		pull = pgpio.PullUp
	case BiasPullDown:
		pull = pgpio.PullDown
	}
	periphMu.Lock()
	defer periphMu.Unlock()
	state, err := driverreg.Init()
	if err != nil {
		return nil, fmt.Errorf("periph.io: %w", err)
	}
	pin, err := inputOf(line, pull)
	if !errors.Is(err, errStale) {
		return pin, err
	}
	if rescans == maxRescans {
		return nil, fmt.Errorf("%s: periph.io has looked for chips %d times; restart this program, or watch the line's edges", line.Place(), rescans)
	}
	rescans++
	if err := rescan(state); err != nil {
		return nil, fmt.Errorf("%s: %w", line.Place(), err)
	}
	return inputOf(line, pull)
}

// errStale says that what periph.io knows of the chips is old.
var errStale = errors.New("periph.io does not know the chip")

func inputOf(line *Line, pull pgpio.Pull) (*gpioioctl.GPIOLine, error) {
	// The newest of a name is behind those that have gone.
	for _, chip := range slices.Backward(gpioioctl.Chips) {
		if chip.Name() != line.Chip || line.Number >= chip.LineCount() {
			continue
		}
		pin := chip.ByNumber(line.Number)
		err := pin.In(pull, pgpio.NoEdge)
		if err == nil {
			return pin, nil
		}
		pin.Close()
		if strings.Contains(err.Error(), unix.ENODEV.Error()) {
			break
		}
		return nil, fmt.Errorf("%s: periph.io: %w", line.Place(), err)
	}
	return nil, fmt.Errorf("%s: %w", line.Place(), errStale)
}

// rescan has periph.io look for chips once more.
func rescan(state *driverreg.State) error {
	drivers := append([]driver.Impl(nil), state.Loaded...)
	for _, f := range append(state.Skipped[:len(state.Skipped):len(state.Skipped)], state.Failed...) {
		drivers = append(drivers, f.D)
	}
	for _, d := range drivers {
		if d.String() == "ioctl-gpio" {
			_, err := d.Init()
			return err
		}
	}
	return errors.New("periph.io has no driver for the GPIO character device")
}

func (l *slowPeriphLine) level() (bool, error) {
	high := l.pin.Read() == pgpio.High
	now, err := l.chip.line(l.number)
	if err != nil {
		return false, err
	}
	if !now.Used {
		return false, fmt.Errorf("%s: the line is no longer held", now.Place())
	}
	return high != l.invert, nil
}

func (l *slowPeriphLine) close() {
	periphMu.Lock()
	defer periphMu.Unlock()
	l.pin.Close()
	l.chip.close()
}
