package update

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// ReleaseFile says what the running system is: lines of a name, "=" and a value.
// The builder of the system writes it.
const ReleaseFile = "/etc/milepost-release"

// Device is what bundles must be for.
type Device struct {
	Board   string // MILEPOST_BOARD
	Arch    string // MILEPOST_ARCH, as dpkg calls it
	Version string // MILEPOST_VERSION
	Kernel  string // that runs, as uname -r says it
}

// ReadRelease reads a release file; Kernel is left empty, because the one that
// runs counts.
func ReadRelease(path string) (Device, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return Device{}, fmt.Errorf("%w: only a system that milepost-firmware made can be updated", err)
	}
	var d Device
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"`)
		switch name {
		case "MILEPOST_BOARD":
			d.Board = value
		case "MILEPOST_ARCH":
			d.Arch = value
		case "MILEPOST_VERSION":
			d.Version = value
		}
	}
	if d.Board == "" || d.Arch == "" || d.Version == "" {
		return Device{}, fmt.Errorf("%s says not all of MILEPOST_BOARD, MILEPOST_ARCH and MILEPOST_VERSION", path)
	}
	return d, nil
}

// Accepts says why a bundle is not for a device, if it is not. With downgrade, the
// version may be any.
func (d *Device) Accepts(m *Manifest, downgrade bool) error {
	switch {
	case !slices.Contains(m.Boards, d.Board):
		return fmt.Errorf("the bundle is for %s, and this is a %s: get the one for it", strings.Join(m.Boards, ", "), d.Board)
	case m.Arch != d.Arch:
		return fmt.Errorf("the bundle is for %s, and this system is %s: get the one for it", m.Arch, d.Arch)
	case m.Kernel != d.Kernel:
		return fmt.Errorf("the bundle's modules are for kernel %s, and %s runs, which updates do not replace: flash a new image, or get a bundle for this kernel", m.Kernel, d.Kernel)
	case downgrade:
		return nil
	}
	current, err := parseVersion(d.Version)
	if err != nil {
		return fmt.Errorf("the running system: %w; --downgrade takes any", err)
	}
	offered, err := parseVersion(m.Version)
	if err != nil {
		return err
	}
	if compareVersions(offered, current) <= 0 {
		return fmt.Errorf("the bundle has version %s, which is not newer than %s, which runs; --downgrade takes it all the same", m.Version, d.Version)
	}
	return nil
}
