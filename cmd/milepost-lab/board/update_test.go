package board_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
	"milepost/cmd/milepost-lab/board/control"
	"milepost/uplink/uplinktest/mqttbroker"
	"milepost/uplink/uplinktest/volatiledisk"
)

// TestUpdateImage: an image takes an update and keeps it; gives one up that cannot
// deliver; refuses what it should; and starts after power cuts at random instants of
// updates, restarts and first starts, on a disk that forgets what was not flushed.
// MILEPOST_IMAGE_CUTS says how many (3); no cut is begun in the last quarter of an
// hour of the test's time.
func TestUpdateImage(t *testing.T) {
	boardtest.Require(t)
	f := newFleet(t, board.ARM64)
	f.start()
	f.refuses()
	kept := f.updateIsKept()
	f.updateIsRolledBack()
	f.powerCuts(kept)
}

// fleet is a device with its card, a broker, and a server with bundles.
type fleet struct {
	*testing.T
	machine board.Machine
	dir     string
	disk    *volatiledisk.Disk
	device  *board.Appliance
	broker  *mqttbroker.Broker
	server  string // its address, for the device
	config  string // checksum
	version string // that is kept on the device
	cuts    int
}

// The versions that there are: that of the image, and a later one.
const oldVersion, newVersion = "v1.0.0", "v1.1.0"

func (f *fleet) path(name string) string { return filepath.Join(f.dir, name) }

// must ends the test after an error.
func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func newFleet(t *testing.T, m board.Machine) *fleet {
	f := &fleet{T: t, machine: m, dir: t.TempDir(), version: oldVersion, broker: startBroker(t)}
	said, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f.path("key")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	f.must(os.Rename(f.path("key.pub"), f.path("authorized_keys")))
	_, port, _ := net.SplitHostPort(f.broker.Addr())
	f.must(os.WriteFile(f.path("milepost.yaml"), imageConfig(m, "van-1", port), 0o666))
	f.must(os.WriteFile(f.path("environment"), []byte("MILEPOST_CONFIRM=--within 8m --healthy 10s\n"), 0o666))
	began := time.Now()
	for _, name := range []string{"fleet", "stranger"} {
		f.must(boardtest.Firmware(t.Context(), "key", "-o", f.path(name)))
	}
	for _, version := range []string{newVersion, oldVersion} { // the image that stays is of the old one
		f.must(boardtest.BuildImage(t.Context(), m, f.path("image"), "--version", version, "--system", f.path("system"),
			"--key", f.path("fleet.pem"), "--add", f.path("authorized_keys"), "--add", f.path("milepost.yaml"), "--add", f.path("environment")))
		f.must(boardtest.Firmware(t.Context(), "bundle", "--key", f.path("fleet.key"), "-o", f.path(version+".mpb"), f.path("system")))
	}
	f.must(boardtest.Firmware(t.Context(), "bundle", "--key", f.path("stranger.key"), "-o", f.path("stranger.mpb"), f.path("system")))
	t.Logf("images and bundles made in %.0f s", time.Since(began).Seconds())
	image, err := os.ReadFile(f.path("image"))
	f.must(err)
	f.disk, err = volatiledisk.New(append(image, make([]byte, 64<<20)...), volatiledisk.Options{})
	f.must(err)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	server := &http.Server{Handler: http.FileServer(http.Dir(f.dir))}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	f.server = "http://" + net.JoinHostPort(control.Host, port)
	return f
}

// start switches the device on and waits until it can be logged in to.
func (f *fleet) start() {
	f.Helper()
	if f.device != nil {
		f.device.Stop()
	}
	f.device = boardtest.StartAppliance(f.T, board.ApplianceOptions{Machine: f.machine, Image: f.path("image"), Disk: f.disk, SSH: true})
	for deadline := time.Now().Add(imagePatience); ; {
		_, err := f.try("true")
		if err == nil {
			return
		}
		select {
		case <-f.device.Ended():
			if f.restarts() {
				return
			}
		case <-time.After(time.Second):
		}
		if time.Now().After(deadline) {
			f.Fatalf("nobody can log in: %v", err)
		}
	}
}

