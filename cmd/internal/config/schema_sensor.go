package config

import (
	"math"
	"time"

	"go.yaml.in/yaml/v4"
)

func newLine() Line { return Line{Bias: BiasAsIs} }

func newSensor() Sensor {
	return Sensor{
		Line: newLine(), Bus: "1", Shunt: 0.1, MaxCurrent: 3.2,
		Server: "localhost:2947", Baud: 9600,
		Interval: time.Second, Timeout: 5 * time.Second,
	}
}

func newSensorInput() SensorInput { return SensorInput{} }

// exampleSensors are some sensors for the default file.
func exampleSensors() []Sensor {
	door, wheel, cabin, position := newSensor(), newSensor(), newSensor(), newSensor()
	current, battery, receiver := newSensor(), newSensor(), newSensor()
	current.Name, current.Type = "current", SensorINA219
	battery.Name, battery.Type, battery.Inputs = "battery", SensorADS1115, []SensorInput{{Input: "0"}}
	receiver.Name, receiver.Type, receiver.Port = "receiver", SensorNMEA, "/dev/ttyAMA0"
	door.Name, door.Type, door.Line = "door", SensorLine, Line{Line: "GPIO17", Bias: BiasPullUp, Debounce: 10 * time.Millisecond, ActiveLow: true}
	wheel.Name, wheel.Type, wheel.Line, wheel.PerUnit, wheel.Unit = "wheel", SensorPulses, Line{Line: "GPIO27", Bias: BiasAsIs}, 4.7, "m"
	cabin.Name, cabin.Type, cabin.Bus = "cabin", SensorBME280, "1"
	position.Name, position.Type = "position", SensorGPSD
	return []Sensor{door, wheel, cabin, current, battery, position, receiver}
}

func (l *Line) fields() []field { return l.fieldsOnly(nil) }

// fieldsOnly are the keys of a line, for some types only.
func (l *Line) fieldsOnly(only []string) []field {
	return []field{
		{key: "chip", value: text(&l.Chip), only: only, absent: "any that has a line of that name", example: "gpiochip0",
			doc: "The GPIO chip: its name or its label."},
		{key: "line", value: text(&l.Line), only: only, example: "GPIO17",
			doc: "The line's name or, with a chip, its number on it."},
		{key: "active_low", value: boolean(&l.ActiveLow), only: only,
			doc: "The line is on while its level is low."},
		{key: "bias", value: enum(&l.Bias, BiasAsIs, BiasDisabled, BiasPullUp, BiasPullDown), only: only,
			doc: "What pulls the line while nothing drives it, where the chip can do so."},
		{key: "debounce", value: duration(&l.Debounce, 0, time.Minute), only: only,
			doc: "How long a level must hold to count. The kernel sees to it."},
	}
}

func (s *Sensor) kind() string { return string(s.Type) }

