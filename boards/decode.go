package boards

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// kind is what a file describes.
type kind string

const (
	kindBoard  kind = "board"
	kindHAT    kind = "hat"
	kindHeader kind = "header"
)

// kindOf finds the key kind, which decides how a file is read.
func (d *document) kindOf(n *yaml.Node) kind {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "kind" {
			continue
		}
		switch k := kind(n.Content[i+1].Value); k {
		case kindBoard, kindHAT, kindHeader:
			return k
		}
		d.fail(n.Content[i+1], "%q is none of board, hat and header", n.Content[i+1].Value)
		return ""
	}
	d.fail(n, "kind is missing here: board, hat or header")
	return ""
}

// board decodes a board, whose header's pins are asked for by name.
func (d *document) board(n *yaml.Node, b *Board, pinsOf func(header string) ([]Pin, error)) {
	var chip string
	d.fields(n, fields{
		"kind":     new(string),
		"title":    &b.Title,
		"soc":      &b.SoC,
		"emulator": &b.Emulator,
		"arch": func(v *yaml.Node) {
			d.fields(v, fields{"debian": &b.Arch.Debian, "goarch": &b.Arch.GOARCH, "goarm": &b.Arch.GOARM})
		},
		"kernel": func(v *yaml.Node) {
			k := &b.Kernel
			d.fields(v, fields{"release": &k.Release, "package": &k.Package, "device_tree": &k.DeviceTree, "console": &k.Console,
				"modules": &k.Modules, "missing": &k.Missing})
		},
		"chips": func(v *yaml.Node) { b.Chips = list(d, v, d.chip) },
		"header": func(v *yaml.Node) {
			var err error
			d.fields(v, fields{"name": &b.Header, "chip": &chip})
			if b.Pins, err = pinsOf(b.Header); err != nil {
				d.fail(v, "%v", err)
			}
		},
		"lines":  func(v *yaml.Node) { b.Lines = d.lines(v) },
		"uses":   func(v *yaml.Node) { b.uses = d.uses(v) },
		"spi":    func(v *yaml.Node) { b.SPI = list(d, v, d.spi) },
		"can":    func(v *yaml.Node) { b.CAN = list(d, v, d.can) },
		"i2c":    func(v *yaml.Node) { b.I2C = list(d, v, d.i2c) },
		"serial": func(v *yaml.Node) { b.Serial = list(d, v, d.serial) },
		"leds":   func(v *yaml.Node) { b.LEDs = list(d, v, d.led) },
		"watchdog": func(v *yaml.Node) {
			w := &b.Watchdog
			d.fields(v, fields{"device": &w.Device, "driver": &w.Driver, "max_seconds": &w.MaxSeconds})
		},
		"power": func(v *yaml.Node) {
			p := &b.Power
			d.fields(v, fields{"supply": &p.Supply, "ignition": &p.Ignition, "hold": &p.Hold, "rtc": &p.RTC})
		},
		"storage": func(v *yaml.Node) {
			s := &b.Storage
			d.fields(v, fields{"media": &s.Media, "device": &s.Device, "table": &s.Table,
				"raw":        func(v *yaml.Node) { s.Raw = list(d, v, d.raw) },
				"partitions": func(v *yaml.Node) { s.Partitions = list(d, v, d.partition) }})
		},
		"config":  &b.Config,
		"quirks":  &b.Quirks,
		"tested":  func(v *yaml.Node) { d.tested(v, &b.Tested) },
		"sources": func(v *yaml.Node) { b.Sources = list(d, v, d.source) },
	})
	b.Lines = append(headerLines(b.Pins, chip), b.Lines...)
	for i := range b.CAN {
		b.CAN[i].Name = "can" + strconv.Itoa(i)
	}
}

// headerLines are the lines of a header's pins: GPIO17 has offset 17.
func headerLines(pins []Pin, chip string) (lines []Line) {
	for _, p := range pins {
		digits, is := strings.CutPrefix(p.Name, "GPIO")
		offset, err := strconv.Atoi(digits)
		if !is || err != nil {
			continue
		}
		lines = append(lines, Line{Name: p.Name, Chip: chip, Offset: offset, Pin: strconv.Itoa(p.Number), Functions: p.Functions, at: p.at})
	}
	return lines
}

// uses decodes what lines are used for: each key is a name, each value a use.
func (d *document) uses(n *yaml.Node) (lines []Line) {
	d.mapping(n, func(name string, v *yaml.Node) bool {
		lines = append(lines, Line{Name: name, Use: d.text(v), at: at(v)})
		return true
	})
	return lines
}

