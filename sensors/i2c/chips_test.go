package i2c

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"milepost/sensors"
)

var _ sensors.Sensor = (*Sensor)(nil)

// registers are a chip that a test sets the registers of: in memory, or on the
// kernel's i2c-stub.
type registers interface {
	i2c.BusCloser
	setByte(register, value byte)
	setWord(register byte, value uint16)
	word(register byte) uint16
}

// memory is a chip of registers, bytes (Bosch) or words.
type memory struct {
	mu  sync.Mutex
	err error // what every transaction gives

	bytes   [256]byte
	words   [256]uint16
	isWords bool
	wrote   func(register byte) // after a register was written
	read    func(register byte) // before one is read
	closed  int
}

func (m *memory) String() string                      { return "memory" }
func (m *memory) SetSpeed(physic.Frequency) error     { return nil }
func (m *memory) Close() error                        { m.closed++; return nil }
func (m *memory) setByte(register, value byte)        { m.bytes[register] = value }
func (m *memory) setWord(register byte, value uint16) { m.words[register] = value }
func (m *memory) word(register byte) uint16           { return m.words[register] }

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) Tx(_ uint16, w, r []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if len(r) > 0 {
		if m.read != nil {
			m.read(w[0])
		}
		if m.isWords {
			binary.BigEndian.PutUint16(r, m.words[w[0]])
		} else {
			copy(r, m.bytes[w[0]:])
		}
		return nil
	}
	if m.isWords {
		m.words[w[0]] = binary.BigEndian.Uint16(w[1:])
		if m.wrote != nil {
			m.wrote(w[0])
		}
		return nil
	}
	for ; len(w) >= 2; w = w[2:] {
		m.bytes[w[0]] = w[1]
	}
	return nil
}

// on returns a sensor whose bus is a chip of the test's.
func on(t *testing.T, bus i2c.BusCloser, o Options) *Sensor {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.openBus = func(string, uint16) (i2c.BusCloser, error) { return bus, nil }
	return s
}

func once(t *testing.T, s *Sensor) (map[string]float64, error) {
	t.Helper()
	readings, failed, err := s.read(nil)
	values := map[string]float64{}
	for _, r := range readings {
		values[s.Channels()[r.Channel].Name] = r.Value
	}
	if (err == nil) != (failed == 0) || err != nil && len(values) > 0 {
		t.Errorf("%d failed, values %v: %v", failed, values, err)
	}
	return values, err
}

func near(got, want, within float64) bool { return math.Abs(got-want) <= within }

// boschCalibration is the example of the BMP280's data sheet (section 3.12); the
// humidity's is of a BME280.
var boschCalibration = struct {
	t1             uint16
	t2, t3         int16
	p1             uint16
	p              [8]int16 // p2 to p9
	h1, h3         uint8
	h2, h4, h5, h6 int16
}{27504, 26435, -1000, 36477, [8]int16{-10685, 3024, 2855, 140, -7, 15500, -14600, 6000}, 75, 0, 362, 327, 30, 30}

// setBosch gives a chip the example's calibration and raw values: 25.08 °C and
// 100653.27 Pa.
func setBosch(chip registers, id byte) {
	c := boschCalibration
	chip.setByte(0xd0, id)
	words := []uint16{c.t1, uint16(c.t2), uint16(c.t3), c.p1}
	for _, p := range c.p {
		words = append(words, uint16(p))
	}
	for i, w := range words {
		chip.setByte(0x88+byte(2*i), byte(w))
		chip.setByte(0x89+byte(2*i), byte(w>>8))
	}
	chip.setByte(0xa1, c.h1)
	for i, b := range []byte{byte(c.h2), byte(c.h2 >> 8), c.h3, byte(c.h4 >> 4), byte(c.h4&15 | c.h5&15<<4), byte(c.h5 >> 4), byte(c.h6)} {
		chip.setByte(0xe1+byte(i), b)
	}
	setBoschRaw(chip, 519888, 415148, 30000)
}

