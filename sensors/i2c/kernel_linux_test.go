package i2c

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/physic"
)

// stub is a chip on the bus of the kernel's i2c-stub, by /dev/i2c-*. The stub can
// do SMBus transfers only, which periph's bus cannot: this one makes them of the
// transfers that the drivers ask for.
type stub struct {
	t      *testing.T
	fd     int
	number string // of the bus
	chip   uint16
	bytes  bool // a chip of bytes: others have words
}

func openStub(t *testing.T, chip uint16, bytes bool) *stub {
	t.Helper()
	if os.Getenv("MILEPOST_UML") == "" {
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
		bus := filepath.Base(filepath.Dir(name))
		fd, err := unix.Open("/dev/"+bus, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return &stub{t, fd, strings.TrimPrefix(bus, "i2c-"), chip, bytes}
	}
	t.Fatal("the module i2c_stub is not loaded")
	return nil
}

// transfer is the ioctl I2C_SMBUS of linux/i2c-dev.h: one register.
func (s *stub) transfer(address uint16, read bool, register byte, data *[34]byte) error {
	const slave, smbus, byteData, wordData = 0x0703, 0x0720, 2, 3
	arguments := struct {
		read, register uint8
		size           uint32
		data           *[34]byte
	}{register: register, size: wordData, data: data}
	if read {
		arguments.read = 1
	}
	if s.bytes {
		arguments.size = byteData
	}
	if err := unix.IoctlSetInt(s.fd, slave, int(address)); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), smbus, uintptr(unsafe.Pointer(&arguments))); errno != 0 {
		return errno
	}
	return nil
}

func (s *stub) Tx(address uint16, w, r []byte) error {
	width := 2
	if s.bytes {
		width = 1
	}
	var data [34]byte
	if len(r) > 0 {
		for i := 0; i < len(r); i += width {
			if err := s.transfer(address, true, w[0]+byte(i), &data); err != nil {
				return err
			}
			copy(r[i:i+width], data[:])
		}
		return nil
	}
	for ; len(w) > width; w = w[1+width:] {
		copy(data[:], w[1:1+width])
		if err := s.transfer(address, false, w[0], &data); err != nil {
			return err
		}
	}
	return nil
}

func (s *stub) String() string                  { return "i2c-stub" }
func (s *stub) SetSpeed(physic.Frequency) error { return nil }
func (s *stub) Close() error                    { return nil }

func (s *stub) must(err error) {
	if err != nil {
		s.t.Helper()
		s.t.Fatal(err)
	}
}

func (s *stub) setByte(register, value byte) { s.must(s.Tx(s.chip, []byte{register, value}, nil)) }
func (s *stub) setWord(register byte, value uint16) {
	s.must(s.Tx(s.chip, []byte{register, byte(value >> 8), byte(value)}, nil))
}

func (s *stub) word(register byte) uint16 {
	var r [2]byte
	s.must(s.Tx(s.chip, []byte{register}, r[:]))
	return uint16(r[0])<<8 | uint16(r[1])
}

// TestKernelChips: the chips on a bus of the kernel's.
func TestKernelChips(t *testing.T) {
	t.Run("BME280", func(t *testing.T) { testBosch(t, openStub(t, 0x76, true), Options{}) })
	t.Run("INA219", func(t *testing.T) { testINA219(t, openStub(t, 0x41, false), Options{Address: 0x41}) })
	t.Run("ADS1115", func(t *testing.T) {
		chip := openStub(t, 0x48, false)
		chip.setWord(0, 0xc180) // -16000
		s := on(t, chip, Options{Chip: ADS1115, Inputs: []Input{{Pins: "0-1", Range: 2}}})
		if got, err := once(t, s); err != nil || got["voltage0-1"] != -1 || chip.word(1) != 0x8583 {
			t.Errorf("%v, configuration %#x: %v", got, chip.word(1), err)
		}
	})
}

// TestKernelRefusals: what the kernel does not allow is said in its words.
func TestKernelRefusals(t *testing.T) {
	bus := openStub(t, 0x40, false)
	for _, c := range []struct {
		what, bus string
		address   uint16
		driver    string
		want      string
	}{
		{"SMBus only", bus.number, 0x41, "", "can do SMBus transfers only"},
		{"no such bus", "77", 0x41, "", "open /dev/i2c-77: no such file or directory: is the bus enabled"},
		{"a driver holds it", bus.number, 0x40, "tmp006", "the kernel's driver tmp006 holds this address"},
	} {
		if c.driver != "" {
			bus.setWord(0xfe, 0x5449)
			bus.setWord(0xff, 0x0067)
			device := "/sys/bus/i2c/devices/i2c-" + c.bus
			if err := os.WriteFile(device+"/new_device", []byte(fmt.Sprintf("%s %#x", c.driver, c.address)), 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.WriteFile(device+"/delete_device", []byte(fmt.Sprintf("%#x", c.address)), 0) })
			// The kernel's own check, which the name of the driver comes before.
			if err := unix.IoctlSetInt(bus.fd, ioctlSlave, int(c.address)); err != unix.EBUSY {
				t.Errorf("the kernel says: %v", err)
			}
		}
		s, err := New(Options{Chip: INA219, Bus: c.bus, Address: c.address})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := once(t, s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}
