package image

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"milepost/boards"
	"milepost/firmware/cpio"
	"milepost/firmware/debian"
	"milepost/firmware/modules"
)

// driverTrees are the folders of the kernel's modules that a gateway may need.
// Those that they depend on come along.
var driverTrees = []string{
	"net/can", "net/core", "net/ipv4", "net/sched", "net/llc", "net/802",
	"drivers/net/can", "drivers/net/usb", "drivers/net/phy", "drivers/net/mdio", "drivers/net/wwan", "drivers/net/ppp",
	"drivers/net/ethernet/broadcom/genet", "drivers/net/ethernet/cadence", "drivers/net/ethernet/freescale", "drivers/net/ethernet/ti", "drivers/net/ethernet/microchip",
	"drivers/usb/class", "drivers/usb/serial", "drivers/usb/host", "drivers/usb/dwc2", "drivers/usb/dwc3", "drivers/usb/storage", "drivers/usb/chipidea", "drivers/usb/musb", "drivers/usb/phy",
	"drivers/spi", "drivers/i2c", "drivers/iio", "drivers/w1", "drivers/gnss", "drivers/mmc", "drivers/watchdog", "drivers/hwmon", "drivers/gpio",
	"drivers/rtc", "drivers/pps", "drivers/pwm", "drivers/leds", "drivers/thermal", "drivers/tty/serial", "drivers/input/keyboard",
	"drivers/char/hw_random", "drivers/virtio", "drivers/block", "drivers/nvme", "drivers/mfd", "drivers/pinctrl", "drivers/phy", "drivers/reset",
	"drivers/regulator", "drivers/power/reset", "drivers/dma", "drivers/soc", "drivers/clk", "drivers/mailbox", "drivers/firmware", "drivers/nvmem", "drivers/pci/controller",
	"fs/autofs", "fs/ext4", "fs/squashfs", "fs/overlayfs", "fs/fat", "fs/nls", "lib", "crypto", "arch",
}

// single are modules that are wanted of folders that are not.
var single = []string{"virtio_net", "sd_mod", "loop", "tun"}

// addModules adds the kernel's modules, and what says which is for which device.
func (t *tree) addModules(ctx context.Context, k *debian.Kernel, work string) error {
	all, err := k.Dependencies()
	if err != nil {
		return err
	}
	var names []string
	for name, files := range all {
		inTree := func(tree string) bool { return strings.HasPrefix(files[0], "kernel/"+tree+"/") }
		if slices.ContainsFunc(driverTrees, inTree) || slices.Contains(single, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	files, err := all.Order(names)
	if err != nil {
		return err
	}
	// depmod looks at a folder: the chosen modules get one of their own.
	root := filepath.Join(work, "modules")
	dir := filepath.Join(root, k.ModuleDir())
	from := filepath.Join(k.Dir, k.ModuleDir())
	for _, file := range append(files, "modules.order", "modules.builtin", "modules.builtin.modinfo") {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755); err != nil {
			return err
		}
		if err := os.Link(filepath.Join(from, file), filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	depmod, err := debian.FindProgram("depmod", "kmod")
	if err != nil {
		return err
	}
	if err := debian.Run(ctx, depmod, "-b", root, k.Release); err != nil {
		return err
	}
	index, err := filepath.Glob(filepath.Join(dir, "modules.*"))
	if err != nil {
		return err
	}
	for _, path := range index {
		files = append(files, filepath.Base(path))
	}
	for _, file := range files {
		body, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		if err := t.file(k.ModuleDir()+"/"+file, 0o644, body); err != nil {
			return err
		}
	}
	return nil
}

// stageModules are what the stage needs before it has a system: drivers of disks,
// file systems, the watchdog. ext4 asks for its checksum by another name than the
// module's. A kernel that has one of the drivers built in, or not at all, is none
// the worse.
func stageModules(b *boards.Board) (must, may []string) {
	must = []string{"crc32c_generic", "ext4", "squashfs", "overlay", "vfat", "nls_cp437", "nls_ascii", "nls_utf8"}
	may = []string{"virtio_mmio", "virtio_pci", "virtio_blk", "mmc_block", "sd_mod", "usb_storage", "uas", "nvme"}
	if RaspberryPi(b) {
		may = append(may, "raspberrypi_hwmon", "i2c_bcm2835", "bcm2835", "sdhci_iproc", "pcie_brcmstb", "reset_raspberrypi", "xhci_pci", "dwc2")
	}
	if driver := watchdogDriver(b); driver != "" {
		may = append(may, driver)
	}
	return must, may
}

// initramfs is the stage and its modules, with a list in the order in which they
// are loaded: the file /modules, a path a line.
func initramfs(k *debian.Kernel, b *boards.Board, stage []byte) ([]byte, error) {
	all, err := k.Dependencies()
	if err != nil {
		return nil, err
	}
	names, may := stageModules(b)
	for _, name := range may {
		if _, ok := all[modules.Name(name)]; ok {
			names = append(names, name)
		}
	}
	files, _, err := k.ModuleFiles(names)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	buffered := bufio.NewWriter(&out)
	a := cpio.New(buffered)
	for _, dir := range []string{"dev", "proc", "sys", "run", "sysroot"} {
		a.Directory(dir)
	}
	a.Character("dev/console", 0o600, 5, 1) // the kernel opens it before /dev is mounted
	a.File("init", 0o755, stage)
	var order strings.Builder
	for _, file := range files {
		body, err := os.ReadFile(filepath.Join(k.Dir, file))
		if err != nil {
			return nil, err
		}
		a.File(file, 0o644, body)
		order.WriteString("/" + file + "\n")
	}
	a.File("modules", 0o644, []byte(order.String()))
	if err := a.Close(); err != nil {
		return nil, err
	}
	err = buffered.Flush()
	return out.Bytes(), err
}
