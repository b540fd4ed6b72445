package i2c

import (
	"fmt"
	"math"
	"time"

	"periph.io/x/conn/v3/physic"
	driver "periph.io/x/devices/v3/ina219"

	"milepost/sensors"
)

// Registers and settings of the INA219.
const (
	inaConfiguration = 0x00
	inaCalibration   = 0x05
	// inaSettings are periph's (128 samples averaged, ±320 mV across the shunt) with
	// a range of 32 V. periph leaves it at 16 V, where the supply of a lorry reads as
	// 16 V and nothing says that it is more.
	inaSettings = 0x3fff
)

// ina219 measures a supply: voltage and current are means over 68 ms.
func ina219(shunt, maxCurrent float64) (chip, error) {
	c := chip{
		channels: []sensors.Channel{{Name: "voltage", Unit: "V"}, {Name: "current", Unit: "A"}, {Name: "power", Unit: "W"}},
		first:    0x40, last: 0x4f,
	}
	if shunt == 0 {
		shunt = 0.1
	}
	if maxCurrent == 0 {
		maxCurrent = 3.2
	}
	if !(shunt >= 1e-5 && shunt <= 100) {
		return c, fmt.Errorf("a shunt of %v Ω cannot be; it has 0.00001 to 100 Ω", shunt)
	}
	if !(maxCurrent >= 1e-2 && maxCurrent <= 1e4) {
		return c, fmt.Errorf("a largest current of %v A cannot be; it is 0.01 to 10000 A", maxCurrent)
	}
	// The calibration register holds 16 bits of 0.04096 * 32768 / volts.
	if volts := shunt * maxCurrent; volts > 0.3201 || volts < 0.0205 {
		return c, fmt.Errorf("%v A through a shunt of %v Ω makes %.3g V; the chip can be set up for 0.0205 to 0.32 V", maxCurrent, shunt, volts)
	}
	options := driver.Opts{
		SenseResistor: physic.ElectricResistance(math.Round(shunt * float64(physic.Ohm))),
		MaxCurrent:    physic.ElectricCurrent(math.Round(maxCurrent * float64(physic.Ampere))),
	}
	c.setUp = func(bus *guardedBus, address uint16) (func([]float64) error, error) {
		o := options
		o.Address = int(address)
		device, err := driver.New(bus, &o)
		if err != nil {
			return nil, err
		}
		if err := bus.Tx(address, []byte{inaConfiguration, inaSettings >> 8, inaSettings & 0xff}, nil); err != nil {
			return nil, err
		}
		calibration, err := bus.register(address, inaCalibration)
		if err != nil {
			return nil, err
		}
		if calibration == 0 {
			return nil, fmt.Errorf("it does not keep its calibration: is it an INA219?")
		}
		if err := inaReady(bus, address); err != nil {
			return nil, err
		}
		return func(values []float64) error {
			if err := inaKept(bus, address, calibration); err != nil {
				return err
			}
			p, err := device.Sense()
			if err != nil {
				// The driver's errors do not say what the bus said.
				return fmt.Errorf("%w; a current that is larger than the %v A it was set up for does that, too", err, maxCurrent)
			}
			values[0] = float64(p.Voltage) / float64(physic.Volt)
			values[1] = float64(p.Current) / float64(physic.Ampere)
			values[2] = float64(p.Power) / float64(physic.Watt)
			return nil
		}, nil
	}
	return c, nil
}

// inaReady waits for the first conversion with the new settings, 137 ms after them:
// bit 1 of the bus voltage register.
func inaReady(bus *guardedBus, address uint16) error {
	const (
		voltage  = 0x02
		ready    = 0x0002
		patience = 40
	)
	for range patience {
		v, err := bus.register(address, voltage)
		if err != nil {
			return err
		}
		if v&ready != 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errBusy
}

// inaKept says whether the chip still has its settings. After a dip of its supply
// it would go on and measure a current of nothing.
func inaKept(bus *guardedBus, address uint16, calibration uint16) error {
	settings, err := bus.register(address, inaConfiguration)
	if err != nil {
		return err
	}
	now, err := bus.register(address, inaCalibration)
	if err != nil {
		return err
	}
	if settings != inaSettings || now != calibration {
		return errLostSettings
	}
	return nil
}
