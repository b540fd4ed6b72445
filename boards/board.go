// Package boards knows the boards that milepost runs on and the HATs that go on
// them: processor and kernel, CAN controllers, GPIO lines with the header pins
// that they are on, serial ports, LEDs, watchdog, power, storage.
//
// It is data: one folder a board, in which board.yaml says what the makers'
// documents and the kernel's device trees say, and names them. What could not be
// found there is left out. The files are embedded, and parsed when asked for.
package boards

// Board is a computer, with the HATs that were combined with it.
type Board struct {
	// Name is that of the board's folder: what a configuration calls it.
	Name string `json:"name"`
	// Title is the maker's name for it.
	Title string `json:"title"`
	SoC   string `json:"soc,omitempty"`
	// Emulator is the machine of QEMU that the board is, with its arguments; empty
	// if the board can be touched.
	Emulator string `json:"emulator,omitempty"`
	Arch     Arch   `json:"arch"`
	Kernel   Kernel `json:"kernel"`
	Chips    []Chip `json:"chips,omitempty"`
	// Header is the name of the header for HATs, and Pins are its pins; empty
	// without one.
	Header string `json:"header,omitempty"`
	Pins   []Pin  `json:"pins,omitempty"`
	// Lines are the GPIO lines that can be named, those of the header first.
	Lines    []Line   `json:"lines,omitempty"`
	SPI      []SPI    `json:"spi,omitempty"`
	CAN      []CAN    `json:"can,omitempty"`
	I2C      []I2C    `json:"i2c,omitempty"`
	Serial   []Serial `json:"serial,omitempty"`
	LEDs     []LED    `json:"leds,omitempty"`
	Watchdog Watchdog `json:"watchdog"`
	Power    Power    `json:"power"`
	Storage  Storage  `json:"storage"`
	// Config is what config.txt needs beyond what the firmware's defaults are: on
	// boards with the Raspberry Pi's boot firmware and its maker's kernel.
	Config []string `json:"config,omitempty"`
	// HATs are the names of those that the board was combined with.
	HATs []string `json:"hats,omitempty"`
	// Quirks are what an integrator should know, a sentence or more each.
	Quirks  []string `json:"quirks,omitempty"`
	Tested  Tested   `json:"tested"`
	Sources []Source `json:"sources"`

	file string
	// uses are what lines are used for beyond what the rest says; Combine says it
	// at the lines. Only Name and Use are set.
	uses []Line
}

// HAT is a board on a board: it brings CAN controllers and uses lines.
type HAT struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// Header is the name of the header that it fits on; empty for what is plugged
	// in elsewhere, as USB adapters are.
	Header string `json:"header,omitempty"`
	CAN    []CAN  `json:"can"`
	// Lines are the lines that it uses besides those of its CAN controllers. Only
	// Name and Use are set.
	Lines []Line `json:"lines,omitempty"`
	// SPI are chip selects that are not where the board has them. Only Bus and
	// ChipSelects are set.
	SPI     []SPI    `json:"spi,omitempty"`
	I2C     []I2C    `json:"i2c,omitempty"`
	Serial  []Serial `json:"serial,omitempty"` // only Name and Use are set
	Config  []string `json:"config,omitempty"`
	Quirks  []string `json:"quirks,omitempty"`
	Tested  Tested   `json:"tested"`
	Sources []Source `json:"sources"`

	file string
}

// Arch says what to build for.
type Arch struct {
	Debian string `json:"debian"` // as dpkg calls it: arm64, armhf, amd64
	GOARCH string `json:"goarch"`
	GOARM  string `json:"goarm,omitempty"` // for GOARCH arm only
}

