package boards

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// check says what makes no sense in a catalogue whose files can be parsed.
func check(c catalogue) (errs []error) {
	all, err := c.all()
	if err != nil {
		return []error{err}
	}
	var used []string
	for _, b := range all.boards {
		k := &checker{file: b.file}
		k.board(b)
		errs = append(errs, k.errs...)
		used = append(used, b.Header)
	}
	for _, h := range all.hats {
		k := &checker{file: h.file}
		k.hat(h, all.boards)
		errs = append(errs, k.errs...)
	}
	for _, header := range all.headers {
		k := &checker{file: file(header)}
		pins, _ := c.pins(header)
		k.header(pins)
		if !slices.Contains(used, header) {
			k.fail(position{1, 1}, "no board has this header")
		}
		errs = append(errs, k.errs...)
	}
	folders, err := fs.ReadDir(c.files, ".")
	if err != nil {
		return append(errs, err)
	}
	for _, f := range folders {
		if _, err := fs.Stat(c.files, file(f.Name())); f.IsDir() && f.Name() != "testdata" && err != nil {
			errs = append(errs, fmt.Errorf("folder %s holds no board.yaml", f.Name()))
		}
	}
	return errs
}

// checker checks one file.
type checker struct {
	file string
	errs []error
}

func (k *checker) fail(at position, format string, args ...any) {
	k.errs = append(k.errs, &Error{k.file, at.line, at.column, fmt.Sprintf(format, args...)})
}

// want fails unless ok.
func (k *checker) want(ok bool, format string, args ...any) {
	if !ok {
		k.fail(position{1, 1}, format, args...)
	}
}

// once finds what is there twice.
type once map[string]bool

func (o once) again(name string) bool {
	seen := o[name]
	o[name] = true
	return seen && name != ""
}

var (
	releases = []string{"bookworm", "trixie"}
	media    = []string{"sd", "emmc", "nand", "usb", "nvme", "sata", "disk"}
	tables   = map[string]int{"": 0, "mbr": 512, "gpt": 34 * 512} // and what they take of a disk
	watchers = []string{"", "bcm2835_wdt", "imx2_wdt", "omap_wdt", "i6300esb"}
	oldest   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
)

func (k *checker) board(b *Board) {
	k.want(oldest.MatchString(b.Name), "%q is no name for a folder: small letters, digits and hyphens", b.Name)
	k.want(b.Title != "", "title is missing")
	k.arch(b)
	k.kernel(b)
	k.lines(b)
	k.want(len(b.Storage.Media) > 0, "storage: media are missing")
	for _, m := range b.Storage.Media {
		k.want(slices.Contains(media, m), "storage: unknown medium %q", m)
	}
	taken, ok := tables[b.Storage.Table]
	k.want(ok, "storage: unknown partition table %q", b.Storage.Table)
	for _, r := range b.Storage.Raw {
		k.want(r.Offset >= taken && r.Offset%512 == 0 && r.Holds != "", "storage: %q at %#x lies in the partition table or on no block", r.Holds, r.Offset)
	}
	for _, p := range b.Storage.Partitions {
		k.want(p.Name != "" && p.Filesystem != "" && p.MiB > 0 && p.Holds != "", "storage: partition %q says too little", p.Name)
	}
	k.want(slices.Contains(watchers, b.Watchdog.Driver), "unknown watchdog %q", b.Watchdog.Driver)
	k.want((b.Watchdog.Driver == "") == (b.Watchdog.Device == ""), "watchdog: want driver and device")
	names, devices, leds, addresses := once{}, once{}, once{}, once{}
	for _, s := range b.Serial {
		if names.again(s.Name) || devices.again(s.Device) || s.Name == "" || s.Device == "" {
			k.fail(s.at, "serial port %s (%s) is there twice, or has no name or device", s.Name, s.Device)
		}
	}
	for _, l := range b.LEDs {
		if leds.again(l.Name) || l.Name == "" {
			k.fail(l.at, "LED %q is there twice or has no name", l.Name)
		}
	}
	for _, c := range b.I2C {
		if addresses.again(fmt.Sprint(c.Bus, c.Address)) || c.Address < 3 || c.Address > 0x77 {
			k.fail(c.at, "address %#x is there twice or none of I2C", c.Address)
		}
	}
	for _, name := range []string{b.Power.Ignition, b.Power.Hold} {
		_, ok := b.Line(name)
		k.want(ok || name == "", "power: there is no line %q", name)
	}
	for i := range b.CAN {
		k.can(&b.CAN[i])
	}
	k.config(b.Config, b.CAN)
	k.want((b.Emulator == "") == (b.Tested.Physical != ""), "tested: want a word on the physical board, or an emulator if there is none")
	k.want(b.Emulator == "" || b.Tested.Emulated != "", "tested: want a word on the emulated board")
	k.sources(b.Sources)
}

func (k *checker) arch(b *Board) {
	want, ok := map[string]Arch{
		"amd64": {GOARCH: "amd64"}, "arm64": {GOARCH: "arm64"}, "armhf": {GOARCH: "arm", GOARM: "7"}, "armel": {GOARCH: "arm", GOARM: "6"},
	}[b.Arch.Debian]
	want.Debian = b.Arch.Debian
	k.want(ok, "arch: unknown Debian architecture %q", b.Arch.Debian)
	k.want(b.Arch.GOARM == "" || b.Arch.GOARCH == "arm", "arch: GOARM %s without GOARCH arm", b.Arch.GOARM)
	k.want(b.Arch == want, "arch: %s is built with GOARCH=%s GOARM=%s, not %s and %s", b.Arch.Debian, want.GOARCH, want.GOARM, b.Arch.GOARCH, b.Arch.GOARM)
}

