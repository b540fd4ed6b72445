// Package i2c reads chips on an I²C bus that no kernel driver serves: BME280 and
// BMP280 (temperature, pressure, humidity), ADS1115 (voltages), INA219 (voltage,
// current, power).
//
// The drivers are periph.io's (periph.io/x/devices); this package adds what they
// leave out: that an address is held by the kernel, that a chip lost its settings
// in a dip of its supply, that a value is out of range.
//
// A chip that the kernel has a driver for is better read through it (package
// sysfs); so are 1-wire thermometers.
package i2c

import (
	"context"
	"fmt"
	"math"
	"time"

	"periph.io/x/conn/v3/i2c"

	"milepost/sensors"
	"milepost/sensors/internal/poll"
)

// Chip is a type of chip.
type Chip string

const (
	BME280  Chip = "bme280"  // channels temperature (°C), pressure (Pa), humidity (%)
	BMP280  Chip = "bmp280"  // channels temperature (°C), pressure (Pa)
	ADS1115 Chip = "ads1115" // a channel for each input (V)
	INA219  Chip = "ina219"  // channels voltage (V), current (A), power (W)
)

// Options say what chip to read, and where.
type Options struct {
	Chip Chip
	// Bus is the bus's number, "1" if empty: /dev/i2c-1.
	Bus string
	// Address is the chip's 7-bit address; 0x76, 0x48 or 0x40 if zero, the usual one
	// of its type.
	Address uint16
	// Interval is the time between readings, 1 s if zero; Timeout is how long one may
	// take before the chip counts as hung, 5 s if zero.
	Interval, Timeout time.Duration

	// Inputs are those of an ADS1115: one or more.
	Inputs []Input
	// Shunt is the resistance of an INA219's shunt in ohms, 0.1 if zero; MaxCurrent
	// the largest current that is expected, in amperes, 3.2 if zero.
	Shunt, MaxCurrent float64
}

// Input is an input of a converter.
type Input struct {
	// Pins are "0", "1", "2" or "3" against ground, or a difference: "0-1", "0-3",
	// "1-3", "2-3".
	Pins string
	// Name is the channel's name; "voltage" and the pins if empty: "voltage0".
	Name string
	// Range is the largest voltage to be measured, in volts, up to 6.144, which it is
	// if zero. The chip's gain is chosen by it. What is beyond the gain's range is no
	// reading. Whatever the range, no pin bears more than the chip's supply.
	Range float64
}

// chip is what the package knows of a type of chip.
type chip struct {
	channels    []sensors.Channel
	first, last uint16 // addresses that it can have; the first is the usual one
	// setUp prepares the chip, and returns what measures once: a value for each
	// channel.
	setUp func(bus *guardedBus, address uint16) (measure func(values []float64) error, err error)
}

// Sensor is one chip.
type Sensor struct {
	options Options
	chip    chip
	loop    poll.Loop
	openBus func(bus string, address uint16) (i2c.BusCloser, error)

	// Of the loop alone.
	bus     *guardedBus
	measure func([]float64) error // nil until the chip is set up
	values  []float64
}

// New returns the sensor that the options describe, or what is wrong with them. It
// does not ask whether the chip is there.
func New(o Options) (*Sensor, error) {
	if o.Bus == "" {
		o.Bus = "1"
	}
	s := &Sensor{options: o, openBus: openBus}
	var err error
	switch o.Chip {
	case BME280, BMP280:
		s.chip = bosch(o.Chip)
	case ADS1115:
		s.chip, err = ads1115(o.Inputs)
	case INA219:
		s.chip, err = ina219(o.Shunt, o.MaxCurrent)
	default:
		return nil, fmt.Errorf("there is no driver for a chip %q; there are %s, %s, %s and %s", o.Chip, BME280, BMP280, ADS1115, INA219)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Chip, err)
	}
	if o.Address == 0 {
		s.options.Address = s.chip.first
	} else if o.Address < s.chip.first || o.Address > s.chip.last {
		return nil, fmt.Errorf("%s: an address of %#x cannot be; it has one of %#x to %#x", o.Chip, o.Address, s.chip.first, s.chip.last)
	}
	s.loop = poll.Loop{Interval: o.Interval, Timeout: o.Timeout, Read: s.read, Close: s.forget}
	if err := s.loop.Check(); err != nil {
		return nil, s.wrap(err)
	}
	s.values = make([]float64, len(s.chip.channels))
	return s, nil
}

// Channels are those of the chip, in SI units.
func (s *Sensor) Channels() []sensors.Channel { return s.chip.channels }

// Status is how the chip is doing.
func (s *Sensor) Status() sensors.Status { return s.loop.Status() }

// Run measures once in each interval. A reading's time is that of its arrival.
func (s *Sensor) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	return s.loop.Run(ctx, emit)
}

// read measures once: all channels, or none.
func (s *Sensor) read(readings []sensors.Reading) (_ []sensors.Reading, failed int, _ error) {
	if err := s.try(); err != nil {
		// The chip may have been unplugged, or have lost its settings: it is set up anew.
		s.forget()
		return readings, 1, s.wrap(err)
	}
	now := time.Now().UnixNano()
	for i, v := range s.values {
		readings = append(readings, sensors.Reading{Time: now, Channel: i, Value: v})
	}
	return readings, 0, nil
}

func (s *Sensor) try() error {
	if s.measure == nil {
		bus, err := s.openBus(s.options.Bus, s.options.Address)
		if err != nil {
			return err
		}
		s.bus = &guardedBus{BusCloser: bus}
		if s.measure, err = s.chip.setUp(s.bus, s.options.Address); err != nil {
			return fmt.Errorf("it does not answer as it should; is it there, and has it power? %w", err)
		}
	}
	s.bus.transactions = 0
	if err := s.measure(s.values); err != nil {
		return err
	}
	for i, v := range s.values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%s is no finite number", s.chip.channels[i].Name)
		}
	}
	return nil
}

func (s *Sensor) forget() {
	if s.bus != nil {
		s.bus.Close()
	}
	s.bus, s.measure = nil, nil
}

func (s *Sensor) wrap(err error) error {
	return fmt.Errorf("%s at %#x of I²C bus %s: %w", s.options.Chip, s.options.Address, s.options.Bus, err)
}