func (s *Sensor) fields() []field {
	lines := types(SensorLine, SensorPulses, SensorLevel)
	pulses := types(SensorPulses)
	kernel := types(SensorIIO, SensorHWMon, SensorThermal, SensorOneWire)
	several := types(SensorIIO, SensorHWMon, SensorADS1115)
	chips := types(SensorBME280, SensorBMP280, SensorADS1115, SensorINA219)
	polled := append(append(types(SensorLevel), kernel...), chips...)
	fields := []field{
		{key: "name", value: name(&s.Name), required: true,
			doc: "The sensor's name, which stands in its records where a frame's message does."},
		{key: "type", value: enum(&s.Type, SensorLine, SensorPulses, SensorLevel, SensorIIO, SensorHWMon, SensorThermal, SensorOneWire,
			SensorBME280, SensorBMP280, SensorADS1115, SensorINA219, SensorGPSD, SensorNMEA), required: true,
			doc: "What it is: a GPIO line whose edges are told (line) or counted (pulses) or which is looked at now and then (level); a device that the kernel has a driver for (iio, hwmon, thermal, onewire); a chip on an I2C bus; a position from gpsd or from an NMEA 0183 receiver at a serial port."},
	}
	fields = append(fields, s.Line.fieldsOnly(lines)...)
	return append(fields,
		field{key: "per_unit", value: fraction(&s.PerUnit, 0, math.MaxFloat64), only: pulses, absent: "pulses are counted as they are", example: "4.7",
			doc: "How many pulses make one unit."},
		field{key: "unit", value: text(&s.Unit), only: pulses, example: "m",
			doc: "That unit."},
		field{key: "falling", value: boolean(&s.Falling), only: pulses,
			doc: "Count when the line goes off, not when it goes on."},
		field{key: "device", value: text(&s.Device), only: kernel, absent: "the only one of its type", example: "28-0316a2795aff",
			doc: "Which of the kernel's devices: its name or label, its number on the 1-wire bus, the name of its node in the device tree, or a part of its path such as 1-0068. Numbers in order of arrival, such as hwmon2, change."},
		field{key: "inputs", value: listOf(&s.Inputs, newSensorInput, SensorInput{Input: "0", Name: "battery"}), only: several,
			doc: "What to read of it."},
		field{key: "bus", value: text(&s.Bus), only: chips,
			doc: "The number of the I2C bus: 1 for /dev/i2c-1."},
		field{key: "address", value: integer(&s.Address, 0, 0x7f), only: chips, absent: "the usual one of its type", example: "0x76",
			doc: "The chip's 7-bit address on the bus."},
		field{key: "shunt", value: fraction(&s.Shunt, 1e-6, 1e3), only: types(SensorINA219),
			doc: "The resistance of the shunt in ohms."},
		field{key: "max_current", value: fraction(&s.MaxCurrent, 1e-3, 1e4), only: types(SensorINA219),
			doc: "The largest current to be expected, in amperes."},
		field{key: "server", value: text(&s.Server), only: types(SensorGPSD),
			doc: "Where gpsd listens."},
		field{key: "port", value: path(&s.Port), only: types(SensorNMEA), example: "/dev/ttyAMA0",
			doc: "The serial port of the receiver."},
		field{key: "baud", value: integer(&s.Baud, 300, 4_000_000), only: types(SensorNMEA),
			doc: "The port's speed."},
		field{key: "interval", value: duration(&s.Interval, 10*time.Millisecond, 24*time.Hour), only: polled,
			doc: "How often it is read."},
		field{key: "timeout", value: duration(&s.Timeout, 10*time.Millisecond, time.Hour), only: append(append(types(SensorPulses), kernel...), chips...),
			doc: "How long a reading may take; of pulses, how long after the last one the frequency is 0."},
	)
}

func (i *SensorInput) fields() []field {
	return []field{
		{key: "input", value: text(&i.Input), required: true,
			doc: "Of iio and hwmon, the beginning of the names of its files in sysfs: in_accel_x, temp1, fan2; with a label it may lack its number. Of a converter, its pin against ground, 0 to 3, or the difference of two: 0-1, 0-3, 1-3, 2-3."},
		{key: "label", value: text(&i.Label), absent: "the input counts alone", example: "Package id 0",
			doc: "What its label file says, if its number is not to be relied upon (iio, hwmon)."},
		{key: "name", value: name(&i.Name), absent: "made of the input", example: "battery",
			doc: "The name of the series."},
		{key: "range", value: fraction(&i.Range, 0, 6.144),
			doc: "The largest voltage to be measured by a converter, 0 for the largest that it can."},
	}
}

func (s *Sensor) check(d *decoder, n *yaml.Node) {
	if s.Type == "" {
		return
	}
	d.foreignKeys(s, "sensors", string(s.Type), n)
	needs := map[SensorType]string{
		SensorLine: "line", SensorPulses: "line", SensorLevel: "line",
		SensorIIO: "inputs", SensorHWMon: "inputs", SensorADS1115: "inputs", SensorNMEA: "port",
	}[s.Type]
	if key, _ := entry(n, needs); needs != "" && key == nil {
		d.problem(n, "%s is missing here: a sensor of type %s needs it", needs, s.Type)
	}
}
