package board

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"milepost/firmware/debian"
)

// GPIOLines is how many lines a board's GPIO chip has: it is a PL061.
const GPIOLines = 8

// writeDeviceTree writes the machine's own device tree with names for the GPIO
// lines. QEMU's has a power button on line 3, which is taken off.
func writeDeviceTree(ctx context.Context, dir string, m Machine, arguments, names []string) (path string, err error) {
	if len(names) > GPIOLines {
		return "", fmt.Errorf("%d names for %d GPIO lines", len(names), GPIOLines)
	}
	dtc, err := debian.FindProgram("dtc", "device-tree-compiler")
	if err != nil {
		return "", err
	}
	program, err := debian.FindProgram(m.emulator, emulatorPackage)
	if err != nil {
		return "", err
	}
	original, source, path := filepath.Join(dir, "machine.dtb"), filepath.Join(dir, "board.dts"), filepath.Join(dir, "board.dtb")
	dump := append([]string{"-nodefaults", "-display", "none", "-machine", "dumpdtb=" + original}, arguments...)
	if err := debian.Run(ctx, program, dump...); err != nil {
		return "", err
	}
	text, err := exec.CommandContext(ctx, dtc, "-q", "-I", "dtb", "-O", "dts", original).Output()
	if err != nil {
		return "", fmt.Errorf("dtc: %w", err)
	}
	text = append(text, "&{/gpio-keys} { status = \"disabled\"; };\n"...)
	if len(names) > 0 {
		quoted := make([]string, GPIOLines)
		for i := range quoted {
			quoted[i] = `""`
			if i < len(names) {
				quoted[i] = strconv.Quote(names[i])
			}
		}
		chip, err := gpioNode(text)
		if err != nil {
			return "", err
		}
		text = fmt.Appendf(text, "&{/%s} { gpio-line-names = %s; };\n", chip, strings.Join(quoted, ", "))
	}
	if err := os.WriteFile(source, text, 0o644); err != nil {
		return "", err
	}
	return path, debian.Run(ctx, dtc, "-q", "-I", "dts", "-O", "dtb", "-o", path, source)
}

// gpioNode finds the name of the chip's node, such as pl061@9030000.
func gpioNode(source []byte) (string, error) {
	_, rest, ok := bytes.Cut(source, []byte("\tpl061@"))
	address, _, braced := bytes.Cut(rest, []byte(" {"))
	if !ok || !braced {
		return "", fmt.Errorf("the machine's device tree has no PL061")
	}
	return "pl061@" + string(address), nil
}
