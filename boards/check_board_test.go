package boards

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestBoardsMakeSense(t *testing.T) {
	for _, err := range check(catalogue{os.DirFS(".")}) {
		t.Error(err)
	}
	embeddedFiles, _ := fs.Glob(embedded, file("*"))
	onDisk, _ := fs.Glob(os.DirFS("."), file("*"))
	if !slices.Equal(embeddedFiles, onDisk) {
		t.Errorf("embedded are %q, in the folder are %q", embeddedFiles, onDisk)
	}
}

// The boards that were asked for, and the HATs.
func TestBoardsThatWereAskedFor(t *testing.T) {
	all, err := (catalogue{embedded}).all()
	if err != nil {
		t.Fatal(err)
	}
	names, hats := all.names()
	for _, name := range []string{
		"rpi-zero-2-w", "rpi3b-plus", "rpi4", "rpi5", "canopi-cm4", "beaglebone-black", "gw5400", "gw7400", "amd64",
		"qemu-virt-arm64", "qemu-virt-arm", "qemu-raspi3b", "qemu-sabrelite",
	} {
		if !slices.Contains(names, name) {
			t.Errorf("board %s is missing", name)
		}
	}
	for _, name := range []string{"waveshare-rs485-can", "waveshare-2ch-can-fd", "pican2", "pican3", "seeed-2ch-can-fd", "usb-candlelight", "usb-pcan-fd"} {
		if !slices.Contains(hats, name) {
			t.Errorf("HAT %s is missing", name)
		}
	}
	carrier, err := Get("canopi-cm4")
	if err != nil || len(carrier.CAN) != 2 || !carrier.CAN[0].FD || !carrier.CAN[1].FD {
		t.Errorf("the Compute Module's carrier should have two CAN FD: %v, %v", carrier, err)
	}
}

