package i2c

import (
	"fmt"
	"strings"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/bmxx80"

	"milepost/sensors"
)

// bosch is a BME280 or BMP280. Each measurement is a forced one, with every
// quantity sampled four times, and takes some 30 ms.
func bosch(kind Chip) chip {
	c := chip{
		channels: []sensors.Channel{{Name: "temperature", Unit: "°C"}, {Name: "pressure", Unit: "Pa"}},
		first:    0x76, last: 0x77,
	}
	if kind == BME280 {
		c.channels = append(c.channels, sensors.Channel{Name: "humidity", Unit: "%"})
	}
	c.setUp = func(bus *guardedBus, address uint16) (func([]float64) error, error) {
		raw := &lastBlock{guardedBus: bus}
		device, err := bmxx80.NewI2C(raw, address, &bmxx80.DefaultOpts)
		if err != nil {
			return nil, err
		}
		// "BME280{...}": the chip's own word for what it is.
		if is, _, _ := strings.Cut(strings.ToLower(device.String()), "{"); is != string(kind) {
			return nil, fmt.Errorf("the chip is a %s", is)
		}
		return func(values []float64) error {
			var e physic.Env
			if err := device.Sense(&e); err != nil {
				return err
			}
			if err := raw.measured(kind); err != nil {
				return err
			}
			values[0] = float64(e.Temperature-physic.ZeroCelsius) / float64(physic.Kelvin)
			values[1] = float64(e.Pressure) / float64(physic.Pascal)
			if kind == BME280 {
				values[2] = float64(e.Humidity) / float64(physic.PercentRH)
			}
			return boschRange(values)
		}, nil
	}
	return c
}

// boschRange refuses what is out of the chip's operating range, as values are that
// were computed from a disturbed transfer.
func boschRange(values []float64) error {
	for i, r := range []struct {
		what, unit string
		from, to   float64
	}{{"temperature", "°C", -40, 85}, {"pressure", "Pa", 30000, 110000}, {"humidity", "%", 0, 100}} {
		if i < len(values) && !(values[i] >= r.from && values[i] <= r.to) {
			return fmt.Errorf("a %s of %v %s is out of the chip's range", r.what, values[i], r.unit)
		}
	}
	return nil
}

// lastBlock keeps the raw values that the driver read last: it does not show them.
type lastBlock struct {
	*guardedBus
	block [8]byte // registers 0xf7 to 0xfe
}

func (b *lastBlock) Tx(address uint16, w, r []byte) error {
	err := b.guardedBus.Tx(address, w, r)
	if err == nil && len(w) == 1 && w[0] == 0xf7 && len(r) <= len(b.block) {
		copy(b.block[:], r)
	}
	return err
}

// measured says whether the raw values are of a measurement. A quantity that the
// chip was not told to measure, because a dip of its supply has reset it, reads
// 0x80000 or 0x8000 (data sheet, sections 5.4.7 to 5.4.9).
func (b *lastBlock) measured(kind Chip) error {
	skipped := func(msb, lsb, xlsb byte) bool { return msb == 0x80 && lsb == 0 && xlsb&0xf0 == 0 }
	r := b.block
	if skipped(r[0], r[1], r[2]) || skipped(r[3], r[4], r[5]) || kind == BME280 && skipped(r[6], r[7], 0) {
		return errLostSettings
	}
	return nil
}
