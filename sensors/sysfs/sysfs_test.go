package sysfs

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milepost/sensors"
)

var _ sensors.Sensor = (*Sensor)(nil)

// TestValues: what real drivers show, in SI units.
func TestValues(t *testing.T) {
	t.Parallel()
	f := vehicle(t)
	for _, c := range []struct {
		kind   Kind
		device string
		inputs []Input
		want   map[string]float64
		units  []string
	}{
		{IIO, "1-0068", []Input{{Attribute: "in_voltage0", Name: "battery"}, {Attribute: "in_voltage1_raw"}}, map[string]float64{"battery": 1.25, "in_voltage1": -1.25}, []string{"V", "V"}},
		{IIO, "bmi160", []Input{{Attribute: "in_accel_x"}, {Attribute: "in_accel_z"}, {Attribute: "in_anglvel_x"}}, map[string]float64{"in_accel_x": 0.612352, "in_accel_z": -9.797632, "in_anglvel_x": 0.1065}, []string{"m/s²", "m/s²", "rad/s"}},
		{IIO, "bme280", []Input{{Attribute: "in_temp"}, {Attribute: "in_pressure"}, {Attribute: "in_humidityrelative_input"}}, map[string]float64{"in_temp": 25.08, "in_pressure": 100653.265625, "in_humidityrelative": 46.333}, []string{"°C", "Pa", "%"}},
		{IIO, "ads1015", []Input{{Attribute: "in_voltage0-voltage1"}, {Attribute: "in_voltage", Label: "battery"}}, map[string]float64{"in_voltage0-voltage1": -0.256, "battery": 3}, []string{"V", "V"}},
		{IIO, "xadc", []Input{{Attribute: "in_temp0"}}, map[string]float64{"in_temp0": 39.126965331912}, []string{"°C"}},
		{HWMon, "coretemp", []Input{{Attribute: "temp1"}, {Attribute: "temp", Label: "Core 8"}}, map[string]float64{"temp1": 54, "Core 8": 51}, []string{"°C", "°C"}},
		{HWMon, "1-0041", []Input{{Attribute: "in1"}, {Attribute: "curr1"}, {Attribute: "power1_input"}, {Attribute: "fan1"}, {Attribute: "temp1"}, {Attribute: "power2_average"}},
			map[string]float64{"in1": 12.28, "curr1": -0.35, "power1": 4.298, "fan1": 1800, "temp1": 21, "power2_average": 1.5}, []string{"V", "A", "W", "1/min", "°C", "W"}},
		{Thermal, "cpu-thermal", nil, map[string]float64{"temperature": 48.312}, []string{"°C"}},
		{OneWire, "28-0316a2795aff", nil, map[string]float64{"temperature": 26.187}, []string{"°C"}},
		{OneWire, "10-000802776315", nil, map[string]float64{"temperature": -1.25}, []string{"°C"}},
	} {
		s := f.sensor(Options{Kind: c.kind, Device: c.device, Inputs: c.inputs})
		var units []string
		for _, channel := range s.Channels() {
			units = append(units, channel.Unit)
		}
		got, failed, err := once(t, s)
		near := maps.EqualFunc(got, c.want, func(a, b float64) bool { return a-b < 1e-12 && b-a < 1e-12 })
		if err != nil || failed != 0 || !near || !slices.Equal(units, c.units) {
			t.Errorf("%s %s: %v %v, want %v %v: %v", c.kind, c.device, got, units, c.want, c.units, err)
		}
	}
}

