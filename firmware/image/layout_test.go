package image

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"milepost/boards"
)

// TestPartitionTable: another program reads the table as it is meant.
func TestPartitionTable(t *testing.T) {
	l := newLayout(5, 256, 60)
	l.Signed = 0xa0b1c2d3
	for _, s := range []Span{l.Boot, l.A, l.B, l.Data} {
		if s.Offset%alignment != 0 || s.Size%alignment != 0 {
			t.Errorf("%+v is not aligned", s)
		}
	}
	if l.Boot.Offset != alignment || l.Boot.End() != l.A.Offset || l.A.End() != l.B.Offset || l.B.End() != l.Data.Offset || l.Size() != l.Data.End() {
		t.Errorf("the partitions do not follow one another: %+v", l)
	}
	table, err := l.partitionTable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("sfdisk"); err != nil {
		t.Skip("there is no sfdisk to read the table with: on Debian, `apt-get install fdisk`")
	}
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, table, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, l.Size()); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command("sfdisk", "--dump", disk).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"label-id: 0xa0b1c2d3", "start=        8192, size=       16384, type=c, bootable",
		"start=       24576, size=      524288, type=83", "start=      548864, size=      524288, type=83", "start=     1073152, size=      122880, type=83",
	} {
		if !bytes.Contains(said, []byte(want)) {
			t.Errorf("sfdisk says\n%s\nwithout %q", said, want)
		}
	}
	l.Data.Size = 3 << 40
	if _, err := l.partitionTable(); err == nil {
		t.Error("a disk of 3 TiB was taken")
	}
	if err := l.A.fits("the system", 300*mib); err == nil || !strings.Contains(err.Error(), "300 MiB") {
		t.Errorf("300 MiB fit into 256: %v", err)
	}
}

// TestBoards: for each board there is an image, or a reason why not; where there is
// one, the kernel is told its disk, and a Raspberry Pi's firmware its tree.
func TestBoards(t *testing.T) {
	images := map[string]bool{}
	for name, want := range map[string]string{"rpi4": "RuntimeWatchdogSec=15\n", "qemu-virt-arm64": "RuntimeWatchdogSec=30\n", "qemu-raspi3b": "# ", "qemu-virt-arm": "# "} {
		b, err := boards.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if text := (&Options{Board: b}).watchdog(); !strings.Contains(text, want) {
			t.Errorf("%s: the watchdog: %q", name, text)
		}
	}
	for _, b := range boards.All() {
		err := Check(b)
		images[b.Name] = err == nil
		if err != nil {
			if !strings.Contains(err.Error(), b.Name) {
				t.Errorf("%s: the reason does not name it: %v", b.Name, err)
			}
			continue
		}
		if line := commandLine(b, 0x1234abcd); !strings.Contains(line, "milepost.disk=1234abcd") || !strings.Contains(line, "console="+b.Kernel.Console+" ") {
			t.Errorf("%s: the kernel's command line is %q", b.Name, line)
		}
		if text := configTxt(b); RaspberryPi(b) && !strings.Contains(text, "\ndevice_tree="+filepath.Base(b.Kernel.DeviceTree)+"\n") {
			t.Errorf("%s: config.txt is\n%s", b.Name, text)
		}
	}
	for name, want := range map[string]bool{
		"qemu-virt-arm64": true, "qemu-virt-arm": true, "qemu-raspi3b": true, "rpi4": true, "rpi3b-plus": true, "rpi-zero-2-w": true,
		"rpi5": false, "amd64": false, "beaglebone-black": false, "qemu-sabrelite": false, "canopi-cm4": true,
	} {
		if images[name] != want {
			t.Errorf("%s: an image: %v, want %v", name, images[name], want)
		}
	}
}
