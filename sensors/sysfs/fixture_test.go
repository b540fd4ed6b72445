package sysfs

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"milepost/sensors"
)

// tree is a pretended /sys.
type tree struct {
	t    *testing.T
	root string
}

func newTree(t *testing.T) *tree {
	t.Helper()
	return &tree{t, t.TempDir()}
}

// path is the place of a file below the root.
func (f *tree) path(name string) string { return filepath.Join(f.root, name) }

// write writes a file as the kernel's would read.
func (f *tree) write(name, text string) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Dir(f.path(name)), 0o777); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(f.path(name), []byte(text+"\n"), 0o666); err != nil {
		f.t.Fatal(err)
	}
}

// link makes a symbolic link to a path below the root.
func (f *tree) link(name, target string) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Dir(f.path(name)), 0o777); err != nil {
		f.t.Fatal(err)
	}
	relative, err := filepath.Rel(filepath.Dir(f.path(name)), f.path(target))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.Symlink(relative, f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

// device makes a device with its attributes, and lists it where its kind is.
func (f *tree) device(kind Kind, real string, attributes map[string]string) {
	f.t.Helper()
	for name, text := range attributes {
		f.write(filepath.Join(real, name), text)
	}
	f.link(filepath.Join(places[kind].dir, filepath.Base(real)), real)
}

// remove takes a device away.
func (f *tree) remove(kind Kind, real string) {
	f.t.Helper()
	if err := os.Remove(f.path(filepath.Join(places[kind].dir, filepath.Base(real)))); err != nil {
		f.t.Fatal(err)
	}
	if err := os.RemoveAll(f.path(real)); err != nil {
		f.t.Fatal(err)
	}
}

const (
	adc   = "devices/platform/soc/3f804000.i2c/i2c-1/1-0068/iio:device0"
	adc2  = "devices/platform/soc/3f804000.i2c/i2c-1/1-0069/iio:device1"
	accel = "devices/platform/soc/3f204000.spi/spi_master/spi0/spi0.0/iio:device2"
	bme   = "devices/platform/soc/3f804000.i2c/i2c-1/1-0076/iio:device3"
	ads   = "devices/platform/soc/3f804000.i2c/i2c-1/1-0048/iio:device4"
	tmp   = "devices/platform/soc/3f804000.i2c/i2c-1/1-0040/iio:device5"
	core  = "devices/platform/coretemp.0/hwmon/hwmon3"
	ina   = "devices/platform/soc/3f804000.i2c/i2c-1/1-0041/hwmon/hwmon1"
	zone  = "devices/virtual/thermal/thermal_zone0"
	probe = "devices/w1_bus_master1/28-0316a2795aff"
	old   = "devices/w1_bus_master1/10-000802776315"
)

// vehicle is a tree with devices as their drivers show them.
func vehicle(t *testing.T) *tree {
	f := newTree(t)
	// MCP3424 (mcp3422.c): an own scale for each channel, in mV.
	f.device(IIO, adc, map[string]string{
		"name": "mcp3424", "in_voltage0_raw": "80000", "in_voltage0_scale": "0.015625000",
		"in_voltage1_raw": "-80000", "in_voltage1_scale": "0.015625000", "in_voltage_scale_available": "0.015625000 0.007812500",
	})
	f.write("devices/platform/soc/3f804000.i2c/i2c-1/1-0068/name", "mcp3424")
	f.device(IIO, adc2, map[string]string{"name": "mcp3424", "label": "hydraulics", "in_voltage0_raw": "1", "in_voltage0_scale": "1.0"})
	// BMI160: one scale and offset for all axes.
	f.device(IIO, accel, map[string]string{
		"name": "bmi160", "in_accel_x_raw": "1024", "in_accel_y_raw": "0", "in_accel_z_raw": "-16384", "in_accel_scale": "0.000598",
		"in_anglvel_x_raw": "100", "in_anglvel_scale": "0.001065",
	})
	// BMP280 driver with a BME280: processed values.
	f.device(IIO, bme, map[string]string{
		"name": "bme280", "in_temp_input": "25080", "in_pressure_input": "100.653265625", "in_humidityrelative_input": "46333",
	})
	// ADS1115 (ti-ads1015.c): differential channels; one with a label of the device tree.
	f.device(IIO, ads, map[string]string{
		"name": "ads1015", "in_voltage0-voltage1_raw": "-2048", "in_voltage0-voltage1_scale": "0.125000000",
		"in_voltage2_raw": "16000", "in_voltage2_scale": "0.187500000", "in_voltage2_label": "battery",
	})
	// Offset before scale, by type.
	// tmp006 and others are named after their address; the bus knows the chip.
	f.write("devices/platform/soc/3f804000.i2c/i2c-1/1-0040/name", "xadc")
	f.device(IIO, tmp, map[string]string{"name": "1-0040", "in_temp0_raw": "2537", "in_temp0_offset": "-2219", "in_temp0_scale": "123.040771484"})
	f.device(HWMon, core, map[string]string{
		"name": "coretemp", "temp1_input": "54000", "temp1_label": "Package id 0", "temp2_input": "52000", "temp2_label": "Core 0",
		"temp10_input": "51000", "temp10_label": "Core 8", "temp1_max": "100000",
	})
	f.device(HWMon, ina, map[string]string{
		"name": "ina219", "in1_input": "12280", "curr1_input": "-350", "power1_input": "4298000", "fan1_input": "1800",
		"temp1_input": "21000", "temp1_fault": "0", "power2_average": "1500000",
	})
	f.device(Thermal, zone, map[string]string{"type": "cpu-thermal", "temp": "48312"})
	f.device(OneWire, probe, map[string]string{
		"name": "28-0316a2795aff", "w1_slave": "a3 01 4b 46 7f ff 0d 10 1e : crc=1e YES\na3 01 4b 46 7f ff 0d 10 1e t=26187",
		"temperature": "26187",
	})
	f.device(OneWire, old, map[string]string{"name": "10-000802776315", "temperature": "-1250"})
	f.write("bus/w1/devices/w1_bus_master1/w1_master_name", "w1_bus_master1")

	node := "firmware/devicetree/base/soc/i2c@7e804000/adc@68"
	f.write(node+"/compatible", "microchip,mcp3424")
	f.link(adc+"/of_node", node)
	if err := os.MkdirAll(f.path("firmware/devicetree/base/aliases"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path("firmware/devicetree/base/aliases/adc0"), []byte("/soc/i2c@7e804000/adc@68\x00"), 0o666); err != nil {
		t.Fatal(err)
	}
	return f
}

// sensor returns a sensor of the tree.
func (f *tree) sensor(o Options) *Sensor {
	f.t.Helper()
	o.Root = f.root
	s, err := New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// once tries a sensor once and returns its values by channel.
func once(t *testing.T, s *Sensor) (map[string]float64, int, error) {
	t.Helper()
	t.Cleanup(s.forget)
	begin := time.Now().UnixNano()
	readings, failed, err := s.read(nil)
	end := time.Now().UnixNano()
	values := map[string]float64{}
	for _, r := range readings {
		values[s.Channels()[r.Channel].Name] = r.Value
		if r.Time < begin || r.Time > end {
			t.Errorf("a reading of %d, made between %d and %d", r.Time, begin, end)
		}
	}
	return values, failed, err
}

// runner runs a sensor.
type runner struct {
	mu       sync.Mutex
	readings []sensors.Reading
	stop     func() error
}

func run(t *testing.T, s sensors.Sensor) *runner {
	ctx, cancel := context.WithCancel(t.Context())
	r := &runner{}
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(rs []sensors.Reading) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.readings = append(r.readings, rs...)
		})
	}()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *runner) last() (sensors.Reading, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.readings) == 0 {
		return sensors.Reading{}, 0
	}
	return r.readings[len(r.readings)-1], len(r.readings)
}