func setBoschRaw(chip registers, temperature, pressure, humidity int) {
	for i, b := range []byte{byte(pressure >> 12), byte(pressure >> 4), byte(pressure << 4), byte(temperature >> 12), byte(temperature >> 4), byte(temperature << 4), byte(humidity >> 8), byte(humidity)} {
		chip.setByte(0xf7+byte(i), b)
	}
}

// boschHumidity is the formula in floating point of the BME280's data sheet
// (section 8.1), which the driver does not use.
func boschHumidity(raw int, celsius float64) float64 {
	c := boschCalibration
	h := celsius*5120 - 76800
	h = (float64(raw) - (float64(c.h4)*64 + float64(c.h5)/16384*h)) *
		(float64(c.h2) / 65536 * (1 + float64(c.h6)/67108864*h*(1+float64(c.h3)/67108864*h)))
	return h * (1 - float64(c.h1)*h/524288)
}

// testBosch reads the data sheet's example, and what is no measurement.
func testBosch(t *testing.T, chip registers, o Options) {
	o.Chip = BME280
	setBosch(chip, 0x60)
	s := on(t, chip, o)
	humidity := boschHumidity(30000, 25.08)
	if got, err := once(t, s); err != nil || !near(got["temperature"], 25.08, 0.005) || !near(got["pressure"], 100653.27, 1) ||
		!near(got["humidity"], humidity, 0.1) || humidity < 30 || humidity > 90 {
		t.Errorf("%v, want 25.08 °C, 100653.27 Pa, %.2f %%: %v", got, humidity, err)
	}
	setBoschRaw(chip, 519888, 415148, 0x8000)
	if got, err := once(t, s); !errors.Is(err, errLostSettings) {
		t.Errorf("humidity was not measured: %v, %v", got, err)
	}
	setBoschRaw(chip, 0x80000, 0x80000, 30000)
	if got, err := once(t, s); !errors.Is(err, errLostSettings) {
		t.Errorf("nothing was measured: %v, %v", got, err)
	}
	setBoschRaw(chip, 0xfffff, 0xfffff, 0xffff)
	if got, err := once(t, s); err == nil || !strings.Contains(err.Error(), "out of the chip's range") {
		t.Errorf("a disturbed transfer: %v, %v", got, err)
	}
	setBoschRaw(chip, 519888, 415148, 30000)
	if got, err := once(t, s); err != nil || !near(got["temperature"], 25.08, 0.005) {
		t.Errorf("it is well again: %v, %v", got, err)
	}

	// A chip without humidity is not the one that was asked for.
	setBosch(chip, 0x58)
	if _, err := once(t, on(t, chip, o)); err == nil || !strings.Contains(err.Error(), "the chip is a bmp280") {
		t.Errorf("a BMP280 in place of a BME280: %v", err)
	}
	o.Chip = BMP280
	if got, err := once(t, on(t, chip, o)); err != nil || len(got) != 2 || !near(got["pressure"], 100653.27, 1) {
		t.Errorf("a BMP280: %v, %v", got, err)
	}
	chip.setByte(0xd0, 0xff)
	if _, err := once(t, on(t, chip, o)); err == nil || !strings.Contains(err.Error(), "chip id") {
		t.Errorf("no chip: %v", err)
	}
}

func TestBosch(t *testing.T) {
	t.Parallel()
	testBosch(t, &memory{}, Options{})
	// One that is busy for ever.
	chip := &memory{}
	setBosch(chip, 0x60)
	chip.setByte(0xf3, 0x08)
	if _, err := once(t, on(t, chip, Options{Chip: BME280})); err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("a busy chip: %v", err)
	}
}

