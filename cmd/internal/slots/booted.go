package slots

import (
	"fmt"
	"os"
	"strings"
)

// BootedFile is where the stage tells the system what it has started. It lies in
// memory, so it is always of this boot; on a machine without it, milepost runs on
// no image of ours.
const BootedFile = "/run/milepost-boot"

// Booted is what the stage has started.
type Booted struct {
	Disk    string // the whole disk, with the boot state, such as /dev/mmcblk0
	A, B    string // the partitions of the systems, such as /dev/mmcblk0p2
	Started Slot
}

// Partition is that of a slot.
func (b *Booted) Partition(slot Slot) string {
	switch slot {
	case A:
		return b.A
	case B:
		return b.B
	}
	return ""
}

// Write writes the file: lines of a name, "=" and a value.
func (b *Booted) Write(path string) error {
	return os.WriteFile(path, fmt.Appendf(nil, "disk=%s\na=%s\nb=%s\nstarted=%v\n", b.Disk, b.A, b.B, b.Started), 0o644)
}

// ReadBooted reads the file. Names that it does not know are of a later stage, and
// are passed over.
func ReadBooted(path string) (*Booted, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b Booted
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "disk":
			b.Disk = value
		case "a":
			b.A = value
		case "b":
			b.B = value
		case "started":
			switch value {
			case "A":
				b.Started = A
			case "B":
				b.Started = B
			}
		}
	}
	if b.Disk == "" || b.A == "" || b.B == "" || b.Started == None {
		return nil, fmt.Errorf("%s says not all of disk, a, b and started: the image's initramfs writes it", path)
	}
	return &b, nil
}