// TestSharedScale: whose scale and offset a raw value has, most particular first.
func TestSharedScale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw   string
		files []string
	}{
		{"in_voltage0", []string{"in_voltage0_scale", "in_voltage_scale", "in_scale", "scale"}},
		{"in_accel_x", []string{"in_accel_x_scale", "in_accel_scale", "in_scale", "scale"}},
		{"in_voltage0-voltage1", []string{"in_voltage0-voltage1_scale", "in_voltage-voltage_scale", "in_voltage_scale", "in_scale"}},
		{"in_voltage1_supply", []string{"in_voltage1_supply_scale", "in_voltage_supply_scale", "in_voltage_scale"}},
	} {
		// Without any, a raw value is in the kernel's unit.
		const dir = "devices/iio:device0"
		for n := range len(c.files) + 1 {
			f := newTree(t)
			f.device(IIO, dir, map[string]string{"name": "chip", c.raw + "_raw": "1000"})
			for i, file := range c.files[n:] {
				f.write(dir+"/"+file, []string{"2", "3", "5", "7"}[i])
				f.write(dir+"/"+strings.Replace(file, "scale", "offset", 1), []string{"500", "1", "2", "3"}[i])
			}
			q, err := quantityOf(IIO, c.raw)
			if err != nil {
				t.Fatal(err)
			}
			want := q.si(3000)
			if n == len(c.files) {
				want = q.si(1000)
			}
			got, _, err := once(t, f.sensor(Options{Kind: IIO, Inputs: []Input{{Attribute: c.raw, Name: "v"}}}))
			if err != nil || got["v"] != want {
				t.Errorf("%s with %v: %v, want %v: %v", c.raw, c.files[n:], got, want, err)
			}
		}
	}
}