// testINA219 reads the supply of a lorry, and what is no measurement.
func testINA219(t *testing.T, chip registers, o Options) {
	o.Chip, o.Shunt, o.MaxCurrent = INA219, 0.01, 20
	const voltage, power, current = 2, 3, 4
	chip.setWord(voltage, 27600/4<<3|2) // ready
	s := on(t, chip, o)
	// LSB of the current: 20 A / 32768; of the power: 20 times that.
	chip.setWord(current, 0xe000) // -8192
	chip.setWord(power, 11305)
	if got, err := once(t, s); err != nil || !near(got["voltage"], 27.6, 1e-9) || !near(got["current"], -5, 1e-4) || !near(got["power"], 138, 0.01) {
		t.Errorf("%v: %v", got, err)
	}
	// Calibration: 0.04096 / (LSB * shunt).
	if c := chip.word(inaCalibration); c < 6710 || c > 6712 || chip.word(inaConfiguration) != 0x3fff { // 32 V
		t.Errorf("calibration %d, settings %#x", c, chip.word(inaConfiguration))
	}
	chip.setWord(inaCalibration, 0)
	if got, err := once(t, s); !errors.Is(err, errLostSettings) {
		t.Errorf("after a dip of its supply: %v, %v", got, err)
	}
	if got, err := once(t, s); err != nil || len(got) != 3 || chip.word(inaCalibration) == 0 {
		t.Errorf("set up anew: %v, %v", got, err)
	}
	chip.setWord(voltage, 27600/4<<3|3)
	if got, err := once(t, s); err == nil || !strings.Contains(err.Error(), "larger than the 20 A") {
		t.Errorf("an overflow: %v, %v", got, err)
	}
}

func TestINA219(t *testing.T) {
	t.Parallel()
	testINA219(t, &memory{isWords: true}, Options{})
	synctest.Test(t, func(t *testing.T) {
		if _, err := once(t, on(t, &memory{isWords: true}, Options{Chip: INA219})); !errors.Is(err, errBusy) {
			t.Errorf("one that measures nothing: %v", err)
		}
	})
}

// TestADS1115: gain, sign, range, and a converter that is slower than it should be.
func TestADS1115(t *testing.T) {
	t.Parallel()
	const result, configuration = 0, 1
	chip := &memory{isWords: true}
	inputs := map[uint16]uint16{4: 16000, 1: 0xf830, 7: 100} // by multiplexer: 0, 0-3, 3
	busy := 0
	chip.wrote = func(register byte) {
		if register == configuration {
			chip.words[configuration] &^= adsReady
			chip.words[result] = 0x5555 // the conversion before
			busy = 3
		}
	}
	chip.read = func(register byte) {
		if register == configuration {
			if busy--; busy == 0 {
				chip.words[configuration] |= adsReady
				chip.words[result] = inputs[chip.words[configuration]>>12&7]
			}
		}
	}
	s := on(t, chip, Options{Chip: ADS1115, Inputs: []Input{{Pins: "0", Range: 4.096, Name: "battery"}, {Pins: "0-3", Range: 0.3}, {Pins: "3"}}})
	if got, err := once(t, s); err != nil || !near(got["battery"], 2, 1e-9) || !near(got["voltage0-3"], -2000*0.512/32768, 1e-9) || !near(got["voltage3"], 0.01875, 1e-9) {
		t.Errorf("%v: %v", got, err)
	}
	for _, end := range []uint16{0x7fff, 0x8000} {
		inputs[4] = end
		if got, err := once(t, s); err == nil || !strings.Contains(err.Error(), "battery is at or beyond") {
			t.Errorf("raw %#x: %v, %v", end, got, err)
		}
	}
	inputs[4] = 16000
	chip.read = func(register byte) { chip.words[configuration] = 0x8583 } // as after a reset
	if got, err := once(t, s); err == nil || !strings.Contains(err.Error(), "it was reset") {
		t.Errorf("a reset: %v, %v", got, err)
	}
	chip.read = nil // busy for ever
	if got, err := once(t, s); !errors.Is(err, errBusy) {
		t.Errorf("a busy chip: %v, %v", got, err)
	}
}

