package sysfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// place is where a kind of device is listed.
type place struct {
	dir  string // below the root
	name string // the file in a device's directory that names it
	is   func(entry string) bool
}

var places = map[Kind]place{
	IIO:     {"bus/iio/devices", "name", begins("iio:device")},
	HWMon:   {"class/hwmon", "name", begins("hwmon")},
	Thermal: {"class/thermal", "type", begins("thermal_zone")},
	OneWire: {"bus/w1/devices", "name", isThermometer},
}

func begins(prefix string) func(string) bool {
	return func(entry string) bool { return strings.HasPrefix(entry, prefix) }
}

// found is a device that is there.
type found struct {
	kind        Kind
	root        string // of sysfs
	dir         string // where it is listed
	real        string // where it is, links resolved
	name, label string
	chip        string   // what the bus calls the device that it is a part of
	nodes       []string // in the device tree, links resolved
}

// list returns the devices of a kind, in the order of their paths.
func list(root string, kind Kind) ([]found, error) {
	p := places[kind]
	entries, err := os.ReadDir(filepath.Join(root, p.dir))
	if err != nil {
		return nil, err
	}
	var all []found
	for _, entry := range entries {
		if !p.is(entry.Name()) {
			continue
		}
		f := found{kind: kind, root: root, dir: filepath.Join(root, p.dir, entry.Name())}
		if f.real, err = filepath.EvalSymlinks(f.dir); err != nil {
			continue // it has just gone
		}
		f.name, f.label = line(f.dir, p.name), line(f.dir, "label")
		if kind == IIO || kind == HWMon {
			f.chip = line(f.parent(), "name")
		}
		for _, link := range []string{"of_node", "device/of_node"} {
			if node, err := filepath.EvalSymlinks(filepath.Join(f.dir, link)); err == nil {
				f.nodes = append(f.nodes, node)
			}
		}
		all = append(all, f)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].real < all[j].real })
	return all, nil
}

// line returns the text of a file that has one line, or nothing.
func line(dir, name string) string {
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	defer file.Close()
	var buf [256]byte
	n, _ := file.Read(buf[:])
	text, _, _ := strings.Cut(string(buf[:n]), "\n")
	return strings.TrimSpace(strings.TrimRight(text, "\x00"))
}

// find returns the one device that the options mean.
func find(o Options) (found, error) {
	all, err := list(o.Root, o.Kind)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, fmt.Errorf("there is no %s: the kernel has no such device yet, or not the driver", filepath.Join(o.Root, places[o.Kind].dir))
	} else if err != nil {
		return found{}, err
	}
	var fit []found
	for _, f := range all {
		if o.Device == "" || f.is(o.Device) {
			fit = append(fit, f)
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case len(fit) > 1:
		return found{}, fmt.Errorf("there are %d of them: say which by its address or path: %s", len(fit), names(fit))
	case len(all) == 0:
		return found{}, errors.New("it is not there, nor is another of its kind")
	}
	return found{}, fmt.Errorf("it is not there; there are: %s", names(all))
}

// names says what devices are called and where they are.
func names(devices []found) string {
	var text []string
	for _, f := range devices {
		text = append(text, fmt.Sprintf("%q at %s", cmp.Or(f.label, f.chip, f.name), f.real))
	}
	return strings.Join(text, ", ")
}

// parent is where the device is that the sensor is a part of: .../i2c-1/1-0068 of
// .../i2c-1/1-0068/iio:device0.
func (f found) parent() string {
	parent := filepath.Dir(f.real)
	if filepath.Base(parent) == string(f.kind) { // .../1-0048/hwmon/hwmon2
		parent = filepath.Dir(parent)
	}
	return parent
}

// is says whether the device is meant by a word or a path.
func (f found) is(device string) bool {
	if strings.HasPrefix(device, "/") {
		return f.below(device)
	}
	if device == f.label || device == f.name || device == f.chip {
		return true
	}
	for _, node := range f.nodes {
		if device == filepath.Base(node) {
			return true
		}
	}
	if alias := line(filepath.Join(f.root, "firmware/devicetree/base/aliases"), device); strings.HasPrefix(alias, "/") && !strings.Contains(device, "/") {
		node, err := filepath.EvalSymlinks(filepath.Join(f.root, "firmware/devicetree/base", alias))
		if err == nil && slices.Contains(f.nodes, node) {
			return true
		}
	}
	root, err := filepath.EvalSymlinks(f.root)
	if err != nil {
		return false
	}
	path, err := filepath.Rel(root, f.real)
	return err == nil && slices.Contains(strings.Split(filepath.ToSlash(path), "/"), device)
}

// below says whether the device is at a path or below it. A path that begins with
// /sys is below the root.
func (f found) below(path string) bool {
	if rest, ok := strings.CutPrefix(path, "/sys/"); ok {
		path = filepath.Join(f.root, rest)
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	return f.real == path || strings.HasPrefix(f.real, path+string(filepath.Separator))
}
