package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milepost/cmd/internal/slots"
	"milepost/cmd/internal/status"
	"milepost/cmd/internal/update"
	"milepost/firmware/bundle"
)

// imageDevice is a device with an image: files stand for its disk and partitions.
type imageDevice struct {
	t       *testing.T
	dir     string
	key     ed25519.PrivateKey
	booted  slots.Booted
	reboots int
	report  func() (status.Report, error) // of the gateway
}

func newImageDevice(t *testing.T) *imageDevice {
	if runtime.GOOS != "linux" {
		t.Skip("images run Linux")
	}
	d := &imageDevice{t: t, dir: t.TempDir()}
	if err := os.Mkdir(d.path("keys"), 0o777); err != nil {
		t.Fatal(err)
	}
	private, public, err := bundle.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if d.key, err = bundle.ParseKey(private); err != nil {
		t.Fatal(err)
	}
	d.write("keys/fleet.pem", public)
	d.write("disk", make([]byte, 64<<10))
	d.write("a", systemOf(1))
	d.write("b", make([]byte, 2<<20))
	d.booted = slots.Booted{Disk: d.path("disk"), A: d.path("a"), B: d.path("b")}
	d.start()
	return d
}

// systemOf is a system, of 2 MiB.
func systemOf(n uint64) []byte {
	body := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{byte(n)}).Read(body)
	return body
}

func (d *imageDevice) path(name string) string { return filepath.Join(d.dir, name) }

func (d *imageDevice) write(name string, body []byte) string {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), body, 0o666); err != nil {
		d.t.Fatal(err)
	}
	return d.path(name)
}

