package i2c

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/host/v3/sysfs"
)

// maxTransactions is more than any measurement needs.
const maxTransactions = 1000

// guardedBus bounds what a driver does for one measurement: periph's bmxx80 asks a
// chip that says that it is busy for ever.
type guardedBus struct {
	i2c.BusCloser
	transactions int
}

var (
	errBusy         = errors.New("the chip says that it is busy, and does not cease to")
	errLostSettings = errors.New("the chip has lost its settings, and is set up anew: look at its supply")
)

func (b *guardedBus) Tx(address uint16, w, r []byte) error {
	if b.transactions++; b.transactions > maxTransactions {
		return errBusy
	}
	return b.BusCloser.Tx(address, w, r)
}

// register reads a 16-bit register, the most significant byte first.
func (b *guardedBus) register(address uint16, number byte) (uint16, error) {
	var r [2]byte
	if err := b.Tx(address, []byte{number}, r[:]); err != nil {
		return 0, err
	}
	return uint16(r[0])<<8 | uint16(r[1]), nil
}

// openBus opens a bus, for a chip whose address no kernel driver holds.
func openBus(bus string, address uint16) (i2c.BusCloser, error) {
	number, err := strconv.Atoi(bus)
	if err != nil || number < 0 {
		return nil, fmt.Errorf("%q is no number of a bus, such as 1 for /dev/i2c-1", bus)
	}
	// periph's transactions go past the kernel's own check.
	if driver := holder("/sys", number, address); driver != "" {
		return nil, fmt.Errorf("the kernel's driver %s holds this address: read what it measures below /sys (iio or hwmon), or unbind it", driver)
	}
	if err := checkBus(fmt.Sprintf("/dev/i2c-%d", number), address); err != nil {
		return nil, err
	}
	return sysfs.NewI2C(number)
}

// holder is the kernel driver that is bound to an address, if there is one.
func holder(root string, bus int, address uint16) string {
	device := filepath.Join(root, "bus/i2c/devices", fmt.Sprintf("%d-%04x", bus, address))
	driver, err := os.Readlink(filepath.Join(device, "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(driver)
}
