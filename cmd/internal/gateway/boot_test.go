package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"milepost/uplink"
)

// A boot ID is never used twice, whatever the folder's state is, and the first
// start in a run of the kernel has the kernel's.
func TestNewBoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	kernel := uplink.BootID{1, 2, 3}
	used := make(map[uplink.BootID]bool)
	start := func(kernel uplink.BootID) (uplink.BootID, []uplink.BootID, error) {
		boot, earlier, err := NewBoot(dir, kernel)
		if used[boot] {
			t.Errorf("%v is used twice", boot)
		}
		used[boot] = true
		return boot, earlier, err
	}
	first, earlier, err := start(kernel)
	if err != nil || first != kernel || len(earlier) != 0 {
		t.Fatalf("first start: %v, earlier %v, %v", first, earlier, err)
	}
	second, _, _ := start(kernel)
	if _, earlier, err = start(kernel); err != nil || !slices.Equal(earlier, []uplink.BootID{first, second}) {
		t.Errorf("third start: earlier %v, %v", earlier, err)
	}
	for range 2 * maxEarlier {
		_, earlier, _ = start(kernel)
	}
	if len(earlier) != maxEarlier {
		t.Errorf("%d earlier starts are told", len(earlier))
	}
	if boot, earlier, err := start(uplink.BootID{9}); err != nil || boot != (uplink.BootID{9}) || len(earlier) > 0 {
		t.Errorf("after a reboot: %v, earlier %v, %v", boot, earlier, err)
	}
	if err := os.WriteFile(filepath.Join(dir, runStateFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := start(kernel); err == nil {
			t.Error("a damaged file is no error")
		}
	}
}

// The spool of a replay is not taken for a gateway's.
func TestNewBootOfReplay(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, replayStateFile), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewBoot(dir, uplink.BootID{1}); !errors.Is(err, ErrReplay) {
		t.Error(err)
	}
}
