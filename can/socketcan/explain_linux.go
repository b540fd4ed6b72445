package socketcan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// words name what is set.
func (o *LinkOptions) words() string {
	words := []string{"listen-only mode"}
	if o.Transmit {
		words[0] = "transmit mode"
	}
	if o.Bitrate != 0 {
		words = append(words, fmt.Sprintf("%d bit/s", o.Bitrate))
	}
	if o.SamplePoint != 0 {
		words = append(words, fmt.Sprintf("sample point %.1f %%", float64(o.SamplePoint)/10))
	}
	if o.fd() {
		words = append(words, "CAN FD")
	}
	if o.DataBitrate != 0 {
		words = append(words, fmt.Sprintf("%d bit/s for data", o.DataBitrate))
	}
	if o.OneShot {
		words = append(words, "one-shot")
	}
	if o.BusErrorReporting {
		words = append(words, "bus error reporting")
	}
	return strings.Join(words, ", ")
}

// unsupportedModes says which modes a controller lacks, and what that means.
func (c *configuration) unsupportedModes(missing ControlMode) error {
	var words []string
	for _, m := range []struct {
		mode ControlMode
		text string
	}{
		{ListenOnly, "listen-only mode: it would acknowledge frames on the vehicle's bus; allow transmitting for this bus if that may be"},
		{OneShot, "one-shot mode"},
		{BusErrorReporting, "bus error reporting"},
		{FDMode, "CAN FD"},
	} {
		if missing&m.mode != 0 {
			words = append(words, m.text)
		}
	}
	return fmt.Errorf("interface %s: its controller has no %s: %w", c.name, strings.Join(words, ", and no "), errors.ErrUnsupported)
}

// explain adds to an error what it means for a CAN interface, and the next step.
func explain(name, doing string, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		hint = "this needs CAP_NET_ADMIN: grant it (systemd: AmbientCapabilities=CAP_NET_ADMIN), or have the interface brought up beforehand and leave its settings out"
	case errors.Is(err, unix.ENODEV):
		hint = "there is no such interface; " + otherInterfaces()
	case errors.Is(err, unix.EOPNOTSUPP):
		hint = "the controller's driver does not have this, or not all of it"
	case errors.Is(err, unix.EDOM), errors.Is(err, unix.ERANGE):
		hint = "the controller's clock cannot make this bit rate or sample point"
	case errors.Is(err, unix.EINVAL):
		hint = "the driver refuses: check bit rate, sample point, and for CAN FD that a data bit rate is given"
	case errors.Is(err, unix.EBUSY):
		hint = "another program has changed it meanwhile"
	}
	if doing != "" {
		doing = ": " + doing
	}
	if hint != "" {
		hint = "; " + hint
	}
	return fmt.Errorf("interface %s%s: %w%s", name, doing, err, hint)
}

// otherInterfaces names the CAN interfaces that there are.
func otherInterfaces() string {
	files, _ := filepath.Glob("/sys/class/net/*/type")
	var names []string
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == "280" { // ARPHRD_CAN
			names = append(names, filepath.Base(filepath.Dir(file)))
		}
	}
	if names == nil {
		return "there is no CAN interface at all: is the adapter plugged in, and its driver there (gs_usb, peak_usb, mcp251x with its device tree overlay, slcand for serial adapters)?"
	}
	return "the CAN interfaces are " + strings.Join(names, ", ")
}