// Each of these breaks one thing of a good file.
var brokenBoards = []struct {
	file     string // of which
	old, new string
	want     string // in an error
}{
	{"rpi4", "title: ", "titel: ", `rpi4/board.yaml:2:1: unknown key "titel"`},
	{"rpi4", "title: Raspberry", "title: Raspberry\ntitle: Raspberry", "rpi4/board.yaml:3:1: title is there twice"},
	{"rpi4", "kind: board", "kind: bord", `rpi4/board.yaml:1:7: "bord" is none of board, hat and header`},
	{"rpi4", "kind: board\n", "", "kind is missing"},
	{"rpi4", "arch:", "arch: [", "not YAML"},
	{"rpi4", "lines: 58", "lines: many", `want a whole number, not "many"`},
	{"rpi4", "device: fe200000.gpio\n    lines: 58", "lines: 20", "chip gpio has no line"},
	{"rpi4", "goarch: arm64", "goarch: arm64\n  goarm: 7", "GOARM 7 without GOARCH arm"},
	{"beaglebone-black", "  goarm: 7\n", "", "armhf is built with GOARCH=arm GOARM=7"},
	{"rpi4", "release: bookworm", "release: buster", `unknown release "buster"`},
	{"rpi4", "package: linux-image-arm64", "package: linux-image-armmp", "linux-image-armmp"},
	{"rpi4", "console: ttyS1", "console: ttyS0", "the console"},
	{"rpi4", "name: rpi-40pin", "name: rpi-26pin", `rpi4/board.yaml:22:3: there is no header "rpi-26pin"`},
	{"rpi4", "name: rpi-40pin", "name: pican2", `"pican2" is no header`},
	{"rpi4", "led-act: gpio 42", "led-act: gpoi 42", `line led-act: unknown chip "gpoi"`},
	{"rpi4", "led-act: gpio 42", "led-act: gpio 25", "another line is gpio 25, too"},
	{"rpi4", "led-act: gpio 42", "led-act: gpio", "want a chip and an offset"},
	{"rpi4", "led-act: gpio 42", "led-act: gpio 42\n  GPIO5: gpio 43", "line GPIO5 is there twice"},
	{"rpi4", "line: led-act", "line: led-axt", "wants line led-axt, which rpi4 does not have"},
	{"rpi4", "line: led-pwr", "line: led-act", "has led-act already"},
	{"rpi4", "name: PWR", "name: ACT", `LED "ACT" is there twice`},
	{"rpi4", "chip_selects: [GPIO8, GPIO7]", "chip_selects: [GPIO8, GPIO77]", "there is no line GPIO77"},
	{"rpi4", "name: bluetooth", "name: serial0", "serial port serial0"},
	{"rpi4", "driver: bcm2835_wdt", "driver: softdog", `unknown watchdog "softdog"`},
	{"rpi4", "media: [sd, usb]", "media: [sd, floppy]", `unknown medium "floppy"`},
	{"rpi4", "table: mbr", "table: bsd", `unknown partition table "bsd"`},
	{"gw7400", "offset: 0x8000", "offset: 0x4000", "lies in the partition table"},
	{"qemu-virt-arm64", "ignition: ignition", "ignition: key", `there is no line "key"`},
	{"qemu-virt-arm64", "  emulated: ", "  physical: ", "tested"},
	{"rpi4", "physical: not yet", "emulated2: not yet", "unknown key"},
	{"rpi4", "sources:\n", "sources: []\nquirks2:\n", "unknown key"},
	{"amd64", "url: https:", "url: http:", "is no address"},
	{"amd64", "    for: the kernel's package and the serial console\n", "", "does not say which document"},
	{"canopi-cm4", "interrupt: GPIO22", "interrupt: GPIO27", "can0 interrupt (canopi-cm4/board.yaml:"},
	{"canopi-cm4", "select: 1", "select: 0", "has chip select 0 of SPI0 already"},
	{"canopi-cm4", "select: 1", "select: 2", "wants chip select 2 of SPI bus 0, which has 2"},
	{"canopi-cm4", "interrupt=27", "interrupt=26", "no controller has its interrupt on GPIO26"},
	{"canopi-cm4", "GPIO25: fan", "GPIO27: fan", "can0 interrupt"},
	{"canopi-cm4", "GPIO25: fan", "GPIO28: fan", "fan supply wants line GPIO28"},
	{"canopi-cm4", "address: 0x51", "address: 0x81", "none of I2C"},
	{"pican2", "chip: MCP2515", "chip: MCP2151", `unknown chip "MCP2151"`},
	{"pican2", "driver: mcp251x", "driver: mcp25xx", "has the driver mcp251x"},
	{"pican2", "fd: false", "fd: true", "MCP2515 cannot do CAN FD"},
	{"pican2", "fd: false", "fd: no", "want true or false"},
	{"pican2", "oscillator: 16000000", "oscillator: 1600000", "no MCP2515 with an oscillator of 1600000 Hz"},
	{"pican2", "oscillator: 16000000", "oscillator: 8000000", "no controller has an oscillator of 16000000 Hz"},
	{"pican2", "interrupt: GPIO25", "interrupt: GPIO28", "wants line GPIO28"},
	{"pican2", "interrupt: GPIO25", "interrupt: led-act", "which is not on a header"},
	{"pican2", "    interrupt: GPIO25\n", "", "want an interrupt line"},
	{"pican2", "max_hz: 10000000", "max_hz: 20000000", "takes SPI at 10000000 Hz"},
	{"pican2", "bus: 0", "bus: 3", "wants SPI bus 3"},
	{"pican2", "header: rpi-40pin", "header: beaglebone", "it fits on no board"},
	{"pican2", "bitrate: 1000000", "bitrate: 2000000", "no bit rate of 2000000"},
	{"pican2", "  physical: not yet tried on the physical board\n", "  emulated: nowhere\n", "want a word on the physical board"},
	{"waveshare-2ch-can-fd", "chip_selects: [GPIO26]", "chip_selects: [GPIO25]", "has GPIO25 already"},
	{"waveshare-2ch-can-fd", "data_bitrate: 8000000", "data_bitrate: 80000000", "no data bit rate of 80000000"},
	{"waveshare-2ch-can-fd", "  - bus: 1\n    chip", "  - bus: 7\n    chip", "wants SPI bus 7"},
	{"gw5400", "    node: /soc", "    label: /soc", "label is there twice"},
	{"usb-candlelight", "1d50:606f", "1d50-606f", "are no numbers of a USB device"},
	{"rpi-40pin", "  2: 5V\n", "", "pin 3 comes after pin 1"},
	{"rpi-40pin", "  40: GPIO21", "  40: GPIO20", "GPIO20"},
}

func TestBrokenBoards(t *testing.T) {
	for _, broken := range brokenBoards {
		t.Run(broken.file+" "+broken.want, func(t *testing.T) {
			files := fstest.MapFS{}
			for _, name := range []string{broken.file, "rpi-40pin", "rpi4", "pican2"} {
				data, err := embedded.ReadFile(file(name))
				if err != nil {
					t.Fatal(err)
				}
				files[file(name)] = &fstest.MapFile{Data: data}
			}
			if errs := check(catalogue{files}); len(errs) > 0 {
				t.Fatalf("before anything is broken: %v", errs)
			}
			text := string(files[file(broken.file)].Data)
			if !strings.Contains(text, broken.old) {
				t.Fatalf("%s has no %q", broken.file, broken.old)
			}
			files[file(broken.file)].Data = []byte(strings.Replace(text, broken.old, broken.new, 1))
			var said []string
			for _, err := range check(catalogue{files}) {
				said = append(said, err.Error())
			}
			if all := strings.Join(said, "\n"); !strings.Contains(all, broken.want) {
				t.Errorf("want an error with %q, got:\n%s", broken.want, all)
			}
		})
	}
}

func TestUnusedFolders(t *testing.T) {
	files := fstest.MapFS{
		"rpi9/notes.txt":    {},
		"old/board.yaml":    {Data: []byte("kind: header\npins:\n  1: 3V3\n")},
		"testdata/x.yaml":   {},
		"testdata/y/z.yaml": {},
	}
	var said []string
	for _, err := range check(catalogue{files}) {
		said = append(said, err.Error())
	}
	want := []string{"old/board.yaml:1:1: no board has this header", "folder rpi9 holds no board.yaml"}
	if !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}
