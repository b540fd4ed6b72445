package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"milepost/boards"
	"milepost/firmware/debian"
)

// deviceTree is the board's, with the CAN controllers on SPI compiled into it: the
// trees of Debian's kernels have no symbols by which the firmware's overlays would
// find their places.
func deviceTree(ctx context.Context, b *boards.Board, k *debian.Kernel, work string) ([]byte, error) {
	file := k.DeviceTree(b.Kernel.DeviceTree)
	fragment, err := canFragment(b)
	if err != nil {
		return nil, err
	}
	if fragment == "" {
		return os.ReadFile(file)
	}
	dtc, err := debian.FindProgram("dtc", "device-tree-compiler")
	if err != nil {
		return nil, err
	}
	source, err := exec.CommandContext(ctx, dtc, "-q", "-I", "dtb", "-O", "dts", file).Output()
	if err != nil {
		return nil, fmt.Errorf("dtc: %s: %w", file, err)
	}
	in, out := filepath.Join(work, "board.dts"), filepath.Join(work, "board.dtb")
	if err := os.WriteFile(in, append(source, fragment...), 0o666); err != nil {
		return nil, err
	}
	if err := debian.Run(ctx, dtc, "-q", "-I", "dts", "-O", "dtb", "-o", out, in); err != nil {
		return nil, fmt.Errorf("%s with %s: %w", b.Name, strings.Join(b.HATs, ", "), err)
	}
	return os.ReadFile(out)
}

// compatible are the names that trees have for the chips on SPI, by their drivers.
var compatible = map[string]string{"mcp251x": "microchip,mcp2515", "mcp251xfd": "microchip,mcp251xfd"}

// What brcm,function calls a pin's use (Linux,
// include/dt-bindings/pinctrl/bcm2835.h): the clock and data of SPI0 are its
// alternative 0, those of SPI1 alternative 4 (BCM2835 ARM Peripherals, 6.2).
const (
	functionInput  = 0
	functionOutput = 1
)

var functionSPI = map[int]int{0: 4, 1: 3}

// canFragment is what has to be appended to a Raspberry Pi's tree for the CAN
// controllers on SPI of its HATs, or of the carrier that it is on; empty without any.
func canFragment(b *boards.Board) (string, error) {
	var out bytes.Buffer
	for _, spi := range b.SPI {
		var chips bytes.Buffer
		for _, c := range b.CAN {
			if c.SPI == nil || c.SPI.Bus != spi.Bus {
				continue
			}
			if err := canNode(&out, &chips, b, &c, gpioNode(&spi)); err != nil {
				return "", err
			}
		}
		if chips.Len() == 0 {
			continue
		}
		function, ok := functionSPI[spi.Bus]
		if !ok || len(spi.PinNodes) == 0 {
			return "", fmt.Errorf("%s: the pins of SPI%d are not known", b.Name, spi.Bus)
		}
		data, err := offsets(b, spi.Lines)
		if err != nil {
			return "", err
		}
		selects, err := offsets(b, spi.ChipSelects)
		if err != nil {
			return "", err
		}
		gpio := gpioNode(&spi)
		fmt.Fprintf(&out, "&{%s} {\n\tspi%d_milepost: spi%d-milepost { brcm,pins = <%s>; brcm,function = <%d>; };\n\tspi%d_selects: spi%d-selects { brcm,pins = <%s>; brcm,function = <%d>; };\n};\n",
			gpio, spi.Bus, spi.Bus, numbers(data), function, spi.Bus, spi.Bus, numbers(selects), functionOutput)
		fmt.Fprintf(&out, "&{%s} {\n\tstatus = \"okay\";\n\tpinctrl-names = \"default\";\n\tpinctrl-0 = <&spi%d_milepost &spi%d_selects>;\n\tcs-gpios =", spi.Node, spi.Bus, spi.Bus)
		for i, line := range selects {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, " <&{%s} %d 1>", gpio, line) // active low
		}
		fmt.Fprintf(&out, ";\n%s};\n", &chips)
	}
	return out.String(), nil
}

// canNode writes a controller's node, and before it its clock and its interrupt's
// pin.
func canNode(out, chips *bytes.Buffer, b *boards.Board, c *boards.CAN, gpio string) error {
	name, ok := compatible[c.Driver]
	interrupt, known := b.Line(c.Interrupt)
	if !ok || !known || c.Oscillator == 0 {
		return fmt.Errorf("%s: %s cannot be put into the device tree: driver %s, interrupt %s, oscillator %d Hz", b.Name, c.Name, c.Driver, c.Interrupt, c.Oscillator)
	}
	fmt.Fprintf(out, "/ { %s_oscillator: %s-oscillator { compatible = \"fixed-clock\"; #clock-cells = <0>; clock-frequency = <%d>; }; };\n", c.Name, c.Name, c.Oscillator)
	fmt.Fprintf(out, "&{%s} { %s_pins: %s-pins { brcm,pins = <%d>; brcm,function = <%d>; }; };\n", gpio, c.Name, c.Name, interrupt.Offset, functionInput)
	fmt.Fprintf(chips, "\tcan@%d {\n\t\tcompatible = %q;\n\t\treg = <%d>;\n\t\tspi-max-frequency = <%d>;\n\t\tclocks = <&%s_oscillator>;\n\t\tpinctrl-names = \"default\";\n\t\tpinctrl-0 = <&%s_pins>;\n\t\tinterrupt-parent = <&{%s}>;\n\t\tinterrupts = <%d 8>;\n\t};\n",
		c.SPI.Select, name, c.SPI.Select, c.SPI.MaxHz, c.Name, c.Name, gpio, interrupt.Offset) // 8: while the level is low
	return nil
}

// gpioNode is the path of the node that has the groups of pins.
func gpioNode(spi *boards.SPI) string {
	if len(spi.PinNodes) == 0 {
		return ""
	}
	return path.Dir(spi.PinNodes[0])
}

func offsets(b *boards.Board, names []string) (all []int, err error) {
	for _, name := range names {
		line, ok := b.Line(name)
		if !ok {
			return nil, fmt.Errorf("%s has no line %s", b.Name, name)
		}
		all = append(all, line.Offset)
	}
	return all, nil
}

func numbers(all []int) string { return strings.Trim(fmt.Sprint(all), "[]") }
