package sysfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guest is set in a kernel of User-Mode Linux.
const guest = "MILEPOST_UML"

// stub is the bus of the kernel's i2c-stub, whose chips are registers that
// anybody can write.
type stub struct {
	t      *testing.T
	device string // the bus below /sys
	fd     int
}

func openStub(t *testing.T) *stub {
	t.Helper()
	if os.Getenv(guest) == "" {
		t.Skip("chips that are registers in memory need a kernel of their own: `make test-kernel`")
	}
	names, err := filepath.Glob("/sys/bus/i2c/devices/i2c-*/name")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if text, _ := os.ReadFile(name); !strings.HasPrefix(string(text), "SMBus stub") {
			continue
		}
		device := filepath.Dir(name)
		fd, err := unix.Open(filepath.Join("/dev", filepath.Base(device)), unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return &stub{t, device, fd}
	}
	t.Fatal("the module i2c_stub is not loaded")
	return nil
}

// smbusTransfer is struct i2c_smbus_ioctl_data of linux/i2c-dev.h.
type smbusTransfer struct {
	write, command uint8
	size           uint32
	data           *[34]byte
}

// set writes a register of a chip, the most significant byte first.
func (s *stub) set(address int, register uint8, value uint16) {
	s.t.Helper()
	const slaveForce, smbus, wordData = 0x0706, 0x0720, 3
	if err := unix.IoctlSetInt(s.fd, slaveForce, address); err != nil {
		s.t.Fatal(err)
	}
	data := [34]byte{byte(value >> 8), byte(value)}
	transfer := smbusTransfer{command: register, size: wordData, data: &data}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), smbus, uintptr(unsafe.Pointer(&transfer))); errno != 0 {
		s.t.Fatal(errno)
	}
}

// add makes the kernel bind a driver to an address; remove takes it away.
func (s *stub) add(driver, address string) { s.write("new_device", driver+" "+address) }
func (s *stub) remove(address string)      { s.write("delete_device", address) }

func (s *stub) write(file, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.device, file), []byte(text), 0); err != nil {
		s.t.Fatal(err)
	}
}

// TestKernelIIO: the kernel's own files. Values follow the chip's registers, a
// driver that waits or gives an error is a state, and a chip that is unplugged and
// plugged in behind another is found again.
func TestKernelIIO(t *testing.T) {
	bus := openStub(t)
	const adcAddress, tmpAddress = 0x54, 0x40
	bus.set(adcAddress, 0, 0x0ab0)
	bus.add("adc081c", "0x54")
	t.Cleanup(func() { bus.remove("0x54") })

	// tmp006: what it is, and "not ready" in bit 7 of its configuration.
	bus.set(tmpAddress, 0xfe, 0x5449)
	bus.set(tmpAddress, 0xff, 0x0067)
	bus.set(tmpAddress, 0x01, 0x0c80) // 25 °C, in 1/32 °C above bit 2
	bus.set(tmpAddress, 0x02, 0x7080) // conversions on, ready
	bus.add("tmp006", "0x40")

	found := Discover("")
	var text strings.Builder
	for _, f := range found {
		text.WriteString(f.Device + " ")
	}
	if !strings.Contains(text.String(), "adc081c") || !strings.Contains(text.String(), "tmp006") {
		t.Fatalf("found %s", text.String())
	}

	adc, err := New(Options{Kind: IIO, Device: "adc081c", Inputs: []Input{{Attribute: "in_voltage"}}})
	if err != nil {
		t.Fatal(err)
	}
	// The stub's converter has no supply, so that its driver cannot tell the scale: a
	// value without its scale is no measurement.
	if got, failed, err := once(t, adc); err == nil || failed != 1 || len(got) != 0 || !strings.Contains(err.Error(), "in_voltage_scale") {
		t.Errorf("adc081c without a supply: %v, %v", got, err)
	}

	thermometer, err := New(Options{Kind: IIO, Device: filepath.Base(bus.device)[4:] + "-0040", Inputs: []Input{{Attribute: "in_temp"}, {Attribute: "in_voltage"}}, Interval: 20 * time.Millisecond, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	bus.set(tmpAddress, 0x00, 640) // 156.25 nV each, says its data sheet; 156.25 µV, its driver
	if got, _, err := once(t, thermometer); err != nil || got["in_temp"] != 25 || got["in_voltage"] != 0.1 {
		t.Errorf("tmp006: %v, %v", got, err)
	}
	bus.set(tmpAddress, 0x01, 0xf380) // -25 °C
	if got, _, err := once(t, thermometer); err != nil || got["in_temp"] != -25 {
		t.Errorf("tmp006 in the cold: %v, %v", got, err)
	}

	// While it is not ready, its driver waits, up to 5 s: meanwhile it hangs.
	r := run(t, thermometer)
	waitFor(t, "readings", func() bool { return thermometer.Status().Err == nil && thermometer.Status().Readings > 0 })
	bus.set(tmpAddress, 0x02, 0x7000)
	waitFor(t, "a state", func() bool { return thermometer.Status().Err != nil })
	if err := thermometer.Status().Err; !strings.Contains(err.Error(), "hangs") {
		t.Errorf("while its driver waits: %v", err)
	}
	bus.set(tmpAddress, 0x02, 0x7080)
	waitFor(t, "readings after it was ready", func() bool { return thermometer.Status().Err == nil })

	// Unplugged while it is being read; then the other device first, so that the
	// kernel hands out other numbers.
	before := pathOf(t, "tmp006")
	bus.remove("0x40")
	waitFor(t, "a failure", func() bool { return thermometer.Status().Err != nil })
	bus.remove("0x54")
	bus.set(tmpAddress, 0x02, 0x7080) // its driver has put it to sleep
	if strings.HasSuffix(before, "iio:device0") {
		bus.add("adc081c", "0x54")
		bus.add("tmp006", "0x40")
	} else {
		bus.add("tmp006", "0x40")
		bus.add("adc081c", "0x54")
	}
	if after := pathOf(t, "tmp006"); after == before {
		t.Errorf("it has its number again: %s", after)
	}
	bus.set(tmpAddress, 0x02, 0x7080)
	n := thermometer.Status().Readings
	waitFor(t, "readings again", func() bool { return thermometer.Status().Err == nil && thermometer.Status().Readings > n })
	if last, _ := r.last(); last.Channel != 1 || last.Value != 0.1 {
		t.Errorf("the last reading: %+v", last)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	bus.remove("0x40")
}

// pathOf is where a device is now.
func pathOf(t *testing.T, device string) string {
	t.Helper()
	f, err := find(Options{Kind: IIO, Root: "/sys", Device: device})
	if err != nil {
		t.Fatal(err)
	}
	return f.real
}

// waitFor waits until something is so, or fails the test.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}
