package gnss

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

var baudCodes = map[int]uint32{
	4800: unix.B4800, 9600: unix.B9600, 19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600,
	115200: unix.B115200, 230400: unix.B230400, 460800: unix.B460800, 921600: unix.B921600,
}

// openSerial opens a serial port for reading, raw: 8 data bits, no parity, no flow
// control, no wait for a carrier. What has come before is thrown away: it has come
// nobody knows when.
func openSerial(path string, baud int) (connection, error) {
	// Not blocking, so that Go can wait for it and for something else.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &fs.PathError{Op: "open", Path: path, Err: err}
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("%w: the user has to be in the group that it belongs to, mostly dialout", err)
		}
		return nil, err
	}
	if err := setSerial(fd, path, baudCodes[baud]); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func setSerial(fd int, path string, code uint32) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == unix.ENOTTY {
		// The kernel's gnss class (/dev/gnss0) has neither speed nor modes.
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err == nil && stat.Mode&unix.S_IFMT == unix.S_IFCHR {
			return nil
		}
		return fmt.Errorf("%s is no serial port", path)
	} else if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CBAUD|unix.CSIZE|unix.PARENB|unix.CSTOPB|unix.CRTSCTS|unix.HUPCL) | unix.CS8 | unix.CREAD | unix.CLOCAL | code
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return fmt.Errorf("%s: setting its speed: %w", path, err)
	}
	if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
