package image

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"milepost/boards"
	"milepost/firmware/debian"
)

// RaspberryPi says whether a board starts as the Raspberry Pi does: its processor
// reads firmware, configuration, kernel and device tree from the FAT partition.
func RaspberryPi(b *boards.Board) bool {
	return strings.HasPrefix(b.Kernel.DeviceTree, "broadcom/bcm2")
}

// firmwarePackage has what a Raspberry Pi's processor reads first. Debian has it
// in non-free-firmware: it may be passed on, for Raspberry Pis only.
const firmwarePackage = "raspi-firmware"

// Names on the boot partition.
const (
	kernelName    = "vmlinuz"
	initramfsName = "initrd.img"
	commandsName  = "cmdline.txt"
)

// bootFile is a file of the boot partition.
type bootFile struct {
	name string
	body []byte
}

// commandLine is the kernel's. The stage finds its disk by the signature.
func commandLine(b *boards.Board, signature uint32) string {
	return fmt.Sprintf("console=%s quiet panic=10 milepost.disk=%08x", b.Kernel.Console, signature)
}

// bootFiles are those that start the board.
func bootFiles(ctx context.Context, b *boards.Board, k *debian.Kernel, packages []debian.Package, initrd []byte, signature uint32, work string) ([]bootFile, error) {
	kernel, err := os.ReadFile(k.Image())
	if err != nil {
		return nil, err
	}
	files := []bootFile{
		{kernelName, kernel}, {initramfsName, initrd}, {commandsName, []byte(commandLine(b, signature) + "\n")},
	}
	if b.Kernel.DeviceTree != "" {
		tree, err := deviceTree(ctx, b, k, work)
		if err != nil {
			return nil, err
		}
		files = append(files, bootFile{filepath.Base(b.Kernel.DeviceTree), tree})
	}
	if RaspberryPi(b) && b.Emulator == "" {
		files = append(files, bootFile{"config.txt", []byte(configTxt(b))})
		if files, err = addFirmware(ctx, files, packages); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files, func(a, b bootFile) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// configTxt is what the Raspberry Pi's firmware reads.
func configTxt(b *boards.Board) string {
	lines := []string{
		"# Read by the Raspberry Pi's firmware before anything else.",
		"arm_64bit=1", "upstream_kernel=1",
		"kernel=" + kernelName, "initramfs " + initramfsName + " followkernel",
		"device_tree=" + filepath.Base(b.Kernel.DeviceTree),
	}
	if b.Arch.GOARCH != "arm64" {
		lines = slices.DeleteFunc(lines, func(line string) bool { return line == "arm_64bit=1" })
	}
	for _, line := range b.Config {
		// Overlays are for the maker's kernel: what they say is in the tree already.
		if !strings.HasPrefix(line, "dtoverlay=") && !strings.HasPrefix(line, "dtparam=") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// addFirmware adds the firmware of Raspberry Pis, and its licence.
func addFirmware(ctx context.Context, files []bootFile, packages []debian.Package) ([]bootFile, error) {
	i := slices.IndexFunc(packages, func(p debian.Package) bool { return p.Name == firmwarePackage })
	if i < 0 {
		return nil, fmt.Errorf("there is no package %s", firmwarePackage)
	}
	err := debian.Files(ctx, packages[i].File, func(h *tar.Header, body io.Reader) error {
		name := path.Base(h.Name)
		licence := strings.HasSuffix(h.Name, "usr/share/doc/"+firmwarePackage+"/copyright")
		if licence {
			name = "LICENCE.broadcom"
		}
		if h.Typeflag != tar.TypeReg || !licence && !strings.HasPrefix(path.Clean(h.Name), "usr/lib/raspi-firmware") {
			return nil
		}
		data, err := io.ReadAll(body)
		files = append(files, bootFile{name, data})
		return err
	})
	return files, err
}
