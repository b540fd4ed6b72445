package slots

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBooted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "boot")
	want := Booted{Disk: "/dev/mmcblk0", A: "/dev/mmcblk0p2", B: "/dev/mmcblk0p3", Started: B}
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadBooted(path); err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("disk=/dev/sda\na=/dev/sda2\nlater=1\nstarted=C\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBooted(path); err == nil {
		t.Error("half a file was taken for a whole one")
	}
}
