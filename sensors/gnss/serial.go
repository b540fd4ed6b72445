package gnss

import "context"

// bauds are the speeds that receivers have.
var bauds = []int{4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600}

func (r *Receiver) openPort(context.Context) (connection, lineReader, error) {
	port, err := openSerial(r.options.Port, r.options.Baud)
	if err != nil {
		return nil, nil, err
	}
	return port, &nmea{receiver: r}, nil
}