func (d *document) hat(n *yaml.Node, h *HAT) {
	d.fields(n, fields{
		"kind":    new(string),
		"title":   &h.Title,
		"header":  &h.Header,
		"can":     func(v *yaml.Node) { h.CAN = list(d, v, d.can) },
		"uses":    func(v *yaml.Node) { h.Lines = d.uses(v) },
		"spi":     func(v *yaml.Node) { h.SPI = list(d, v, d.spi) },
		"i2c":     func(v *yaml.Node) { h.I2C = list(d, v, d.i2c) },
		"serial":  func(v *yaml.Node) { h.Serial = list(d, v, d.serial) },
		"config":  &h.Config,
		"quirks":  &h.Quirks,
		"tested":  func(v *yaml.Node) { d.tested(v, &h.Tested) },
		"sources": func(v *yaml.Node) { h.Sources = list(d, v, d.source) },
	})
}

// headerPins decodes a header: each key is a pin's number, each value its name
// and its functions.
func (d *document) headerPins(n *yaml.Node) (pins []Pin) {
	var title string
	d.fields(n, fields{
		"kind":    new(string),
		"title":   &title,
		"sources": func(v *yaml.Node) { list(d, v, d.source) },
		"pins": func(v *yaml.Node) {
			d.mapping(v, func(key string, v *yaml.Node) bool {
				words := strings.Fields(d.text(v))
				number, err := strconv.Atoi(key)
				if err != nil || len(words) == 0 {
					d.fail(v, "want a pin's number, its name and its functions")
					return true
				}
				pins = append(pins, Pin{Number: number, Name: words[0], Functions: words[1:], at: at(v)})
				return true
			})
		},
	})
	return pins
}

// lines decodes a board's own lines: each key is a name, each value the chip, the
// offset, perhaps "pin" and its name, and functions.
func (d *document) lines(n *yaml.Node) (lines []Line) {
	d.mapping(n, func(name string, v *yaml.Node) bool {
		words := strings.Fields(d.text(v))
		if len(words) < 2 {
			d.fail(v, "want a chip and an offset")
			return true
		}
		offset, err := strconv.Atoi(words[1])
		if err != nil {
			d.fail(v, "want a chip and an offset, not %q", words[1])
		}
		l := Line{Name: name, Chip: words[0], Offset: offset, at: at(v)}
		words = words[2:]
		if len(words) >= 2 && words[0] == "pin" {
			l.Pin, words = words[1], words[2:]
		}
		l.Functions = words
		lines = append(lines, l)
		return true
	})
	return lines
}

func (d *document) chip(n *yaml.Node) (c Chip) {
	d.fields(n, fields{"name": &c.Name, "label": &c.Label, "device": &c.Device, "lines": &c.Lines})
	return c
}

func (d *document) spi(n *yaml.Node) SPI {
	s := SPI{at: at(n)}
	d.fields(n, fields{"bus": &s.Bus, "node": &s.Node, "pin_nodes": &s.PinNodes, "device": &s.Device, "lines": &s.Lines,
		"chip_selects": &s.ChipSelects})
	return s
}

func (d *document) can(n *yaml.Node) CAN {
	c := CAN{at: at(n)}
	d.fields(n, fields{"label": &c.Label, "driver": &c.Driver, "chip": &c.Chip, "fd": &c.FD, "bitrate": &c.Bitrate,
		"data_bitrate": &c.DataBitrate, "oscillator": &c.Oscillator, "oscillator_also": &c.OscillatorAlso,
		"spi": func(v *yaml.Node) {
			c.SPI = new(ChipSelect)
			d.fields(v, fields{"bus": &c.SPI.Bus, "select": &c.SPI.Select, "max_hz": &c.SPI.MaxHz})
		},
		"interrupt": &c.Interrupt, "node": &c.Node, "lines": &c.Lines, "device_tree": &c.DeviceTree, "usb": &c.USB,
		"transceiver": &c.Transceiver})
	return c
}

func (d *document) i2c(n *yaml.Node) I2C {
	c := I2C{at: at(n)}
	d.fields(n, fields{"bus": &c.Bus, "address": &c.Address, "chip": &c.Chip, "use": &c.Use})
	return c
}

func (d *document) serial(n *yaml.Node) Serial {
	s := Serial{at: at(n)}
	d.fields(n, fields{"name": &s.Name, "device": &s.Device, "lines": &s.Lines, "use": &s.Use})
	return s
}

func (d *document) led(n *yaml.Node) LED {
	l := LED{at: at(n)}
	d.fields(n, fields{"name": &l.Name, "line": &l.Line})
	return l
}

func (d *document) raw(n *yaml.Node) (r Raw) {
	d.fields(n, fields{"offset": &r.Offset, "holds": &r.Holds})
	return r
}

func (d *document) partition(n *yaml.Node) (p Partition) {
	d.fields(n, fields{"name": &p.Name, "filesystem": &p.Filesystem, "mib": &p.MiB, "holds": &p.Holds})
	return p
}

func (d *document) tested(n *yaml.Node, t *Tested) {
	d.fields(n, fields{"physical": &t.Physical, "emulated": &t.Emulated})
}

func (d *document) source(n *yaml.Node) (s Source) {
	d.fields(n, fields{"document": &s.Document, "for": &s.For, "url": &s.URL})
	return s
}