// restarts starts a device again that is off by its own will: a system on trial was
// given up before anybody could log in.
func (f *fleet) restarts() bool {
	if f.Failed() {
		return false
	}
	f.Log("the device restarts")
	f.start()
	return true
}

// try runs a command on the device.
func (f *fleet) try(command string) (string, error) {
	ctx, cancel := context.WithTimeout(f.Context(), 5*time.Minute)
	defer cancel()
	return f.device.Run(ctx, f.path("key"), command)
}

func (f *fleet) run(command string) string {
	f.Helper()
	said, err := f.try(command)
	f.must(err)
	return said
}

// deviceState is what a device says of itself.
type deviceState struct {
	Running string `json:"running"`
	Active  string `json:"active"`
	Trial   string `json:"trial"`
	Outcome string `json:"last_trial"`
	Reason  string `json:"reason"`

	version string
}

// state waits until there is no trial under way, through a restart if need be.
func (f *fleet) state() (s deviceState) {
	f.Helper()
	for deadline := time.Now().Add(imagePatience); ; {
		said, err := f.try("milepost update status --json && cat /etc/milepost-release")
		if err == nil {
			object, release, _ := strings.Cut(said, "\n}\n")
			s = deviceState{}
			f.must(json.Unmarshal([]byte(object+"}"), &s))
			_, release, _ = strings.Cut(release, "MILEPOST_VERSION=")
			s.version, _, _ = strings.Cut(release, "\n")
			if s.Trial == "none" && s.Running == s.Active {
				return s
			}
		}
		select {
		case <-f.device.Ended():
			f.start()
		case <-time.After(2 * time.Second):
		}
		if time.Now().After(deadline) {
			f.Fatalf("the trial does not end: %+v, %v", s, err)
		}
	}
}

// ends waits until the device is off.
func (f *fleet) ends() {
	f.Helper()
	select {
	case <-f.device.Ended():
	case <-time.After(imagePatience):
		f.Fatal("the device does not restart")
	}
}

// refuses: what is signed by somebody else, damaged, or not newer. Nothing of the
// state changes.
func (f *fleet) refuses() {
	body, err := os.ReadFile(f.path(newVersion + ".mpb"))
	f.must(err)
	body[len(body)/2] ^= 1
	f.must(os.WriteFile(f.path("damaged.mpb"), body, 0o666))
	for name, says := range map[string]string{
		"stranger": "does not trust",
		"damaged":  "not what was signed",
		oldVersion: "not newer",
		"no-such":  "404",
	} {
		said, err := f.try("milepost update " + f.server + "/" + name + ".mpb")
		if err == nil || !strings.Contains(err.Error(), says) {
			f.Errorf("%s: %s, %v; want %q", name, said, err, says)
		}
	}
	if s := f.state(); s.version != oldVersion || s.Active != "A" {
		f.Errorf("%+v", s)
	}
	f.config = f.run("sha256sum /etc/milepost/*")
}

// updateIsKept takes an update, and says how long that takes until it is kept.
func (f *fleet) updateIsKept() time.Duration {
	began := time.Now()
	f.Log(f.run("milepost update --restart " + f.server + "/" + newVersion + ".mpb"))
	f.Logf("written after %.0f s", time.Since(began).Seconds())
	f.ends()
	f.Logf("down after %.0f s", time.Since(began).Seconds())
	f.start()
	s := f.state()
	took := time.Since(began)
	f.Logf("kept after %.0f s: %+v", took.Seconds(), s)
	if s.version != newVersion || s.Outcome != "kept" || s.Active != "B" {
		f.Errorf("not kept: %+v", s)
	}
	f.version = newVersion
	f.intact()
	return took
}

