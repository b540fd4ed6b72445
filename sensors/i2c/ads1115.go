package i2c

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/ads1x15"

	"milepost/sensors"
)

// adsPins are the inputs that the chip's multiplexer knows.
var adsPins = map[string]ads1x15.Channel{
	"0": ads1x15.Channel0, "1": ads1x15.Channel1, "2": ads1x15.Channel2, "3": ads1x15.Channel3,
	"0-1": ads1x15.Channel0Minus1, "0-3": ads1x15.Channel0Minus3, "1-3": ads1x15.Channel1Minus3, "2-3": ads1x15.Channel2Minus3,
}

const (
	adsRange = 6.144              // V, the widest
	adsRate  = 128 * physic.Hertz // samples a second, the chip's own default
	adsReady = 0x8000             // in the configuration register: no conversion is under way
)

// ads1115 converts its inputs one after another, 8 ms each.
func ads1115(inputs []Input) (chip, error) {
	c := chip{first: 0x48, last: 0x4b}
	if len(inputs) == 0 {
		return c, errors.New("name one input or more: 0 to 3, or 0-1, 0-3, 1-3, 2-3")
	}
	inputs = append([]Input(nil), inputs...)
	for i := range inputs {
		in := &inputs[i]
		if _, ok := adsPins[in.Pins]; !ok {
			return c, fmt.Errorf("there is no input %q; there are 0 to 3, and 0-1, 0-3, 1-3, 2-3", in.Pins)
		}
		if in.Name == "" {
			in.Name = "voltage" + in.Pins
		}
		if in.Range == 0 {
			in.Range = adsRange
		}
		if !(in.Range > 0 && in.Range <= adsRange) {
			return c, fmt.Errorf("input %s: a range of %v V cannot be; it is up to %v V", in.Pins, in.Range, adsRange)
		}
		for _, other := range c.channels {
			if other.Name == in.Name {
				return c, fmt.Errorf("there are two channels %q", in.Name)
			}
		}
		c.channels = append(c.channels, sensors.Channel{Name: in.Name, Unit: "V"})
	}
	c.setUp = func(bus *guardedBus, address uint16) (func([]float64) error, error) {
		device, err := ads1x15.NewADS1115(&readyBus{guardedBus: bus}, &ads1x15.Opts{I2cAddress: address})
		if err != nil {
			return nil, err
		}
		pins := make([]ads1x15.PinADC, len(inputs))
		for i, in := range inputs {
			// Rounded, lest a range of 4.096 V is a nanovolt too wide for its gain.
			limit := physic.ElectricPotential(math.Round(in.Range*1e6)) * physic.MicroVolt
			if pins[i], err = device.PinForChannel(adsPins[in.Pins], limit, adsRate, ads1x15.BestQuality); err != nil {
				return nil, err
			}
		}
		return func(values []float64) error {
			for i, pin := range pins {
				sample, err := pin.Read()
				if err != nil {
					return fmt.Errorf("%s: %w", c.channels[i].Name, err)
				}
				if sample.Raw == math.MaxInt16 || sample.Raw == math.MinInt16 {
					return fmt.Errorf("%s is at or beyond the end of the converter's range, which was chosen for %v V", c.channels[i].Name, inputs[i].Range)
				}
				values[i] = float64(sample.V) / float64(physic.Volt)
			}
			return nil
		}, nil
	}
	return c, nil
}

// readyBus waits until a conversion has ended before its result is read. periph's
// driver waits for the nominal time, and the chip's clock is within 10 % of it: it
// would now and then read the result of the conversion before, which is another
// input's.
type readyBus struct {
	*guardedBus
	config [2]byte // as the driver wrote it last
}

func (b *readyBus) Tx(address uint16, w, r []byte) error {
	const result, configuration = 0, 1
	if len(w) == 3 && w[0] == configuration {
		copy(b.config[:], w[1:])
	}
	if len(w) == 1 && w[0] == result {
		for {
			now, err := b.register(address, configuration)
			if err != nil {
				return err
			}
			wrote := uint16(b.config[0])<<8 | uint16(b.config[1])
			if now&^adsReady != wrote&^adsReady {
				return fmt.Errorf("the chip's configuration is %#04x, not the %#04x that was written: it was reset, or somebody else uses it", now, wrote)
			}
			if now&adsReady != 0 {
				break
			}
		}
	}
	return b.guardedBus.Tx(address, w, r)
}

// String is for the driver's messages.
func (b *readyBus) String() string { return strings.TrimSpace(b.guardedBus.String()) }