func (k *checker) kernel(b *Board) {
	packages := map[string]string{"amd64": "linux-image-amd64", "arm64": "linux-image-arm64", "armhf": "linux-image-armmp"}
	k.want(slices.Contains(releases, b.Kernel.Release), "kernel: unknown release %q", b.Kernel.Release)
	k.want(b.Kernel.Package == packages[b.Arch.Debian], "kernel: %s of %s is not %q", b.Arch.Debian, b.Kernel.Release, b.Kernel.Package)
	k.want(b.Kernel.DeviceTree == "" || strings.HasSuffix(b.Kernel.DeviceTree, ".dtb"), "kernel: %q is no device tree", b.Kernel.DeviceTree)
	device, _, _ := strings.Cut(b.Kernel.Console, ",")
	found := slices.ContainsFunc(b.Serial, func(s Serial) bool { return s.Use == console && s.Device == "/dev/"+device })
	k.want(found, "kernel: the console %q is no serial port whose use is console", b.Kernel.Console)
}

// lines checks chips, lines and buses. What takes a line twice, Combine finds.
func (k *checker) lines(b *Board) {
	chips, names, offsets, pins, buses := once{}, once{}, once{}, once{}, once{}
	for _, c := range b.Chips {
		k.want(!chips.again(c.Name) && c.Name != "", "chip %q is there twice or has no name", c.Name)
		k.want(c.Label != "" || c.Device != "", "chip %s: want a label or a device to know it by", c.Name)
		k.want(c.Lines > 0 && c.Lines <= 256, "chip %s cannot have %d lines", c.Name, c.Lines)
	}
	for _, l := range b.Lines {
		chip, ok := b.Chip(l.Chip)
		switch {
		case names.again(l.Name):
			k.fail(l.at, "line %s is there twice", l.Name)
		case !ok:
			k.fail(l.at, "line %s: unknown chip %q", l.Name, l.Chip)
		case l.Offset < 0 || l.Offset >= chip.Lines:
			k.fail(l.at, "line %s: chip %s has no line %d", l.Name, l.Chip, l.Offset)
		case offsets.again(fmt.Sprint(l.Chip, " ", l.Offset)):
			k.fail(l.at, "line %s: another line is %s %d, too", l.Name, l.Chip, l.Offset)
		case pins.again(l.Pin):
			k.fail(l.at, "line %s: another line is on pin %s, too", l.Name, l.Pin)
		}
	}
	for _, s := range b.SPI {
		if buses.again(strconv.Itoa(s.Bus)) || len(s.ChipSelects) == 0 || len(s.Lines) == 0 {
			k.fail(s.at, "SPI bus %d is there twice, or lacks lines", s.Bus)
		}
		for _, name := range slices.Concat(s.Lines, s.ChipSelects) {
			if _, ok := b.Line(name); !ok {
				k.fail(s.at, "SPI bus %d: there is no line %s", s.Bus, name)
			}
		}
	}
}

func (k *checker) hat(h *HAT, boards []*Board) {
	k.want(oldest.MatchString(h.Name), "%q is no name for a folder: small letters, digits and hyphens", h.Name)
	k.want(h.Title != "", "title is missing")
	k.want(len(h.CAN) > 0, "it has no CAN controller")
	fits := 0
	for _, b := range boards {
		if h.Header != "" && h.Header != b.Header {
			continue
		}
		if _, err := Combine(b, h); err == nil {
			fits++
		} else if len(b.CAN) == 0 { // a carrier's own controllers may be in the way
			k.errs = append(k.errs, err)
		}
	}
	k.want(fits > 0, "it fits on no board")
	for i := range h.CAN {
		k.can(&h.CAN[i])
	}
	k.config(h.Config, h.CAN)
	k.want(h.Tested.Physical != "", "tested: want a word on the physical board")
	k.sources(h.Sources)
}

func (k *checker) header(pins []Pin) {
	names := once{}
	for i, p := range pins {
		if p.Number != i+1 {
			k.fail(p.at, "pin %d comes after pin %d", p.Number, i)
			return
		}
		if strings.HasPrefix(p.Name, "GPIO") && names.again(p.Name) {
			k.fail(p.at, "%s is on two pins", p.Name)
		}
	}
	k.want(len(pins) > 0, "it has no pins")
}

func (k *checker) sources(sources []Source) {
	k.want(len(sources) > 0, "sources are missing")
	for _, s := range sources {
		k.want(s.Document != "" && s.For != "", "sources: %q does not say which document, and what for", s.Document+s.For)
		k.want(s.URL == "" || strings.HasPrefix(s.URL, "https://"), "sources: %q is no address", s.URL)
	}
}

// config checks that what config.txt is told is what the rest of the file says.
func (k *checker) config(lines []string, controllers []CAN) {
	for _, line := range lines {
		name, arguments, ok := strings.Cut(line, "=")
		k.want(ok && name != "", "config: %q is no line of config.txt", line)
		for _, argument := range strings.Split(arguments, ",") {
			key, value, _ := strings.Cut(argument, "=")
			switch key {
			case "oscillator":
				k.want(slices.ContainsFunc(controllers, func(c CAN) bool { return strconv.Itoa(c.Oscillator) == value }), "config: no controller has an oscillator of %s Hz", value)
			case "interrupt":
				k.want(slices.ContainsFunc(controllers, func(c CAN) bool { return c.Interrupt == "GPIO"+value }), "config: no controller has its interrupt on GPIO%s", value)
			}
		}
	}
}