// TestFind: by which words a device is found, and what is said when it is not.
func TestFind(t *testing.T) {
	t.Parallel()
	f := vehicle(t)
	for _, c := range []struct {
		kind   Kind
		device string
		want   string // its path, or what the error says
	}{
		{IIO, "hydraulics", adc2},
		{IIO, "bmi160", accel},
		{IIO, "adc@68", adc},
		{IIO, "adc0", adc},
		{IIO, "1-0069", adc2},
		{IIO, "spi0.0", accel},
		{IIO, "/sys/bus/iio/devices/iio:device3", bme},
		{IIO, "/sys/" + adc, adc},
		{IIO, "/sys/devices/platform/soc/3f804000.i2c/i2c-1/1-0076", bme},
		{HWMon, "coretemp", core},
		{HWMon, "1-0041", ina},
		{Thermal, "", zone},
		{OneWire, "28-0316a2795aff", probe},
		{IIO, "mcp3424", "there are 2 of them: say which by its address or path"},
		{IIO, "/sys/devices/platform/soc/3f804000.i2c/i2c-1", "there are 5 of them"},
		{OneWire, "", "there are 2 of them"},
		{IIO, "lis3dh", `it is not there; there are: "bmi160" at `},
		{IIO, "1-006", "it is not there"},
		{IIO, "/sys/bus/i2c/devices/1-0070", "it is not there"},
		{IIO, "../aliases/adc0", "it is not there"},
	} {
		got, err := find(Options{Kind: c.kind, Root: f.root, Device: c.device})
		if strings.HasPrefix(c.want, "devices/") {
			if err != nil || got.real != f.path(c.want) {
				t.Errorf("%s %q: %s, want %s: %v", c.kind, c.device, got.real, c.want, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: found %s, %v", c.kind, c.device, got.real, err)
		}
	}
	if _, err := find(Options{Kind: IIO, Root: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "there is no ") {
		t.Errorf("without any: %v", err)
	}
}

// TestWrongOptions: errors name what is wrong and what would be right.
func TestWrongOptions(t *testing.T) {
	t.Parallel()
	f := vehicle(t)
	in := func(attributes ...string) (inputs []Input) {
		for _, a := range attributes {
			inputs = append(inputs, Input{Attribute: a})
		}
		return inputs
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Kind: "gpio"}, "there are iio, hwmon, thermal and onewire"},
		{Options{Kind: IIO, Device: "bme280"}, "it has in_humidityrelative (%), in_pressure (Pa), in_temp (°C)"},
		{Options{Kind: HWMon, Device: "absent"}, "name one input or more"},
		{Options{Kind: IIO, Inputs: in("voltage0")}, "begins with in_"},
		{Options{Kind: IIO, Inputs: in("in_flux0")}, "no known quantity"},
		{Options{Kind: IIO, Inputs: in("in_temp/../../x")}, "not a path"},
		{Options{Kind: HWMon, Inputs: in("pwm1")}, "no known quantity"},
		{Options{Kind: IIO, Inputs: in("in_temp", "in_temp_raw")}, `two channels "in_temp"`},
		{Options{Kind: Thermal, Inputs: in("temp")}, "name none"},
		{Options{Kind: Thermal, Interval: -1}, "too short"},
	} {
		c.o.Root = f.root
		if _, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

// TestMissingInput: a device without the input that is asked for is a state, which
// names those that there are.
func TestMissingInput(t *testing.T) {
	t.Parallel()
	f := vehicle(t)
	for _, c := range []struct {
		kind Kind
		dev  string
		in   Input
		want string
	}{
		{IIO, "1-0068", Input{Attribute: "in_voltage7"}, "it has in_voltage0 (V), in_voltage1 (V)"},
		{IIO, "ads1015", Input{Attribute: "in_voltage", Label: "fuel"}, `labelled "fuel"; it has in_voltage2 "battery" (V), in_voltage0-voltage1 (V)`},
		{HWMon, "coretemp", Input{Attribute: "temp3"}, `it has temp1 "Package id 0" (°C), temp2 "Core 0" (°C), temp10 "Core 8" (°C)`},
		{HWMon, "coretemp", Input{Attribute: "in", Label: "Core 0"}, `no in that is labelled "Core 0"`},
	} {
		_, failed, err := once(t, f.sensor(Options{Kind: c.kind, Device: c.dev, Inputs: []Input{c.in}}))
		if err == nil || failed != 1 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: %v, want %q", c.dev, c.in, err, c.want)
		}
	}
}

// TestBadValues: what is no measurement is no reading, and costs the others none.
func TestBadValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, text, want string }{
		{"in_voltage0_raw", "", "is no number"},
		{"in_voltage0_raw", "1.2.3", "is no number"},
		{"in_voltage0_raw", "NaN", "is no number"},
		{"in_voltage0_raw", "1e999", "is no number"},
		{"in_voltage0_raw", strings.Repeat("1", 5000), "longer than 4096 bytes"},
		{"in_voltage0_raw", strings.Repeat("9", 300) + "e200", "is no number"},
		{"in_voltage0_scale", "0.5 0.25", "is no number"},
		{"in_voltage0_scale", "1e308", "no finite number"},
	} {
		f := vehicle(t)
		f.write(adc+"/"+c.file, c.text)
		s := f.sensor(Options{Kind: IIO, Device: "1-0068", Inputs: []Input{{Attribute: "in_voltage0"}, {Attribute: "in_voltage1"}}})
		got, failed, err := once(t, s)
		if err == nil || failed != 1 || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "in_voltage0: ") || len(got) != 1 || got["in_voltage1"] != -1.25 {
			t.Errorf("%s is %.20q: %v, %d failed: %v", c.file, c.text, got, failed, err)
		}
	}
	f := vehicle(t)
	f.write(zone+"/temp", "-274000")
	if got, _, err := once(t, f.sensor(Options{Kind: Thermal})); err == nil || len(got) != 0 {
		t.Errorf("colder than anything: %v, %v", got, err)
	}
	f.write(ina+"/temp1_fault", "1")
	if got, _, err := once(t, f.sensor(Options{Kind: HWMon, Device: "ina219", Inputs: []Input{{Attribute: "temp1"}}})); err == nil || len(got) != 0 {
		t.Errorf("a broken probe: %v, %v", got, err)
	}
	// A file that gives an error when it is read, as EIO does: EISDIR.
	if err := errors.Join(os.Remove(f.path(zone+"/temp")), os.Mkdir(f.path(zone+"/temp"), 0o777)); err != nil {
		t.Fatal(err)
	}
	var path *fs.PathError
	if got, _, err := once(t, f.sensor(Options{Kind: Thermal})); !errors.As(err, &path) || len(got) != 0 {
		t.Errorf("a read error: %v, %v", got, err)
	}
}

