package main

import (
	"fmt"
	"time"

	"milepost/cmd/internal/config"
	"milepost/cmd/internal/gateway"
	"milepost/sensors"
	"milepost/sensors/gnss"
	"milepost/sensors/gpio"
	"milepost/sensors/i2c"
	"milepost/sensors/sysfs"
)

// sensors makes the sensors of the configuration. They need not be there yet.
func (s *service) sensors() error {
	for i := range s.config.Sensors {
		c := &s.config.Sensors[i]
		driver, sensor, err := s.sensor(c)
		if err != nil {
			return fmt.Errorf("sensor %s: %w", c.Name, err)
		}
		s.live.Sensors = append(s.live.Sensors, gateway.LiveSensor{Driver: driver, Name: c.Name, Sensor: sensor})
	}
	return nil
}

// sensor makes one, and says what stands in the place of the bus in its records.
func (s *service) sensor(c *config.Sensor) (driver string, sensor sensors.Sensor, err error) {
	switch c.Type {
	case config.SensorLine, config.SensorPulses, config.SensorLevel:
		sensor, err = s.lineSensor(c)
		return "gpio", sensor, err
	case config.SensorIIO, config.SensorHWMon, config.SensorThermal, config.SensorOneWire:
		o := sysfs.Options{Kind: sysfs.Kind(c.Type), Device: c.Device, Interval: c.Interval, Timeout: c.Timeout}
		for _, in := range c.Inputs {
			o.Inputs = append(o.Inputs, sysfs.Input{Attribute: in.Input, Label: in.Label, Name: in.Name})
		}
		sensor, err = sysfs.New(o)
		return string(c.Type), sensor, err
	case config.SensorGPSD, config.SensorNMEA:
		o := gnss.Options{Time: func(f gnss.Fix) { s.clock.GNSS(f.UTC, f.Boot, f.Error) }}
		if c.Type == config.SensorGPSD {
			o.GPSD = c.Server
		} else {
			o.Port, o.Baud = c.Port, c.Baud
		}
		sensor, err = gnss.New(o)
		return "gnss", sensor, err
	}
	o := i2c.Options{
		Chip: i2c.Chip(c.Type), Bus: c.Bus, Address: uint16(c.Address),
		Interval: c.Interval, Timeout: c.Timeout, Shunt: c.Shunt, MaxCurrent: c.MaxCurrent,
	}
	for _, in := range c.Inputs {
		o.Inputs = append(o.Inputs, i2c.Input{Pins: in.Input, Name: in.Name, Range: in.Range})
	}
	sensor, err = i2c.New(o)
	return "i2c", sensor, err
}

func (s *service) lineSensor(c *config.Sensor) (sensors.Sensor, error) {
	line, err := lineOptions(&c.Line)
	if err != nil {
		return nil, err
	}
	interval := min(s.config.Window, time.Second) // of which windows consist
	switch c.Type {
	case config.SensorPulses:
		return gpio.NewPulses(gpio.PulseOptions{
			LineOptions: line, Falling: c.Falling, Interval: interval, Timeout: c.Timeout, PerUnit: c.PerUnit, Unit: c.Unit,
		})
	case config.SensorLevel:
		return gpio.NewLevel(gpio.LevelOptions{LineOptions: line, Interval: c.Interval})
	}
	return gpio.NewEdges(gpio.EdgeOptions{LineOptions: line, Interval: interval})
}

func lineOptions(c *config.Line) (gpio.LineOptions, error) {
	bias, err := gpio.ParseBias(string(c.Bias))
	return gpio.LineOptions{Chip: c.Chip, Line: c.Line, ActiveLow: c.ActiveLow, Bias: bias, Debounce: c.Debounce}, err
}