func (d *imageDevice) read(name string) []byte {
	d.t.Helper()
	body, err := os.ReadFile(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	return body
}

// bundle writes a bundle with a system of 2 MiB.
func (d *imageDevice) bundle(version string, n uint64) string {
	d.t.Helper()
	var out bytes.Buffer
	s := bundle.System{Boards: []string{"rpi4"}, Arch: "arm64", Kernel: "6.1.0", Version: version}
	if err := bundle.Write(&out, s, bytes.NewReader(systemOf(n)), d.key); err != nil {
		d.t.Fatal(err)
	}
	return d.write(version+".mpb", out.Bytes())
}

// start does what the stage does.
func (d *imageDevice) start() slots.State {
	d.t.Helper()
	disk, err := os.OpenFile(d.path("disk"), os.O_RDWR, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer disk.Close()
	decision, err := slots.Boot(disk)
	if err != nil {
		d.t.Fatal(err)
	}
	d.booted.Started = decision.Start
	if err := d.booted.Write(d.path("booted")); err != nil {
		d.t.Fatal(err)
	}
	version := decision.Next.System(decision.Start).Version
	if version == "" {
		version = "v1.0.0" // that of the image
	}
	d.write("release", fmt.Appendf(nil, "MILEPOST_BOARD=rpi4\nMILEPOST_ARCH=\"arm64\"\nMILEPOST_KERNEL=6.1.0\nMILEPOST_VERSION=%s\n", version))
	return decision.Next
}

// update runs milepost update.
func (d *imageDevice) update(stdin io.Reader, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	f := updateFlags{
		booted: d.path("booted"), lock: d.path("lock"),
		kernel: func() (string, error) { return "6.1.0", nil },
		reboot: func() error { d.reboots++; return nil },
		ask:    func(context.Context, string) (status.Report, error) { return d.report() },
	}
	command := *updateCommand
	command.run = f.run
	inv := &invocation{stdin: stdin, stdout: &stdout, stderr: &stderr}
	args = append(args, "--keys", d.path("keys"), "--release", d.path("release"))
	err := command.run(context.Background(), inv, &command, args)
	if err != nil {
		fmt.Fprintln(&stderr, err)
		return outcome{exitFailed, stdout.String(), stderr.String()}
	}
	return outcome{exitDone, stdout.String(), stderr.String()}
}

// expect runs milepost update and looks for words in what it says.
func (d *imageDevice) expect(code int, words string, args ...string) {
	d.t.Helper()
	got := d.update(nil, args...)
	if got.code != code || !strings.Contains(got.stdout+got.stderr, words) {
		d.t.Fatalf("%q: exit code %d, %q\n%s%s", args, got.code, words, got.stdout, got.stderr)
	}
}

// healthy is a gateway that works; spoil makes it one that does not.
func healthy(spoil func(*status.Report)) func() (status.Report, error) {
	n := uint64(0)
	return func() (status.Report, error) {
		n++
		r := status.Report{
			PID: 42, Buses: []status.Bus{{Name: "can0", Received: 100 * n}},
			Spool: status.Spool{State: "storing", WrittenBytes: 1000 * n},
			Sinks: []status.Sink{{Name: "cloud", Up: true, Sent: n, Delivered: time.Unix(1e9, 0)}},
		}
		if spoil != nil {
			spoil(&r)
		}
		return r, nil
	}
}

// TestUpdateIsKept: from one version to the next, and back again by hand.
func TestUpdateIsKept(t *testing.T) {
	d := newImageDevice(t)
	d.expect(exitDone, "not on trial", "confirm")
	d.expect(exitFailed, "nothing to keep", "keep")
	d.expect(exitDone, "version v1.1.0, signed with fleet.pem, is in slot B", d.bundle("v1.1.0", 2))
	if !bytes.Equal(d.read("b"), systemOf(2)) || !bytes.Equal(d.read("a"), systemOf(1)) {
		t.Fatal("the slots have something else")
	}
	d.expect(exitDone, "is tried at the next start", "status")
	d.expect(exitFailed, "waits in slot B", d.bundle("v1.2.0", 3))
	if s := d.start(); s.Trial != slots.B || d.booted.Started != slots.B {
		t.Fatalf("%+v", s)
	}
	d.expect(exitDone, "version v1.1.0, runs on trial", "status")
	d.expect(exitFailed, "on trial itself", d.bundle("v1.2.0", 3))
	synctest.Test(t, func(*testing.T) {
		d.report = healthy(nil)
		d.expect(exitDone, "slot B is kept", "confirm")
	})
	if s := d.start(); s.Active != slots.B || s.Outcome != slots.Kept || s.Reason != "healthy for 30s" || d.reboots != 0 {
		t.Fatalf("%+v, %d reboots", s, d.reboots)
	}
	d.expect(exitDone, "the last trial: kept: healthy for 30s", "status")

	// Now the other way round, and by hand.
	d.expect(exitFailed, "not newer than v1.1.0", d.bundle("v1.0.0", 1))
	d.expect(exitDone, "restarting", "--restart", "--downgrade", d.bundle("v1.0.0", 4))
	if d.reboots != 1 || !bytes.Equal(d.read("a"), systemOf(4)) || !bytes.Equal(d.read("b"), systemOf(2)) {
		t.Fatalf("%d reboots", d.reboots)
	}
	d.start()
	d.expect(exitDone, "slot A is kept", "keep")
	if s := d.start(); s.Active != slots.A || s.Reason != "by hand" {
		t.Fatalf("%+v", s)
	}
	var s updateStatus
	got := d.update(nil, "status", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &s); err != nil || s.Running != "A" || s.Outcome != "kept" || len(s.Slots) != 2 || !s.Slots[1].Whole || s.Slots[1].Version != "v1.1.0" {
		t.Errorf("%v: %s", err, got.stdout)
	}
}

// TestUpdateIsRolledBack: a system on trial that does not do its work is given up,
// and the reason is there afterwards.
func TestUpdateIsRolledBack(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*status.Report)
		err   error
		says  string
	}{
		"cannot deliver": {func(r *status.Report) {
			r.Sinks[0] = status.Sink{Name: "cloud", LastError: "connection refused"}
		}, nil, "nothing was delivered to cloud: connection refused"},
		"no frames":         {func(r *status.Report) { r.Buses[0].Received, r.Buses[0].Err = 7, "no such interface" }, nil, "no frames and no readings come in: can0: no such interface"},
		"stores nothing":    {func(r *status.Report) { r.Spool.WrittenBytes = 7 }, nil, "the spool stores nothing"},
		"spool in trouble":  {func(r *status.Report) { r.Spool.State, r.Spool.Cause = "dropping", "disk full" }, nil, "the spool is dropping: disk full"},
		"spool of tomorrow": {func(r *status.Report) { r.Fallback = "the spool has format version 9" }, nil, "format version 9"},
		"hangs":             {func(r *status.Report) { r.Stuck = "the closer makes no progress" }, nil, "no progress"},
		"crashes on":        {func(r *status.Report) { r.PID = int(r.Spool.WrittenBytes) }, nil, "no frames"},
		"does not run":      {nil, errors.New("nothing runs with the spool"), "does not answer: nothing runs"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newImageDevice(t)
			d.expect(exitDone, "slot B", d.bundle("v1.1.0", 2))
			d.start()
			synctest.Test(t, func(*testing.T) {
				d.report = healthy(c.spoil)
				if c.err != nil {
					d.report = func() (status.Report, error) { return status.Report{}, c.err }
				}
				began := time.Now()
				d.expect(exitFailed, "rolled back, restarting", "confirm")
				if after := time.Since(began); after < 10*time.Minute || after > 10*time.Minute+10*time.Second {
					t.Errorf("after %v", after)
				}
			})
			if d.reboots != 1 {
				t.Errorf("%d reboots", d.reboots)
			}
			s := d.start()
			if s.Active != slots.A || d.booted.Started != slots.A || s.Outcome != slots.RolledBack || !strings.Contains(s.Reason, c.says) {
				t.Errorf("%+v", s)
			}
			d.expect(exitDone, c.says, "status")
			d.expect(exitDone, "slot B", d.bundle("v1.1.1", 3)) // a better one
		})
	}
}

