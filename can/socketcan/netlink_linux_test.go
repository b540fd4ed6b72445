package socketcan

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// testdata/links are answers of Linux 6.1.176 (amd64) to RTM_GETLINK.

func TestParseLink(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "links", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	link, err := parseLink(read("vcan"))
	if err != nil || link.Name != "vcan0" || link.Kind != "vcan" || !link.Up || link.MTU != fdSize || link.State != StateUnknown {
		t.Errorf("vcan: %+v, %v", link, err)
	}
	link, err = parseLink(read("slcan-down"))
	if err != nil || link.Name != "can0" || link.Kind != "can" || link.Up || link.State != Stopped || link.Bitrate != 0 || link.Supported != ListenOnly || !link.HasSupported {
		t.Errorf("slcan: %+v, %v", link, err)
	}
	link, err = parseLink(read("slcan-bus-off"))
	if err != nil || !link.Up || link.State != BusOff || link.Bitrate != 500000 || link.Modes != ListenOnly ||
		link.Device.BusOff != 1 || link.Packets.RxPackets != 2 || link.Packets.RxBytes != 10 || link.TxQueueLen != 10 {
		t.Errorf("slcan in bus-off: %+v, %v", link, err)
	}
	if _, err = parseLink(read("loopback")); !errors.Is(err, unix.ENOTSUP) {
		t.Errorf("loopback: %v", err)
	}
}

// FuzzLink: answers that are cut off, or other than expected.
func FuzzLink(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "links", "*"))
	if err != nil || files == nil {
		f.Fatal("no seeds: ", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-5])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		link, err := parseLink(b)
		if err != nil {
			return
		}
		if link.State > Sleeping {
			t.Errorf("%v", link.State)
		}
		if link.Kind != "can" && (link.Bitrate != 0 || link.HasSupported) {
			t.Errorf("a bit rate without a controller: %+v", link)
		}
	})
}
