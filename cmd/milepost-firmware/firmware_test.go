package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"milepost/cmd/internal/config"
	"milepost/firmware/packages"
	"milepost/firmware/release"
)

// firmware runs the program and returns the exit code and what it said.
func firmware(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	inv := &invocation{args: args, stdout: &out, stderr: &errs, getenv: func(string) (string, bool) { return "", false }}
	code = inv.run(context.Background())
	return code, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "package"},
		{[]string{"help"}, exitDone, "dist"},
		{[]string{"package", "-h"}, exitDone, "SOURCE_DATE_EPOCH"},
		{[]string{"fly"}, exitUsage, "no command \"fly\""},
		{[]string{"build", "linux-sparc"}, exitUsage, "linux-riscv64"},
		{[]string{"dist"}, exitUsage, "which BINARY"},
		{[]string{"package", "--format", "apk", "x"}, exitUsage, "none of deb, rpm and ipk"},
		{[]string{"image", "-o", "x.img"}, exitUsage, "which --board"},
		{[]string{"image", "--board", "rpi9", "-o", "x.img"}, exitUsage, "rpi9"},
		{[]string{"image", "--board", "rpi4", "--hat", "rpi4", "-o", "x.img"}, exitUsage, "rpi4"},
		{[]string{"image", "--board", "amd64", "-o", "x.img"}, exitFailed, "there is the package"},
		{[]string{"image", "--board", "rpi5", "-o", "x.img"}, exitFailed, "images are made of bookworm"},
		{[]string{"image", "--board", "rpi4", "--key", "nobody.pem", "-o", "x.img"}, exitFailed, "nobody.pem"},
		{[]string{"package", "--maintainer", "nobody", "x"}, exitUsage, "NAME <ADDRESS>"},
	} {
		code, stdout, stderr := firmware(c.args...)
		if code != c.code || !strings.Contains(stdout+stderr, c.says) {
			t.Errorf("%q: exit code %d: %s%s", c.args, code, stdout, stderr)
		}
	}
	if code, _, stderr := firmware("package", "-o", t.TempDir(), filepath.Join("..", "..", "go.mod")); code != exitFailed || !strings.Contains(stderr, "go.mod") {
		t.Errorf("a text as the binary: exit code %d: %s", code, stderr)
	}
}

// What is installed before anybody has configured anything is harmless: it reads
// nothing, sends nothing, opens no port and switches nothing off; and a bus that
// is added without further keys only listens.
func TestPackagedConfiguration(t *testing.T) {
	contents := packages.Contents{Version: "v1.0.0", Time: time.Unix(1e9, 0), Config: config.DefaultFile()}
	for name, p := range map[string]*packages.Package{
		"/var/lib/milepost/spool": contents.Deb("arm64"), "/opt/milepost/spool": contents.IPK("mipsel_24kc"),
	} {
		for _, f := range p.Files {
			if f.Path != "/etc/milepost/milepost.yaml" {
				continue
			}
			c, err := config.Parse(f.Path, f.Body, os.LookupEnv)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Buses)+len(c.Sensors)+len(c.Sinks) > 0 || c.Metrics.Listen != "" || c.Power.Off != nil {
				t.Errorf("%s: the packaged configuration does something", f.Path)
			}
			if c.Spool.Dir != name {
				t.Errorf("the spool is in %s, want %s", c.Spool.Dir, name)
			}
		}
	}
	c, err := config.Parse("milepost.yaml", []byte("buses: [{name: can0}]"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if c.Buses[0].Transmit || c.Buses[0].Bitrate != 0 {
		t.Error("a bus without further keys is set up, or may transmit")
	}
}

// TestManual: the man pages are without faults, for whoever has mandoc.
func TestManual(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("there is no mandoc here")
	}
	dir := t.TempDir()
	when := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for name, page := range map[string][]byte{
		"milepost.1": packages.ManualPage("v1.2.3-rc.1", when), "milepost.yaml.5": config.Manual("v1.2.3-rc.1", when),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, page, 0o666); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mandoc", "-Tlint", "-Wwarning", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		out, err := exec.Command("mandoc", "-Tutf8", path).Output()
		if err != nil || !bytes.Contains(out, []byte("v1.2.3-rc.1")) || !bytes.Contains(out, []byte("2026")) {
			t.Errorf("%s: no version or no date (%v)", name, err)
		}
	}
}

func TestDate(t *testing.T) {
	for _, c := range []struct {
		epoch string
		time  time.Time
		want  int64
	}{
		{"", time.Unix(5, 0), 5}, {"1700000000", time.Unix(5, 0), 1700000000}, {"", time.Time{}, -1}, {"soon", time.Unix(5, 0), -1}, {"-3", time.Unix(5, 0), -1},
	} {
		inv := &invocation{getenv: func(string) (string, bool) { return c.epoch, c.epoch != "" }}
		b := &release.Binary{Time: c.time, Info: &buildinfo.BuildInfo{}}
		switch err := inv.date(b); {
		case c.want < 0 && err == nil:
			t.Errorf("SOURCE_DATE_EPOCH=%s and %s: taken as %s", c.epoch, c.time, b.Time)
		case c.want >= 0 && (err != nil || b.Time.Unix() != c.want):
			t.Errorf("SOURCE_DATE_EPOCH=%s and %s: %s, %v", c.epoch, c.time, b.Time, err)
		}
	}
}
