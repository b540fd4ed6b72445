// Package sysfs reads sensors that a kernel driver serves, from the files below
// /sys: converters, accelerometers and the like (Industrial I/O), hardware
// monitors, thermal zones, and 1-wire thermometers.
//
// Values are converted to SI units as the kernel's ABI says
// (Documentation/ABI/testing/sysfs-bus-iio, Documentation/hwmon/sysfs-interface.rst,
// Documentation/driver-api/thermal/sysfs-api.rst, Documentation/w1/slaves/w1_therm.rst).
package sysfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"milepost/sensors"
	"milepost/sensors/internal/poll"
)

// Kind is one of the kernel's families of sensors.
type Kind string

const (
	IIO     Kind = "iio"     // /sys/bus/iio/devices/iio:device*
	HWMon   Kind = "hwmon"   // /sys/class/hwmon/hwmon*
	Thermal Kind = "thermal" // /sys/class/thermal/thermal_zone*
	OneWire Kind = "onewire" // /sys/bus/w1/devices/28-*, and the other families of thermometers
)

// Options say what to read.
type Options struct {
	Kind Kind
	// Root is where sysfs is, /sys if empty.
	Root string
	// Device is which device of the kind, by any of
	//   - its label ("battery"), its name ("mcp3424", "cpu-thermal"), which some
	//     drivers fill with the address, or the chip's name on the bus,
	//   - a 1-wire thermometer's number ("28-0316a2795aff"),
	//   - the name or an alias of its node in the device tree ("adc@68", "adc0"),
	//   - a part of its path below /sys/devices, such as its address on the bus
	//     ("1-0068", "spi0.0", "1-1.2:1.0"),
	//   - a path, to it or to a device above it ("/sys/bus/i2c/devices/1-0068").
	// It has to be one device, and the numbers that the kernel hands out in the order
	// of arrival (iio:device0, hwmon2) are not for a configuration: they change.
	// Empty is for a machine that has only one.
	Device string
	// Inputs are what to read of it: one or more for IIO and HWMon. Thermal zones and
	// 1-wire thermometers have one, the channel "temperature", and none is given.
	Inputs []Input
	// Interval is the time between readings, 1 s if zero.
	Interval time.Duration
	// Timeout is how long a reading may take before the device counts as hung, 5 s if
	// zero. Thermometers that share a 1-wire bus wait for one another, 750 ms each.
	Timeout time.Duration
}

// Input is one measured quantity of a device.
type Input struct {
	// Attribute is the beginning of the names of its files, without _raw or _input:
	// "in_voltage0", "in_accel_x", "temp1", "fan2". With a Label it may lack its
	// number: "temp", "in_voltage".
	Attribute string
	// Label is what its label file says, if the number is not to be relied upon:
	// "Package id 0".
	Label string
	// Name is the channel's name; the label if empty, or the attribute.
	Name string
}

// Sensor is one device below sysfs.
type Sensor struct {
	options  Options
	inputs   []input
	channels []sensors.Channel
	loop     poll.Loop
	device   *device // nil while there is none; the loop's
}

// New returns the sensor that the options describe, or what is wrong with them. It
// does not ask whether the device is there.
func New(o Options) (*Sensor, error) {
	if o.Root == "" {
		o.Root = "/sys"
	}
	s := &Sensor{options: o, loop: poll.Loop{Interval: o.Interval, Timeout: o.Timeout}}
	s.loop.Read, s.loop.Close = s.read, s.forget
	if err := s.loop.Check(); err != nil {
		return nil, s.wrap(err)
	}
	var err error
	if s.inputs, err = inputsOf(o); err != nil {
		return nil, s.wrap(err)
	}
	for _, in := range s.inputs {
		c := sensors.Channel{Name: in.name, Unit: in.quantity.unit}
		if slices.ContainsFunc(s.channels, func(other sensors.Channel) bool { return other.Name == c.Name }) {
			return nil, s.wrap(fmt.Errorf("there are two channels %q", c.Name))
		}
		s.channels = append(s.channels, c)
	}
	return s, nil
}

// Channels are one for each input, in SI units.
func (s *Sensor) Channels() []sensors.Channel { return s.channels }

// Status is how the device is doing. Each input that fails counts as a failure; a
// device that is not there counts once a try.
func (s *Sensor) Status() sensors.Status { return s.loop.Status() }

// Run reads the device once in each interval. A reading's time is that of the
// value's arrival: the kernel gives none.
func (s *Sensor) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	return s.loop.Run(ctx, emit)
}

// read tries all inputs once.
func (s *Sensor) read(readings []sensors.Reading) (_ []sensors.Reading, failed int, _ error) {
	if s.device == nil {
		d, err := open(s.options, s.inputs)
		if err != nil {
			return readings, 1, s.wrap(err)
		}
		s.device = d
	}
	var first error
	for i := range s.inputs {
		v, err := s.device.value(i)
		if err != nil {
			failed++
			if first == nil {
				first = fmt.Errorf("%s: %w", s.inputs[i].name, err)
			}
			// Its directory is held open: once the device is gone, all of it is.
			if gone(err) {
				break
			}
			continue
		}
		readings = append(readings, sensors.Reading{Time: time.Now().UnixNano(), Channel: i, Value: v})
	}
	if first == nil {
		return readings, 0, nil
	}
	if failed == len(s.inputs) || gone(first) {
		s.forget() // it may have come back under another number
	}
	return readings, failed, s.wrap(first)
}

// gone says whether an error is that of a device which has been taken away.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}

func (s *Sensor) forget() {
	if s.device != nil {
		s.device.root.Close()
		s.device = nil
	}
}

func (s *Sensor) wrap(err error) error {
	if s.options.Device == "" {
		return fmt.Errorf("%s sensor: %w", s.options.Kind, err)
	}
	return fmt.Errorf("%s sensor %q: %w", s.options.Kind, s.options.Device, err)
}
