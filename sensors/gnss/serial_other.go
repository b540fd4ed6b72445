//go:build !linux

package gnss

import "errors"

func openSerial(string, int) (connection, error) {
	return nil, errors.New("serial ports are read on Linux only; gpsd can be asked from elsewhere")
}
