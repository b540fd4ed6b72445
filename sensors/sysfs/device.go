package sysfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
)

// device is an open one. Its directory is held open, and files are opened in it:
// when the device goes, and another takes its number, it is the old directory that
// gives an error, not the new one that gives a wrong value.
type device struct {
	root   *os.Root
	values []func() (float64, error) // of each input, in SI units
	buf    [maxAttribute + 1]byte    // for what is read
}

// open finds the device and the files of its inputs.
func open(o Options, inputs []input) (*device, error) {
	f, err := find(o)
	if err != nil {
		return nil, err
	}
	d := &device{}
	if d.root, err = os.OpenRoot(f.real); err != nil {
		return nil, err
	}
	for _, in := range inputs {
		value, err := d.bind(f, in)
		if err != nil {
			d.root.Close()
			return nil, err
		}
		d.values = append(d.values, value)
	}
	return d, nil
}

// absoluteZero in °C: what is colder was not measured.
const absoluteZero = -273.15

// value reads an input.
func (d *device) value(i int) (float64, error) {
	v, err := d.values[i]()
	if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
		return 0, errors.New("raw value, offset and scale give no finite number")
	}
	return v, err
}

// bind finds an input's files, and says how to read it.
func (d *device) bind(f found, in input) (func() (float64, error), error) {
	switch f.kind {
	case Thermal:
		return d.scaled("temp", in.quantity), nil
	case OneWire:
		return d.thermometer(f), nil
	}
	attribute := in.attribute
	if in.label != "" {
		var err error
		if attribute, err = f.labelled(in); err != nil {
			return nil, err
		}
	}
	if f.kind == HWMon {
		return d.hwmon(f, attribute, in.quantity)
	}
	return d.iio(f, attribute, in.quantity)
}

// labelled finds the attribute that has a label.
func (f found) labelled(in input) (string, error) {
	for _, other := range f.inputs() {
		if other.Label == in.label && strings.HasPrefix(other.Attribute, in.attribute) &&
			typeOf(strings.TrimPrefix(other.Attribute, "in_")) == typeOf(strings.TrimPrefix(in.attribute, "in_")) {
			return other.Attribute, nil
		}
	}
	return "", fmt.Errorf("it has no %s that is labelled %q%s", in.attribute, in.label, f.has())
}

// scaled reads a file of one number in the kernel's unit.
func (d *device) scaled(name string, q quantity) func() (float64, error) {
	return func() (float64, error) {
		v, err := d.number(name)
		if err != nil {
			return 0, err
		}
		return q.plausible(q.si(v))
	}
}

// plausible refuses what chips and drivers give in place of an error.
func (q quantity) plausible(v float64) (float64, error) {
	if q.unit == celsius.unit && v < absoluteZero {
		return 0, fmt.Errorf("%v °C is below absolute zero: it was not measured", v)
	}
	return v, nil
}

// hwmon reads NAME_input, or NAME where that is the file (power1_average).
func (d *device) hwmon(f found, attribute string, q quantity) (func() (float64, error), error) {
	name := attribute
	if !d.has(name) {
		name += "_input"
	}
	if !d.has(name) {
		return nil, fmt.Errorf("it has no %s%s", name, f.has())
	}
	read := d.scaled(name, q)
	fault := attribute + "_fault"
	if !d.has(fault) {
		return read, nil
	}
	return func() (float64, error) {
		if v, err := d.number(fault); err != nil {
			return 0, err
		} else if v != 0 {
			return 0, fmt.Errorf("%s: the chip finds its probe broken or missing", fault)
		}
		return read()
	}, nil
}

// iio reads NAME_input, or NAME_raw with what turns it into the unit:
// (raw + offset) * scale. Offset and scale are read each time, because they change
// when somebody sets another gain.
func (d *device) iio(f found, attribute string, q quantity) (func() (float64, error), error) {
	if input := attribute + "_input"; d.has(input) {
		return d.scaled(input, q), nil
	}
	raw := attribute + "_raw"
	if !d.has(raw) {
		return nil, fmt.Errorf("it has neither %s nor %s_input%s", raw, attribute, f.has())
	}
	offset, scale := d.shared(attribute, "offset"), d.shared(attribute, "scale")
	return func() (float64, error) {
		v, err := d.number(raw)
		if err != nil {
			return 0, err
		}
		if offset != "" {
			n, err := d.number(offset)
			if err != nil {
				return 0, err
			}
			v += n
		}
		if scale != "" {
			n, err := d.number(scale)
			if err != nil {
				return 0, err
			}
			v *= n
		}
		return q.plausible(q.si(v))
	}, nil
}

// shared finds the file that holds an attribute's scale or offset: its own, or
// that of all of its modifier, type, direction or device. The names are those of
// __iio_device_attr_init in the kernel's industrialio-core.c.
func (d *device) shared(attribute, what string) string {
	candidates := []string{attribute}
	channel := strings.TrimPrefix(attribute, "in_")
	kind := typeOf(channel)
	if first, second, ok := strings.Cut(channel, "-"); ok {
		candidates = append(candidates, "in_"+typeOf(first)+"-"+typeOf(second))
	} else if _, modifier, ok := strings.Cut(channel, "_"); ok {
		candidates = append(candidates, "in_"+kind+"_"+modifier)
	}
	candidates = append(candidates, "in_"+kind, "in")
	for _, c := range candidates {
		if name := c + "_" + what; d.has(name) {
			return name
		}
	}
	if d.has(what) {
		return what
	}
	return ""
}

func (d *device) has(name string) bool {
	_, err := d.root.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
