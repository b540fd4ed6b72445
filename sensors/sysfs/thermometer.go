package sysfs

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// families are the 1-wire family codes of thermometers: DS18S20, DS1822, DS18B20,
// DS1825, DS28EA00 (the kernel's w1_therm.c).
var families = []string{"10", "22", "28", "3b", "42"}

// isThermometer says whether an entry of the bus is one: 28-0316a2795aff.
func isThermometer(entry string) bool {
	family, number, ok := strings.Cut(entry, "-")
	return ok && len(number) == 12 && slices.Contains(families, strings.ToLower(family))
}

// thermometer reads w1_slave, which has what the chip sent, or where a kernel has
// only that the file temperature. Either makes the kernel start a conversion and
// wait for it.
func (d *device) thermometer(f found) func() (float64, error) {
	if !d.has("w1_slave") {
		return func() (float64, error) { return d.temperature() }
	}
	sLike := strings.HasPrefix(f.name, "10-")
	return func() (float64, error) {
		text, err := d.text("w1_slave")
		if err != nil {
			return 0, err
		}
		v, err := parseSlave(text, sLike)
		if err != nil {
			return 0, fmt.Errorf("w1_slave: %w", err)
		}
		return v, nil
	}
}

// powerOn is what a thermometer holds before its first conversion. One that loses
// its supply during a conversion, on a long line or with parasitic power, gives it
// with a good CRC.
const powerOn = 85

var errPowerOn = errors.New("85 °C is what the chip holds at power-on: it was not measured; look at its supply")

// temperature reads the file that has nothing but the value. A true 85 °C cannot
// be told from the power-on value there, and is not believed.
func (d *device) temperature() (float64, error) {
	v, err := d.scaled("temperature", celsius)()
	if err == nil && v == powerOn {
		return 0, errPowerOn
	}
	return v, err
}

// parseSlave reads what w1_therm writes: the nine bytes of the chip's scratchpad
// twice, what the kernel makes of their CRC, and thousandths of a degree.
//
//	a3 01 4b 46 7f ff 0d 10 1e : crc=1e YES
//	a3 01 4b 46 7f ff 0d 10 1e t=26187
//
// sLike says that it is a DS18S20, whose scratchpad means something else.
func parseSlave(text []byte, sLike bool) (float64, error) {
	first, second, _ := bytes.Cut(text, []byte("\n"))
	pad, verdict, ok := bytes.Cut(first, []byte(":"))
	fields := bytes.Fields(verdict)
	if !ok || len(fields) < 2 {
		return 0, fmt.Errorf("%.80q is not what the kernel's w1_therm writes", text)
	}
	scratchpad, err := parseScratchpad(pad)
	if err != nil {
		return 0, err
	}
	if word := string(fields[len(fields)-1]); word != "YES" {
		return 0, fmt.Errorf("the CRC is wrong (%s): the line is disturbed, or nothing answers", bytes.TrimSpace(first))
	}
	// A line that is short to ground reads as zeros, whose CRC is right.
	if scratchpad == [9]byte{} {
		return 0, errors.New("all bytes are zero: the data line is short to ground")
	}
	_, number, ok := bytes.Cut(second, []byte("t="))
	if !ok {
		return 0, fmt.Errorf("%.80q has no t=", second)
	}
	v, err := parseNumber(number)
	if err != nil {
		return 0, fmt.Errorf("t=%w", err)
	}
	v = celsius.si(v)
	if v < -55 || v > 125 {
		return 0, fmt.Errorf("%v °C is out of the chip's range, -55 to 125 °C", v)
	}
	if v == powerOn && !converted(scratchpad, sLike) {
		return 0, errPowerOn
	}
	return v, nil
}

// converted says whether 85 °C is the outcome of a conversion. Byte 6 tells: it is
// 0x0c at power-on, in a DS18S20 as the count that remains, and in the others as a
// reserved byte, which a conversion sets to 0x10 less the lowest four bits of the
// temperature, of which 85 °C has none.
func converted(scratchpad [9]byte, sLike bool) bool {
	if sLike {
		return scratchpad[6] != 0x0c
	}
	return scratchpad[6] == 0x10
}

// parseScratchpad reads nine bytes in hexadecimal.
func parseScratchpad(text []byte) (pad [9]byte, err error) {
	fields := bytes.Fields(text)
	if len(fields) != len(pad) {
		return pad, fmt.Errorf("there are %d bytes in place of %d", len(fields), len(pad))
	}
	for i, field := range fields {
		n, err := strconv.ParseUint(string(field), 16, 8)
		if err != nil {
			return pad, fmt.Errorf("%.10q is no byte", field)
		}
		pad[i] = byte(n)
	}
	return pad, nil
}
