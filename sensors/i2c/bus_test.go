package i2c

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHolder: which driver of the kernel holds an address.
func TestHolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, device := range []string{"1-0076", "1-0077"} {
		if err := os.MkdirAll(filepath.Join(root, "bus/i2c/devices", device), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../../../bus/i2c/drivers/bmp280", filepath.Join(root, "bus/i2c/devices/1-0076/driver")); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[uint16]string{0x76: "bmp280", 0x77: "", 0x48: ""} {
		if got := holder(root, 1, address); got != want {
			t.Errorf("%#x is held by %q, want %q", address, got, want)
		}
	}
}

func TestWrongBus(t *testing.T) {
	t.Parallel()
	for _, bus := range []string{"-1", "one", "9999"} {
		if b, err := openBus(bus, 0x76); err == nil {
			b.Close()
			t.Errorf("bus %q is there", bus)
		} else if bus != "9999" && !strings.Contains(err.Error(), "no number of a bus") {
			t.Errorf("bus %q: %v", bus, err)
		}
	}
}