// TestUpdateDies: a system that never comes as far as to confirm.
func TestUpdateDies(t *testing.T) {
	d := newImageDevice(t)
	d.expect(exitDone, "slot B", d.bundle("v1.1.0", 2))
	d.start()
	if s := d.start(); d.booted.Started != slots.A || s.Outcome != slots.RolledBack {
		t.Errorf("%+v", s)
	}
	d.expect(exitDone, "did not confirm that it works", "status")
	d.expect(exitDone, "not on trial", "confirm")
}

// TestUpdateBecomesHealthyLate: what matters is the time without trouble.
func TestUpdateBecomesHealthyLate(t *testing.T) {
	d := newImageDevice(t)
	d.expect(exitDone, "slot B", d.bundle("v1.1.0", 2))
	d.start()
	synctest.Test(t, func(*testing.T) {
		began := time.Now()
		d.report = healthy(func(r *status.Report) {
			// Up for 20 seconds every 40, and from the fifth minute on.
			if after := time.Since(began); after < 5*time.Minute && after%(40*time.Second) > 20*time.Second {
				r.Sinks[0].Up = false
			}
		})
		d.expect(exitDone, "slot B is kept", "confirm")
		if after := time.Since(began); after < 5*time.Minute+10*time.Second || after > 6*time.Minute {
			t.Errorf("kept after %v", after)
		}
	})
}

// TestUpdateFromStreams: standard input and HTTP.
func TestUpdateFromStreams(t *testing.T) {
	d := newImageDevice(t)
	body := d.read(filepath.Base(d.bundle("v1.1.0", 2)))
	if got := d.update(bytes.NewReader(body), "-"); got.code != exitDone || !bytes.Equal(d.read("b"), systemOf(2)) {
		t.Fatalf("%+v", got)
	}
	d.start()
	d.start() // nobody confirms
	server := httptest.NewServer(http.FileServer(http.Dir(d.dir)))
	defer server.Close()
	d.bundle("v1.1.1", 3)
	d.expect(exitDone, "slot B", server.URL+"/v1.1.1.mpb")
	if !bytes.Equal(d.read("b"), systemOf(3)) {
		t.Fatal("the slot has something else")
	}
	d.start()
	d.start()
	d.expect(exitFailed, "404 Not Found", server.URL+"/v9.mpb")
}

// TestUpdateFileIsReadFirst: a damaged file costs nothing, not even the system in
// the other slot.
func TestUpdateFileIsReadFirst(t *testing.T) {
	d := newImageDevice(t)
	path := d.bundle("v1.1.0", 2)
	good := d.read("v1.1.0.mpb")
	disk, b := d.read("disk"), d.read("b")
	for _, i := range []int{0, 20, 200, 600, len(good) - 2<<20, len(good) - 1<<20, len(good) - 1} {
		bad := slices.Clone(good)
		bad[i] ^= 1
		d.write("v1.1.0.mpb", bad)
		d.expect(exitFailed, "byte", path)
		if !bytes.Equal(d.read("disk"), disk) || !bytes.Equal(d.read("b"), b) {
			t.Fatalf("byte %d: something was written", i)
		}
	}
	d.write("v1.1.0.mpb", good)
	d.expect(exitDone, "slot B", path)
}

// TestUpdateElsewhere: what is no image of ours is told so.
func TestUpdateElsewhere(t *testing.T) {
	d := newImageDevice(t)
	path := d.bundle("v1.1.0", 2)
	machine, err := update.OpenMachine(d.path("booted"), d.path("lock"), true)
	if err != nil {
		t.Fatal(err)
	}
	d.expect(exitFailed, "another update is under way", path)
	d.expect(exitDone, "slot A", "status")
	machine.Close()
	if err := os.Remove(d.path("booted")); err != nil {
		t.Fatal(err)
	}
	d.expect(exitFailed, "not started from an image", path)
	d.expect(exitFailed, "not started from an image", "status")
	d.expect(exitDone, "there is no trial", "confirm") // the unit is there, and nothing else
	if err := os.Remove(d.path("release")); err != nil {
		t.Fatal(err)
	}
	d.expect(exitFailed, "only a system that milepost-firmware made", path)
	for _, args := range [][]string{nil, {"a", "b"}} {
		if got := milepost(nil, append([]string{"update"}, args...)...); got.code != exitUsage {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
