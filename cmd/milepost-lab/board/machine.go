package board

// Machine is a kind of board: what QEMU calls it, and what runs on it.
type Machine struct {
	// Name is what people call it: arm64 or arm32.
	Name string

	emulator  string   // the program
	arguments []string // of the emulator, that make the machine
	console   string   // the kernel's name of its first serial port
	// pci says whether drivers of PCI cards work. The 32-bit kernel does not get
	// at the ports of PCI cards in QEMU, and its CAN controllers are not found.
	pci bool

	debian string   // what Debian calls its architecture
	image  string   // Debian's package that depends on the newest kernel
	target []string // of go build, in its environment
	tree   string   // of the boot partition, for QEMU to give to the kernel; empty where QEMU has one

	// Board is what milepost calls it.
	Board string
}

// memory is in MiB. A gateway of 256 MiB is a small one.
const memory = "256"

var (
	// ARM64 is a 64-bit board with one Cortex-A53, as a Raspberry Pi Zero 2 has
	// four. One, because an emulated board with more is slower, not faster.
	ARM64 = Machine{
		Name:      "arm64",
		emulator:  "qemu-system-aarch64",
		arguments: []string{"-M", "virt", "-cpu", "cortex-a53", "-smp", "1", "-m", memory},
		console:   "ttyAMA0",
		pci:       true,
		debian:    "arm64",
		image:     "linux-image-arm64",
		target:    []string{"GOOS=linux", "GOARCH=arm64"},
		Board:     "qemu-virt-arm64",
	}
	// ARM32 is a 32-bit board with a Cortex-A7 as a Raspberry Pi 2 has them. It
	// has no CAN controllers, but adapters on serial lines.
	ARM32 = Machine{
		Name:      "arm32",
		emulator:  "qemu-system-arm",
		arguments: []string{"-M", "virt,highmem=off", "-cpu", "cortex-a7", "-smp", "1", "-m", memory},
		console:   "ttyAMA0",
		debian:    "armhf",
		image:     "linux-image-armmp",
		target:    []string{"GOOS=linux", "GOARCH=arm", "GOARM=7"},
		Board:     "qemu-virt-arm",
	}
	// RaspberryPi3 is a Raspberry Pi 3 Model B, for images only: without a bus to the
	// host, and with its one network adapter on USB.
	RaspberryPi3 = Machine{
		Name:      "raspi3b",
		emulator:  "qemu-system-aarch64",
		arguments: []string{"-M", "raspi3b"},
		console:   "ttyS1",
		debian:    "arm64",
		image:     "linux-image-arm64",
		target:    []string{"GOOS=linux", "GOARCH=arm64"},
		tree:      "bcm2837-rpi-3-b.dtb",
		Board:     "qemu-raspi3b",
	}
)

// Machines are all kinds of boards that boot into a program of ours.
var Machines = []Machine{ARM64, ARM32}

func (m Machine) String() string { return m.Name }
