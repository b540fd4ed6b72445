package sysfs

import (
	"errors"
	"fmt"
	"strings"
)

// input is an Input made fit for use.
type input struct {
	attribute, label, name string
	quantity               quantity
}

// inputsOf returns the inputs that the options ask for.
func inputsOf(o Options) ([]input, error) {
	switch o.Kind {
	case Thermal, OneWire:
		if len(o.Inputs) > 0 {
			return nil, errors.New("it has one input, the temperature: name none")
		}
		return []input{{attribute: "temp", name: "temperature", quantity: celsius}}, nil
	case IIO, HWMon:
	default:
		return nil, fmt.Errorf("there is no such kind; there are %s, %s, %s and %s", IIO, HWMon, Thermal, OneWire)
	}
	if len(o.Inputs) == 0 {
		return nil, errors.New("name one input or more" + has(o))
	}
	inputs := make([]input, 0, len(o.Inputs))
	for _, asked := range o.Inputs {
		in := input{attribute: asked.Attribute, label: asked.Label, name: asked.Name}
		for _, end := range []string{"_raw", "_input"} {
			in.attribute = strings.TrimSuffix(in.attribute, end)
		}
		if strings.ContainsAny(in.attribute, "/\\\x00") {
			return nil, fmt.Errorf("%q is no attribute: it is a name, not a path", asked.Attribute)
		}
		var err error
		if in.quantity, err = quantityOf(o.Kind, in.attribute); err != nil {
			return nil, err
		}
		if in.name == "" {
			in.name = in.label
		}
		if in.name == "" {
			in.name = in.attribute
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// has says what inputs the device has, if it is there.
func has(o Options) string {
	f, err := find(o)
	if err != nil {
		return ""
	}
	return f.has()
}