// Kernel is Debian's for the board.
type Kernel struct {
	Release string `json:"release"` // Debian's release that has it, such as bookworm
	Package string `json:"package"` // the package that depends on the newest
	// DeviceTree is the path of the board's tree below /usr/lib/linux-image-VERSION;
	// empty where the firmware brings it.
	DeviceTree string `json:"device_tree,omitempty"`
	Console    string `json:"console"` // the value of the parameter console=
	// Modules are what has to be loaded for the board to find its disk, its CAN
	// controllers and its lines, where nothing loads them by itself.
	Modules []string `json:"modules,omitempty"`
	// Missing is what the board has and this kernel does not drive.
	Missing []string `json:"missing,omitempty"`
}

// Chip is a GPIO controller.
type Chip struct {
	Name string `json:"name"` // as Line has it
	// Label is what the kernel calls the chip (struct gpiochip_info), which unlike
	// the number in /dev/gpiochipN stays as it is; empty where it does not either.
	Label string `json:"label,omitempty"`
	// Device is the chip's device in /sys/devices/platform, the last part of its path.
	Device string `json:"device,omitempty"`
	Lines  int    `json:"lines"`
}

// Line is a GPIO line.
type Line struct {
	// Name is the board's: GPIO17 for the Raspberry Pi's header, P9_12 for a
	// BeagleBone's, dio0 for what is printed on a case.
	Name   string `json:"name"`
	Chip   string `json:"chip,omitempty"`
	Offset int    `json:"offset"`
	// Pin is the pin on the board's connector; empty if it is on none.
	Pin string `json:"pin,omitempty"`
	// Functions are what the line can do or does besides, as in spi0-ce0.
	Functions []string `json:"functions,omitempty"`
	// Use is what has taken the line; empty if it is free.
	Use string `json:"use,omitempty"`

	at position
}

// Pin is a pin of a header for HATs.
type Pin struct {
	Number int `json:"number"`
	// Name is that of a Line, or a supply: 3V3, 5V, GND.
	Name      string   `json:"name"`
	Functions []string `json:"functions,omitempty"`

	at position
}

// SPI is a controller of the Serial Peripheral Interface.
type SPI struct {
	Bus int `json:"bus"`
	// Node is its path in the device tree, and PinNodes are those of its pins'
	// groups, where the tree has them.
	Node     string   `json:"node,omitempty"`
	PinNodes []string `json:"pin_nodes,omitempty"`
	// Device is the controller's in /sys/devices/platform, the last part of its path.
	Device string `json:"device,omitempty"`
	// Lines are those of clock and data, ChipSelects those that select a chip, by
	// its number.
	Lines       []string `json:"lines,omitempty"`
	ChipSelects []string `json:"chip_selects,omitempty"`

	at position
}

// CAN is a CAN controller.
type CAN struct {
	// Name is the board's for the bus: can0, can1 and so on, first those of the
	// board and then those of its HATs in their order. The kernel numbers interfaces
	// in the order in which it finds them; a udev rule makes them the same.
	Name string `json:"name,omitempty"`
	// Label is what is printed beside the connector.
	Label  string `json:"label,omitempty"`
	Driver string `json:"driver"` // the kernel's module
	Chip   string `json:"chip"`
	FD     bool   `json:"fd"`
	// Bitrate and DataBitrate are the most that the chip is made for, in bit/s.
	Bitrate     int `json:"bitrate,omitempty"`
	DataBitrate int `json:"data_bitrate,omitempty"`
	// Oscillator is the chip's clock in Hz. Boards that were sold with others say
	// so in OscillatorAlso: whoever has one looks at the crystal.
	Oscillator     int   `json:"oscillator_hz,omitempty"`
	OscillatorAlso []int `json:"oscillator_also_hz,omitempty"`
	// SPI is where a chip on that bus is; nil for others. MaxHz is its fastest clock.
	SPI *ChipSelect `json:"spi,omitempty"`
	// Interrupt is the name of the line that the chip pulls low.
	Interrupt string `json:"interrupt,omitempty"`
	// Node is the path in the device tree of a controller on the processor, and
	// Lines are those that it uses.
	Node  string   `json:"node,omitempty"`
	Lines []string `json:"lines,omitempty"`
	// DeviceTree is what has to be appended to the board's tree for the controller
	// to work; empty if nothing has to.
	DeviceTree string `json:"device_tree,omitempty"`
	// USB are the vendors' and products' numbers, as lsusb prints them.
	USB         []string `json:"usb,omitempty"`
	Transceiver string   `json:"transceiver,omitempty"`
	// From is the name of the HAT that brought it; empty if it is the board's own.
	From string `json:"from,omitempty"`

	at position
}

