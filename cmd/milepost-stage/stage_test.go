package main

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// device is a boot partition and a configuration, before and between starts.
type device struct {
	*testing.T
	configuration
}

func newDevice(t *testing.T) *device {
	dir := t.TempDir()
	d := &device{t, configuration{boot: filepath.Join(dir, "boot"), config: filepath.Join(dir, "config"), record: filepath.Join(dir, "brought"), gid: -1}}
	for _, sub := range []string{d.boot, d.config} {
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *device) put(path, text string) {
	d.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		d.Fatal(err)
	}
}

// start brings the configuration and checks how many files it says it took.
func (d *device) start(taken int) {
	d.Helper()
	said, err := d.bring()
	if err != nil || len(said) != taken {
		d.Errorf("it says %q, %v; want %d lines", said, err, taken)
	}
}

// has checks a file of the configuration; "" is one that is not there.
func (d *device) has(name, want string) {
	d.Helper()
	got, err := os.ReadFile(filepath.Join(d.config, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || string(got) != want {
		d.Errorf("%s is %q (%v), want %q", name, got, err, want)
	}
}

func TestConfigurationIsBrought(t *testing.T) {
	d := newDevice(t)
	boot := func(name string) string { return filepath.Join(d.boot, name) }
	d.put(boot("MILEPOST.YAML"), "device: one") // FAT knows no case
	d.put(boot("engine.dbc"), "VERSION")
	d.put(boot("authorized_keys"), "ssh-ed25519 A")
	d.put(boot("cmdline.txt"), "console=")
	d.put(boot(".hidden.pem"), "x")
	d.start(3)
	d.has("milepost.yaml", "device: one")
	d.has("authorized_keys", "ssh-ed25519 A")
	d.has("cmdline.txt", "")
	d.has(".hidden.pem", "")
	d.start(0)

	// What was changed on the device stays, until the boot partition changes.
	d.put(filepath.Join(d.config, "milepost.yaml"), "device: changed")
	d.start(0)
	d.has("milepost.yaml", "device: changed")
	d.put(boot("MILEPOST.YAML"), "device: two")
	d.start(1)
	d.has("milepost.yaml", "device: two")

	// What vanishes stays, as FAT can lose it; a key does not.
	for _, name := range []string{"MILEPOST.YAML", "authorized_keys"} {
		if err := os.Remove(boot(name)); err != nil {
			t.Fatal(err)
		}
	}
	d.start(1)
	d.has("milepost.yaml", "device: two")
	d.has("authorized_keys", "")
	d.put(filepath.Join(d.config, "milepost.yaml"), "device: three")
	d.put(boot("milepost.yaml"), "device: two") // found again, unchanged
	d.start(0)
	d.has("milepost.yaml", "device: three")

	// A data partition that is new gets all again.
	if err := os.Remove(filepath.Join(d.config, "milepost.yaml")); err != nil {
		t.Fatal(err)
	}
	d.start(1)
	d.has("milepost.yaml", "device: two")
	if files, err := filepath.Glob(filepath.Join(d.config, "*.new")); len(files) > 0 || err != nil {
		t.Errorf("left behind: %q", files)
	}
}

// A file that cannot be taken does not keep the others back, and is tried again.
func TestConfigurationFailures(t *testing.T) {
	d := newDevice(t)
	d.put(filepath.Join(d.boot, "milepost.yaml"), "device: one")
	d.put(filepath.Join(d.boot, "a.pem"), "A")
	d.put(filepath.Join(d.boot, "huge.dbc"), "")
	if err := os.Truncate(filepath.Join(d.boot, "huge.dbc"), maxBrought+1); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(d.config, "a.pem", "x"), 0o755); err != nil { // in the way
		t.Fatal(err)
	}
	said, err := d.bring()
	if len(said) != 1 || err == nil || !strings.Contains(err.Error(), "a.pem") || !strings.Contains(err.Error(), "huge.dbc") {
		t.Errorf("it says %q, %v", said, err)
	}
	d.has("milepost.yaml", "device: one")
	if err := os.RemoveAll(filepath.Join(d.config, "a.pem")); err != nil {
		t.Fatal(err)
	}
	if said, _ := d.bring(); len(said) != 1 {
		t.Errorf("the second time it says %q", said)
	}
	d.has("a.pem", "A")
}

func TestPartitionGrows(t *testing.T) {
	var table partitionTable
	le := binary.LittleEndian
	entry := table[446+3*16:]
	le.PutUint32(entry[8:], 1000)
	le.PutUint32(entry[12:], 2000)
	for _, c := range []struct {
		sectors int64
		size    uint32 // after
		grown   bool
	}{
		{3000, 2000, false}, {2999, 2000, false}, {8191, 2000, false}, // 4 MiB are 8192 sectors
		{8192, 7192, true}, {8192, 7192, false}, {20000, 15384, true},
		{1 << 33, 1<<32 - 8192 - 1000, true}, // where the table ends
	} {
		if grown := table.grow(3, c.sectors); grown != c.grown || le.Uint32(entry[12:]) != c.size {
			t.Errorf("with %d sectors: %v, %d sectors; want %v, %d", c.sectors, grown, le.Uint32(entry[12:]), c.grown, c.size)
		}
	}
	if table.grow(2, 1<<20) {
		t.Error("a partition that is not there has grown")
	}
	if _, ok := table.signature(); ok {
		t.Error("zeros have a signature")
	}
}

func TestNames(t *testing.T) {
	for disk, want := range map[string]string{"/dev/sda": "/dev/sda4", "/dev/mmcblk0": "/dev/mmcblk0p4", "/dev/nvme0n1": "/dev/nvme0n1p4", "/dev/vda": "/dev/vda4"} {
		if got := partitionName(disk, 4); got != want {
			t.Errorf("%s has %s, want %s", disk, got, want)
		}
	}
	const id = "0123456789abcdef0123456789abcdef"
	for _, c := range []struct{ config, serial, want string }{
		{"# x\ndevice: van-1\n", "", "van-1"}, {"device:   \"Van 1 \" # ours\n", "", "van-1"}, {"device: 'a.b'\n", "", "a-b"},
		{"  device: inner\n", "10000000abcdef12\x00", "milepost-abcdef12"}, {"#device: van\n", "", "milepost-01234567"},
		{"device: ${NAME}\n", "0000000000000000\x00", "milepost-01234567"}, {"device: \"\"\n", "7\x00", "milepost-7"},
		{"device: " + strings.Repeat("x", 100) + "\n", "", strings.Repeat("x", 63)}, {"device: ---\n", "", "milepost-01234567"},
	} {
		if got := hostName([]byte(c.config), []byte(c.serial), id); got != c.want {
			t.Errorf("%q with serial number %q is called %s, want %s", c.config, c.serial, got, c.want)
		}
	}
}

func TestMachineID(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machine-id")
	first, err := machineID(file)
	if err != nil || !validID.MatchString(first) {
		t.Fatalf("the ID is %q: %v", first, err)
	}
	if again, err := machineID(file); again != first || err != nil {
		t.Errorf("the ID is %q, then %q: %v", first, again, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("torn"), 0o644); err != nil {
		t.Fatal(err)
	}
	if fresh, err := machineID(file); fresh == first || !validID.MatchString(fresh) || err != nil {
		t.Errorf("instead of half an ID comes %q: %v", fresh, err)
	}
}

func TestSignature(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cmdline")
	for text, want := range map[string]uint32{"console=x milepost.disk=0a0b0c0d quiet\n": 0x0a0b0c0d, "quiet\n": 0, "milepost.disk=x\n": 0} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := readSignature(file); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q has %08x: %v", text, got, err)
		}
	}
}

func TestAccount(t *testing.T) {
	file := filepath.Join(t.TempDir(), "group")
	if err := os.WriteFile(file, []byte("root:x:0:\nmilepost:x:800:\nbad:x:y:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if id, err := account(file, "milepost"); id != 800 || err != nil {
		t.Errorf("milepost is %d: %v", id, err)
	}
	for _, name := range []string{"post", "bad"} {
		if id, err := account(file, name); err == nil {
			t.Errorf("%s is %d", name, id)
		}
	}
}
