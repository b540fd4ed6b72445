package config

import "time"

// SensorType names what a sensor is read by.
type SensorType string

const (
	SensorLine    SensorType = "line"
	SensorPulses  SensorType = "pulses"
	SensorLevel   SensorType = "level"
	SensorIIO     SensorType = "iio"
	SensorHWMon   SensorType = "hwmon"
	SensorThermal SensorType = "thermal"
	SensorOneWire SensorType = "onewire"
	SensorBME280  SensorType = "bme280"
	SensorBMP280  SensorType = "bmp280"
	SensorADS1115 SensorType = "ads1115"
	SensorINA219  SensorType = "ina219"
	SensorGPSD    SensorType = "gpsd"
	SensorNMEA    SensorType = "nmea"
)

// Bias is what pulls a line when nothing drives it.
type Bias string

const (
	BiasAsIs     Bias = "as-is"
	BiasDisabled Bias = "disabled"
	BiasPullUp   Bias = "pull-up"
	BiasPullDown Bias = "pull-down"
)

// Line is a line of a GPIO chip.
type Line struct {
	// Chip is a chip's name or label; empty for whichever has a line of that name.
	Chip string
	// Line is the line's name or, with a Chip, its number; empty for no line.
	Line      string
	ActiveLow bool
	Bias      Bias
	Debounce  time.Duration
}

// Sensor is one thing that is measured. What does not belong to its Type has its
// default value and means nothing.
type Sensor struct {
	Name string
	Type SensorType

	Line
	// PerUnit is how many pulses make one Unit.
	PerUnit float64
	Unit    string
	Falling bool

	// Device is one of the kernel's: its name, label or number.
	Device string
	Inputs []SensorInput

	// Bus and Address are those of a chip on an I2C bus; an Address of 0 is the usual
	// one.
	Bus        string
	Address    int
	Shunt      float64
	MaxCurrent float64

	// Server is gpsd's HOST:PORT, Port a serial one.
	Server string
	Port   string
	Baud   int

	Interval, Timeout time.Duration
}

// SensorInput is one of the quantities that a device measures.
type SensorInput struct {
	// Input is the attribute in sysfs of one of the kernel's devices, the pins of a
	// converter.
	Input string
	// Label is what the kernel's device calls it; empty to go by the Input alone.
	Label string
	// Name is the series'; empty for a name made of the others.
	Name string
	// Range is the largest voltage to be measured by a converter, 0 for its largest.
	Range float64
}
