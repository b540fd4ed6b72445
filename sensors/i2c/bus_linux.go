package i2c

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// What linux/i2c-dev.h and linux/i2c.h call I2C_SLAVE, I2C_FUNCS and I2C_FUNC_I2C.
const (
	ioctlSlave     = 0x0703
	ioctlFunctions = 0x0705
	functionI2C    = 1
)

// checkBus asks the kernel whether the bus can do what is needed, and whether the
// address is free.
func checkBus(path string, address uint16) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &fs.PathError{Op: "open", Path: path, Err: err}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: is the bus enabled in the device tree, and the module i2c-dev loaded?", err)
		case errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("%w: the user has to be in the group that the file belongs to, mostly i2c", err)
		}
		return err
	}
	defer unix.Close(fd)
	functions, err := unix.IoctlGetInt(fd, ioctlFunctions)
	if err != nil {
		return fmt.Errorf("%s: asking what the bus can do: %w", path, err)
	}
	if functions&functionI2C == 0 {
		return fmt.Errorf("%s can do SMBus transfers only, which is not enough: I²C transfers are needed", path)
	}
	if err := unix.IoctlSetInt(fd, ioctlSlave, int(address)); err == unix.EBUSY {
		return errors.New("a driver of the kernel holds this address")
	} else if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
