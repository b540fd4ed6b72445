package sysfs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// quantity is what is measured: in the kernel's unit, times and divided by these,
// it is in unit. Two factors, because a division by 1000 is exact where a
// multiplication by 0.001 is not.
type quantity struct {
	unit       string
	times, per float64
}

func (q quantity) si(v float64) float64 { return v * q.times / q.per }

var celsius = quantity{"°C", 1, 1000} // from milli degrees

// iioQuantities are the types of channels of Industrial I/O.
var iioQuantities = map[string]quantity{
	"accel":                  {"m/s²", 1, 1},
	"activity":               {"%", 1, 1},
	"altvoltage":             {"V", 1, 1000},
	"angl":                   {"rad", 1, 1},
	"anglvel":                {"rad/s", 1, 1},
	"capacitance":            {"F", 1, 1e9},
	"concentration":          {"%", 1, 1},
	"count":                  {"", 1, 1},
	"current":                {"A", 1, 1000},
	"deltaangl":              {"rad", 1, 1},
	"deltavelocity":          {"m/s", 1, 1},
	"distance":               {"m", 1, 1},
	"electricalconductivity": {"S/m", 1, 1},
	"energy":                 {"J", 1, 1},
	"gravity":                {"m/s²", 1, 1},
	"humidityrelative":       {"%", 1, 1000},
	"illuminance":            {"lx", 1, 1},
	"incli":                  {"°", 1, 1},
	"index":                  {"", 1, 1},
	"intensity":              {"", 1, 1},
	"magn":                   {"T", 1, 1e4}, // from gauss
	"massconcentration":      {"µg/m³", 1, 1},
	"ph":                     {"", 1, 1},
	"phase":                  {"rad", 1, 1},
	"positionrelative":       {"%", 1, 1000},
	"power":                  {"W", 1, 1000},
	"pressure":               {"Pa", 1000, 1}, // from kilopascal
	"proximity":              {"", 1, 1},
	"resistance":             {"Ω", 1, 1},
	"rot":                    {"°", 1, 1},
	"steps":                  {"", 1, 1},
	"temp":                   celsius,
	"uvindex":                {"", 1, 1},
	"velocity":               {"m/s", 1, 1},
	"voltage":                {"V", 1, 1000},
}

// hwmonQuantities are the types of inputs of a hardware monitor.
var hwmonQuantities = map[string]quantity{
	"curr":     {"A", 1, 1000},
	"energy":   {"J", 1, 1e6},
	"fan":      {"1/min", 1, 1},
	"freq":     {"Hz", 1, 1},
	"humidity": {"%", 1, 1000},
	"in":       {"V", 1, 1000},
	"power":    {"W", 1, 1e6},
	"temp":     celsius,
}

// quantityOf finds the quantity that an attribute is named after.
func quantityOf(kind Kind, attribute string) (quantity, error) {
	table, rest := hwmonQuantities, attribute
	if kind == IIO {
		table = iioQuantities
		var ok bool
		if rest, ok = strings.CutPrefix(attribute, "in_"); !ok {
			return quantity{}, fmt.Errorf("an input of an IIO device begins with in_, like in_voltage0: not %q", attribute)
		}
	}
	q, ok := table[typeOf(rest)]
	if !ok {
		return quantity{}, fmt.Errorf("%q is no known quantity; these are: %s", attribute, strings.Join(slices.Sorted(maps.Keys(table)), ", "))
	}
	return q, nil
}

// typeOf is the type that an attribute begins with: voltage of voltage0-voltage1.
func typeOf(attribute string) string {
	end := strings.IndexFunc(attribute, func(r rune) bool { return r < 'a' || r > 'z' })
	if end < 0 {
		return attribute
	}
	return attribute[:end]
}