// TestRenumber: a device that is taken away is a state; when it comes back under
// another number, and another device has got its own, it is the one that is read.
func TestRenumber(t *testing.T) {
	t.Parallel()
	f := vehicle(t)
	s := f.sensor(Options{Kind: IIO, Device: "bmi160", Inputs: []Input{{Attribute: "in_accel_x", Name: "x"}}})
	if got, _, err := once(t, s); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	f.remove(IIO, accel)
	// The other device takes the directory's name, with the same attribute.
	f.device(IIO, accel, map[string]string{"name": "lis3dh", "in_accel_x_raw": "7", "in_accel_scale": "1"})
	for range 2 {
		if got, failed, err := once(t, s); err == nil || failed != 1 || len(got) != 0 {
			t.Errorf("it was taken away: %v, %v", got, err)
		}
	}
	f.device(IIO, "devices/platform/soc/3f204000.spi/spi_master/spi0/spi0.0/iio:device9", map[string]string{"name": "bmi160", "in_accel_x_raw": "2", "in_accel_scale": "0.5"})
	if got, _, err := once(t, s); err != nil || got["x"] != 1 {
		t.Errorf("it came back: %v, %v", got, err)
	}
	// Changes of value and gain show at once.
	f.write("devices/platform/soc/3f204000.spi/spi_master/spi0/spi0.0/iio:device9/in_accel_x_raw", "3")
	f.write("devices/platform/soc/3f204000.spi/spi_master/spi0/spi0.0/iio:device9/in_accel_scale", "2")
	if got, _, err := once(t, s); err != nil || got["x"] != 6 {
		t.Errorf("after a change: %v, %v", got, err)
	}
}

// TestRun: over time, the readings and failures of a device that comes and goes
// add up, and the readings of a missing one are none.
func TestRun(t *testing.T) {
	f := newTree(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Kind: Thermal, Root: f.root})
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, s)
		time.Sleep(10 * time.Second)
		if st := s.Status(); st.Err == nil || st.Readings != 0 || st.Failures < 9 || st.Failures > 11 {
			t.Errorf("nothing there: %+v", st)
		}
		f.device(Thermal, zone, map[string]string{"type": "cpu-thermal", "temp": "48312"})
		time.Sleep(10 * time.Second)
		last, n := r.last()
		if st := s.Status(); st.Err != nil || st.Readings != uint64(n) || n < 9 || last.Value != 48.312 {
			t.Errorf("it is there: %+v, %d readings, the last %+v", st, n, last)
		}
		f.write(zone+"/temp", "50000")
		time.Sleep(2 * time.Second)
		if last, _ := r.last(); last.Value != 50 {
			t.Errorf("after a change: %+v", last)
		}
		failures := s.Status().Failures
		f.remove(Thermal, zone)
		time.Sleep(10 * time.Second)
		if st := s.Status(); st.Err == nil || st.Failures < failures+8 || time.Since(st.Since) < 8*time.Second {
			t.Errorf("it is gone: %+v", st)
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestDiscover: what a machine has, each with a word that New finds it by.
func TestDiscover(t *testing.T) {
	t.Parallel()
	f := vehicle(t)
	all := Discover(f.root)
	var got []string
	for _, d := range all {
		var inputs []string
		for _, in := range d.Inputs {
			inputs = append(inputs, in.String())
		}
		got = append(got, string(d.Kind)+" "+d.Device+": "+strings.Join(inputs, ", "))
		back, err := find(Options{Kind: d.Kind, Root: f.root, Device: d.Device})
		if err != nil || back.real != d.Path {
			t.Errorf("%s %q finds %s: %v", d.Kind, d.Device, back.real, err)
		}
	}
	want := []string{
		"iio xadc: in_temp0 (°C)",
		`iio ads1015: in_voltage2 "battery" (V), in_voltage0-voltage1 (V)`,
		"iio 1-0068: in_voltage0 (V), in_voltage1 (V)",
		"iio hydraulics: in_voltage0 (V)",
		"iio bme280: in_humidityrelative (%), in_pressure (Pa), in_temp (°C)",
		"iio bmi160: in_accel_x (m/s²), in_accel_y (m/s²), in_accel_z (m/s²), in_anglvel_x (rad/s)",
		`hwmon coretemp: temp1 "Package id 0" (°C), temp2 "Core 0" (°C), temp10 "Core 8" (°C)`,
		"hwmon ina219: curr1 (A), fan1 (1/min), in1 (V), power1 (W), power2_average (W), temp1 (°C)",
		"thermal cpu-thermal: temp (°C)",
		"onewire 10-000802776315: temperature (°C)",
		"onewire 28-0316a2795aff: temperature (°C)",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all := Discover(t.TempDir()); len(all) != 0 {
		t.Errorf("nothing is there, and found: %v", all)
	}
}
