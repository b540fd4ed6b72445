package image

import (
	"fmt"
	"slices"
	"strings"

	"milepost/boards"
	"milepost/firmware/debian"
	"milepost/firmware/modules"
)

// releaseFile says what the system is, for `milepost update` and for people.
func (o *Options) releaseFile(kernel *debian.Kernel) string {
	return fmt.Sprintf("MILEPOST_BOARD=%s\nMILEPOST_ARCH=%s\nMILEPOST_VERSION=%s\nMILEPOST_KERNEL=%s\n", o.Board.Name, o.Board.Arch.Debian, o.Version, kernel.Release)
}

// loadedModules are those that the board needs and nothing loads by itself, of those
// that the system has: the others are built into the kernel.
func (o *Options) loadedModules(files *tree, kernel *debian.Kernel) string {
	var there []string
	for _, file := range files.below(kernel.ModuleDir() + "/kernel") {
		there = append(there, modules.Name(file))
	}
	var b strings.Builder
	for _, name := range o.Board.Kernel.Modules {
		if slices.Contains(there, modules.Name(name)) {
			b.WriteString(name + "\n")
		}
	}
	return b.String()
}

// watchdogDriver is that of the board's watchdog, if it can be used. QEMU's
// Raspberry Pi has no timer behind it: it resets at the moment the watchdog is
// started.
func watchdogDriver(b *boards.Board) string {
	if RaspberryPi(b) && b.Emulator != "" {
		return ""
	}
	return b.Watchdog.Driver
}

// watchdog has systemd feed the board's: a system that hangs is started anew.
func (o *Options) watchdog() string {
	if watchdogDriver(o.Board) == "" {
		return "# This board has no watchdog that could be used.\n"
	}
	seconds := 30
	if most := o.Board.Watchdog.MaxSeconds; most > 0 && most < seconds {
		seconds = most
	}
	return fmt.Sprintf("[Manager]\nRuntimeWatchdogSec=%d\nRebootWatchdogSec=2min\n", seconds)
}
