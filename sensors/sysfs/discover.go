package sysfs

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Found is a device that a machine has.
type Found struct {
	Kind Kind
	// Device means this device alone: what to write as Options.Device.
	Device string
	// Name and Label are what its driver and its device tree call it, where they do.
	Name, Label string
	// Path is where it is now.
	Path string
	// Inputs are what it measures.
	Inputs []FoundInput
}

// FoundInput is an input that a device has.
type FoundInput struct {
	Attribute string // to write as Input.Attribute
	Label     string // empty where it has none
	Unit      string // of the channel
}

// String is the attribute, the label and the unit.
func (i FoundInput) String() string {
	text := i.Attribute
	if i.Label != "" {
		text += ` "` + i.Label + `"`
	}
	if i.Unit != "" {
		text += " (" + i.Unit + ")"
	}
	return text
}

// Discover lists the devices below a root, /sys if empty: IIO, hwmon, thermal and
// 1-wire, each in the order of their paths. It reads no values.
func Discover(root string) []Found {
	if root == "" {
		root = "/sys"
	}
	var all []Found
	for _, kind := range []Kind{IIO, HWMon, Thermal, OneWire} {
		devices, err := list(root, kind)
		if err != nil {
			continue // no such kind here
		}
		for _, f := range devices {
			all = append(all, Found{Kind: kind, Device: f.unique(devices), Name: f.name, Label: f.label, Path: f.real, Inputs: f.inputs()})
		}
	}
	return all
}

// unique returns a word for a device that means no other: its label, what it is,
// its address on the bus, or its path.
func (f found) unique(among []found) string {
	for _, word := range []string{f.label, f.chip, f.name, filepath.Base(f.parent())} {
		if word == "" {
			continue
		}
		means := 0
		for _, other := range among {
			if other.is(word) {
				means++
			}
		}
		if means == 1 {
			return word
		}
	}
	return f.real
}

// inputs are what a device measures, in the order of their names.
func (f found) inputs() []FoundInput {
	switch f.kind {
	case Thermal:
		return []FoundInput{{Attribute: "temp", Unit: celsius.unit}}
	case OneWire:
		return []FoundInput{{Attribute: "temperature", Unit: celsius.unit}}
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil
	}
	var all []FoundInput
	for _, entry := range entries {
		attribute, ok := attributeOf(f.kind, entry.Name())
		if !ok || slices.ContainsFunc(all, func(in FoundInput) bool { return in.Attribute == attribute }) {
			continue // in_temp_raw and in_temp_input are one
		}
		q, err := quantityOf(f.kind, attribute)
		if err != nil {
			continue
		}
		all = append(all, FoundInput{Attribute: attribute, Label: line(f.dir, attribute+"_label"), Unit: q.unit})
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		// temp2 before temp10
		return cmp.Or(cmp.Compare(typeOf(trimIn(a)), typeOf(trimIn(b))), len(a.Attribute)-len(b.Attribute), cmp.Compare(a.Attribute, b.Attribute)) < 0
	})
	return all
}

func trimIn(in FoundInput) string { return strings.TrimPrefix(in.Attribute, "in_") }

// attributeOf is the attribute that a file holds the value of.
func attributeOf(kind Kind, file string) (string, bool) {
	if attribute, ok := strings.CutSuffix(file, "_input"); ok {
		return attribute, true
	}
	if kind == IIO {
		return strings.CutSuffix(file, "_raw")
	}
	return file, kind == HWMon && strings.HasPrefix(file, "power") && strings.HasSuffix(file, "_average")
}

// has says what inputs there are, for an error about one that is not.
func (f found) has() string {
	var names []string
	for _, in := range f.inputs() {
		names = append(names, in.String())
	}
	if len(names) == 0 {
		return "; it has no input"
	}
	return "; it has " + strings.Join(names, ", ")
}