// ChipSelect is a place on an SPI bus.
type ChipSelect struct {
	Bus    int `json:"bus"`
	Select int `json:"select"`
	MaxHz  int `json:"max_hz"`
}

// I2C is a chip on an I2C bus.
type I2C struct {
	Bus     int    `json:"bus"`
	Address int    `json:"address"`
	Chip    string `json:"chip"`
	Use     string `json:"use"`

	at position
}

// Serial is a serial port.
type Serial struct {
	Name   string   `json:"name"`
	Device string   `json:"device,omitempty"` // such as /dev/ttyS1
	Lines  []string `json:"lines,omitempty"`
	// Use is what has taken the port. A console gives way to a HAT.
	Use string `json:"use,omitempty"`

	at position
}

// console is the Use of a port that gives way.
const console = "console"

// LED is a light that the kernel knows.
type LED struct {
	Name string `json:"name"` // the folder below /sys/class/leds
	Line string `json:"line,omitempty"`

	at position
}

// Watchdog is the hardware watchdog; its zero value is none.
type Watchdog struct {
	Device string `json:"device,omitempty"`
	Driver string `json:"driver,omitempty"`
	// MaxSeconds is the longest time that the hardware can wait by itself; 0 if it
	// is not known.
	MaxSeconds int `json:"max_seconds,omitempty"`
}

// Power is where the power comes from and who may end it.
type Power struct {
	Supply string `json:"supply,omitempty"`
	// Ignition is the line that tells whether the ignition is on, and Hold the one
	// that keeps the power up; empty where the board has none.
	Ignition string `json:"ignition,omitempty"`
	Hold     string `json:"hold,omitempty"`
	// RTC is the clock that survives power cuts; empty without one.
	RTC string `json:"rtc,omitempty"`
}

// Storage is what the board boots from, and what its firmware wants to find there.
type Storage struct {
	Media  []string `json:"media"`            // sd, emmc, nand, usb, nvme, sata, disk
	Device string   `json:"device,omitempty"` // the disk of an image, as the kernel names it
	Table  string   `json:"table,omitempty"`  // mbr or gpt
	// Raw is what stands outside of partitions.
	Raw        []Raw       `json:"raw,omitempty"`
	Partitions []Partition `json:"partitions,omitempty"`
}

// Raw is a piece of a disk that has no partition.
type Raw struct {
	Offset int    `json:"offset"` // bytes
	Holds  string `json:"holds"`
}

// Partition is one that the board needs in order to boot. Those of the system and
// of its data are the image's.
type Partition struct {
	Name       string `json:"name"`
	Filesystem string `json:"filesystem"`
	MiB        int    `json:"mib"`
	Holds      string `json:"holds"`
}

// Tested says what was tested where.
type Tested struct {
	// Physical is about the board itself. Emulated is about a model of it, or of
	// one that is near it; empty if there is none.
	Physical string `json:"physical,omitempty"`
	Emulated string `json:"emulated,omitempty"`
}

// Source is where facts come from: a document, what was taken from it, and where
// it is.
type Source struct {
	Document string `json:"document"`
	For      string `json:"for"`
	URL      string `json:"url,omitempty"`
}

// Line finds a line by its name.
func (b *Board) Line(name string) (Line, bool) {
	for i := range b.Lines {
		if b.Lines[i].Name == name {
			return b.Lines[i], true
		}
	}
	return Line{}, false
}

// Chip finds a GPIO controller by its name.
func (b *Board) Chip(name string) (Chip, bool) {
	for i := range b.Chips {
		if b.Chips[i].Name == name {
			return b.Chips[i], true
		}
	}
	return Chip{}, false
}