// updateIsRolledBack: a system that cannot deliver is given up, and the device is
// back without anybody's help.
func (f *fleet) updateIsRolledBack() {
	began := time.Now()
	f.run("echo 'MILEPOST_CONFIRM=--within 4m --healthy 10s' >/etc/milepost/environment.new && mv /etc/milepost/environment.new /etc/milepost/environment && sync")
	f.run("milepost update --downgrade --restart " + f.server + "/" + oldVersion + ".mpb")
	f.ends()
	f.must(f.broker.Stop())
	f.start()
	s := f.state()
	f.Logf("rolled back after %.0f s: %+v", time.Since(began).Seconds(), s)
	if s.version != newVersion || s.Outcome != "rolled back" || s.Active != "B" || !strings.Contains(s.Reason, "broker") {
		f.Errorf("not rolled back: %+v", s)
	}
	f.must(f.broker.Restart())
	f.run("echo 'MILEPOST_CONFIRM=--within 8m --healthy 10s' >/etc/milepost/environment.new && mv /etc/milepost/environment.new /etc/milepost/environment && sync")
	f.config = f.run("sha256sum /etc/milepost/*")
	f.intact()
}

// intact: the configuration is what it was, the spool is sound, and the gateway
// runs and delivers.
func (f *fleet) intact() {
	f.Helper()
	if got := f.run("sha256sum /etc/milepost/*"); got != f.config {
		f.Errorf("the configuration was\n%s, is\n%s", f.config, got)
	}
	received := len(f.broker.Messages())
	for deadline := time.Now().Add(imagePatience); len(f.broker.Messages()) == received; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.Fatalf("nothing is delivered: %s", f.run("milepost status; systemctl status milepost; true"))
		}
	}
	if said := f.run("milepost spool verify /var/lib/milepost/spool 2>&1 || true"); strings.Contains(said, "missing") && !strings.Contains(said, " 0 missing") {
		f.Errorf("the spool: %s", said)
	}
}

// powerCuts cuts the power at random instants of updates, from the command until
// the system would be kept.
func (f *fleet) powerCuts(span time.Duration) {
	cuts := cutsWanted(f.T, "MILEPOST_IMAGE_CUTS", 3)
	deadline, limited := f.Deadline()
	outcomes := map[string]int{}
	for n := range cuts {
		if limited && time.Until(deadline) < 15*time.Minute {
			f.Logf("no time for more than %d of %d cuts", n, cuts)
			break
		}
		seed := uint64(n) + 1
		random := rand.New(rand.NewPCG(seed, 99))
		target := newVersion
		if f.version == newVersion {
			target = oldVersion
		}
		at := time.Duration(random.Float64() * float64(span))
		if n%2 == 0 { // half of them while the slot is written
			at = time.Duration(random.Float64() * float64(span) / 4)
		}
		disk := f.disk
		timer := time.AfterFunc(at, func() { disk.Cut(seed) })
		began := time.Now()
		_, err := f.try("milepost update --downgrade --restart " + f.server + "/" + target + ".mpb")
		what := "during the update"
		if err == nil {
			what = "between update and start"
		}
		for cut := false; !cut; {
			select {
			case <-disk.Gone():
				cut = true
			case <-f.device.Ended():
				select {
				case <-disk.Gone():
					cut = true
				default:
					what = "during the first start, or the trial"
					f.device.Stop()
					f.device = boardtest.StartAppliance(f.T, board.ApplianceOptions{Machine: f.machine, Image: f.path("image"), Disk: disk, SSH: true})
				}
			}
		}
		timer.Stop()
		f.device.Stop()
		f.cuts++
		restarted, err := disk.Restart(volatiledisk.Options{})
		f.must(err)
		f.disk = restarted
		up := time.Now()
		f.start()
		s := f.state()
		switch s.version {
		case f.version:
			what += ": the old version"
		case target:
			what += ": the new version"
		default:
			f.Errorf("version %q starts, neither %s nor %s", s.version, f.version, target)
		}
		outcomes[what]++
		f.Logf("cut %d after %.1f s, %v: %s, %s, after %.0f s", n+1, up.Sub(began).Seconds(), disk.Report(), what, s.Outcome, time.Since(up).Seconds())
		f.version = s.version
		f.intact()
	}
	f.Logf("%d power cuts: %v", f.cuts, outcomes)
}
