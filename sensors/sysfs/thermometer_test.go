package sysfs

import (
	"strings"
	"testing"
)

// TestParseSlave: texts of w1_therm, and which of them are measurements.
func TestParseSlave(t *testing.T) {
	for _, c := range []struct {
		what, text string
		sLike      bool
		want       float64
		err        string
	}{
		{"26.187 °C", "a3 01 4b 46 7f ff 0d 10 1e : crc=1e YES\na3 01 4b 46 7f ff 0d 10 1e t=26187\n", false, 26.187, ""},
		{"-10.125 °C", "5e ff 4b 46 7f ff 02 10 c5 : crc=c5 YES\n5e ff 4b 46 7f ff 02 10 c5 t=-10125\n", false, -10.125, ""},
		{"0 °C", "00 00 4b 46 7f ff 10 10 42 : crc=42 YES\n00 00 4b 46 7f ff 10 10 42 t=0\n", false, 0, ""},
		{"the CRC is wrong", "a3 01 4b 46 7f ff 0d 10 1f : crc=1e NO\na3 01 4b 46 7f ff 0d 10 1e t=26187\n", false, 0, "CRC is wrong"},
		{"nothing answers", "ff ff ff ff ff ff ff ff ff : crc=c9 NO\n00 00 00 00 00 00 00 00 00 t=-62\n", false, 0, "CRC is wrong"},
		{"short to ground", "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n", false, 0, "short to ground"},
		{"power-on", "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n", false, 0, "power-on"},
		{"a hot engine", "50 05 4b 46 7f ff 10 10 c1 : crc=c1 YES\n50 05 4b 46 7f ff 10 10 c1 t=85000\n", false, 85, ""},
		{"near 85 °C", "51 05 4b 46 7f ff 0f 10 b2 : crc=b2 YES\n51 05 4b 46 7f ff 0f 10 b2 t=85062\n", false, 85.062, ""},
		{"DS18S20 at power-on", "aa 00 4b 46 ff ff 0c 10 87 : crc=87 YES\naa 00 4b 46 ff ff 0c 10 87 t=85000\n", true, 0, "power-on"},
		{"DS18S20 at 85 °C", "aa 00 4b 46 ff ff 04 10 07 : crc=07 YES\naa 00 4b 46 ff ff 04 10 07 t=85000\n", true, 85, ""},
		{"out of range", "d0 07 4b 46 7f ff 10 10 00 : crc=00 YES\nd0 07 4b 46 7f ff 10 10 00 t=125062\n", false, 0, "out of the chip's range"},
		{"empty", "", false, 0, "w1_therm writes"},
		{"one line", "a3 01 4b 46 7f ff 0d 10 1e : crc=1e YES", false, 0, "no t="},
		{"eight bytes", "a3 01 4b 46 7f ff 0d 10 : crc=1e YES\nt=26187\n", false, 0, "8 bytes"},
		{"no byte", "a3 01 4b 46 7f ff 0d 10 1x : crc=1e YES\nt=26187\n", false, 0, "no byte"},
		{"no number", "a3 01 4b 46 7f ff 0d 10 1e : crc=1e YES\nt=warm\n", false, 0, "no number"},
	} {
		got, err := parseSlave([]byte(c.text), c.sLike)
		if c.err == "" {
			if err != nil || got != c.want {
				t.Errorf("%s: %v, %v", c.what, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v, want an error with %q", c.what, got, err, c.err)
		}
	}
}

// TestPowerOnWithoutScratchpad: the file temperature cannot tell 85 °C apart.
func TestPowerOnWithoutScratchpad(t *testing.T) {
	f := vehicle(t)
	s := f.sensor(Options{Kind: OneWire, Device: "10-000802776315"})
	f.write(old+"/temperature", "85000")
	if got, _, err := once(t, s); err == nil || len(got) != 0 {
		t.Errorf("the power-on value is a reading: %v", got)
	}
	f.write(old+"/temperature", "84937")
	if got, _, err := once(t, s); err != nil || got["temperature"] != 84.937 {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzParseSlave: whatever a kernel writes, a value is in the chip's range.
func FuzzParseSlave(f *testing.F) {
	f.Add([]byte("a3 01 4b 46 7f ff 0d 10 1e : crc=1e YES\na3 01 4b 46 7f ff 0d 10 1e t=26187\n"), false)
	f.Add([]byte("aa 00 4b 46 ff ff 0c 10 87 : crc=87 YES\naa 00 4b 46 ff ff 0c 10 87 t=85000\n"), true)
	f.Fuzz(func(t *testing.T, text []byte, sLike bool) {
		if v, err := parseSlave(text, sLike); err == nil && !(v >= -55 && v <= 125) {
			t.Errorf("%v °C", v)
		}
	})
}

func FuzzParseNumber(f *testing.F) {
	for _, text := range []string{"0", "-12\n", "0.062500000\n", "1e999", "nan", "0x1p-2"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if v, err := parseNumber(text); err == nil && v-v != 0 {
			t.Errorf("%v", v)
		}
	})
}