// TestUnplugged: a chip that does not answer is a state; the bus is opened anew for
// each try, and closed.
func TestUnplugged(t *testing.T) {
	chip := &memory{isWords: true}
	chip.setWord(2, 12000/4<<3|2)
	synctest.Test(t, func(t *testing.T) {
		s := on(t, chip, Options{Chip: INA219})
		opened := 0
		s.openBus = func(string, uint16) (i2c.BusCloser, error) { opened++; return chip, nil }
		type change struct {
			err  error
			want string
		}
		changes := []change{{nil, ""}, {errors.New("remote I/O error"), "remote I/O error"}, {nil, ""}}
		done := make(chan error)
		readings := uint64(0)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			done <- s.Run(ctx, func(rs []sensors.Reading) { readings += uint64(len(rs)) })
		}()
		for _, c := range changes {
			chip.fail(c.err)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if err := s.Status().Err; (err == nil) != (c.err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("status %v, want %q", err, c.want)
			}
		}
		st := s.Status()
		if st.Readings != readings || st.Readings < 3*18 || st.Failures < 9 || st.Failures > 11 {
			t.Errorf("%d readings, status %+v", readings, st)
		}
		if opened != chip.closed+1 {
			t.Errorf("the bus was opened %d times, and closed %d times", opened, chip.closed)
		}
		cancel()
		if err := <-done; err != nil || opened != chip.closed {
			t.Errorf("the end: %v; opened %d times, closed %d times", err, opened, chip.closed)
		}
	})
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Chip: "bme680"}, "there are bme280, bmp280, ads1115 and ina219"},
		{Options{Chip: BME280, Address: 0x78}, "0x76 to 0x77"},
		{Options{Chip: ADS1115}, "name one input or more"},
		{Options{Chip: ADS1115, Inputs: []Input{{Pins: "4"}}}, `no input "4"`},
		{Options{Chip: ADS1115, Inputs: []Input{{Pins: "1", Range: 12}}}, "up to 6.144 V"},
		{Options{Chip: ADS1115, Inputs: []Input{{Pins: "1", Range: math.NaN()}}}, "up to 6.144 V"},
		{Options{Chip: ADS1115, Inputs: []Input{{Pins: "1"}, {Pins: "1"}}}, "two channels"},
		{Options{Chip: INA219, Shunt: -1}, "a shunt of -1"},
		{Options{Chip: INA219, MaxCurrent: 1e-6}, "a largest current"},
		{Options{Chip: INA219, Shunt: 1, MaxCurrent: 20}, "makes 20 V"},
		{Options{Chip: INA219, Shunt: 0.001, MaxCurrent: 1}, "makes 0.001 V"},
		{Options{Chip: INA219, Interval: time.Nanosecond}, "too short"},
	} {
		if _, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

// FuzzChips: whatever a chip has in its registers, values are finite and in range.
func FuzzChips(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x60 calibration and raw values of noise, all of them, as they come"))
	f.Fuzz(func(t *testing.T, noise []byte) {
		chip := &memory{}
		setBosch(chip, 0x60)
		copy(chip.bytes[0x88:], noise)
		if len(noise) > 26 {
			copy(chip.bytes[0xe1:0xf3], noise[26:])
			copy(chip.bytes[0xf7:], noise[26:])
		}
		s := on(t, chip, Options{Chip: BME280})
		got, err := once(t, s)
		if err == nil {
			if err := boschRange([]float64{got["temperature"], got["pressure"], got["humidity"]}); err != nil {
				t.Error(err)
			}
		}
	})
}

// ExampleNew reads the supply of a vehicle.
func ExampleNew() {
	supply, err := New(Options{Chip: INA219, Bus: "1", Address: 0x41, Shunt: 0.01, MaxCurrent: 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(supply.Channels())
	// Output: [{voltage V} {current A} {power W}]
}
