package board_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
	"milepost/cmd/milepost-lab/board/control"
	"milepost/uplink"
	"milepost/uplink/uplinktest/mqttbroker"
)

// imagePatience is for a board that is emulated on a machine under load: half a
// minute is usual.
const imagePatience = 10 * time.Minute

// diskSize is larger than the image, so that the data partition has to grow.
const diskSize = 1 << 30

// imageConfig has the gateway read a line that every board has.
func imageConfig(m board.Machine, device, port string) []byte {
	chip, line := "9030000.pl061", "0"
	if m.Name == board.RaspberryPi3.Name {
		chip, line = "pinctrl-bcm2835", "17"
	}
	return fmt.Appendf(nil, `device: %s
sensors:
  - {name: input, type: level, chip: %s, line: "%s", interval: 1s}
dedup: {exception: {enabled: false}}
sinks:
  - {name: broker, type: mqtt, url: "mqtt://%s"}
`, device, chip, line, net.JoinHostPort(control.Host, port))
}

// TestBoardImage: what a user does with an image, from the card's first start on.
func TestBoardImage(t *testing.T) {
	boardtest.Require(t)
	for _, m := range []board.Machine{board.ARM64, board.ARM32, board.RaspberryPi3} {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			u := &imageUser{T: t, machine: m, disk: boardtest.Image(t, m, diskSize), broker: startBroker(t), boots: map[uplink.BootID]bool{}}
			_, u.port, _ = net.SplitHostPort(u.broker.Addr())
			u.firstStart()
			u.startWithKey()
			u.startWithOtherConfiguration()
		})
	}
}

// imageUser is somebody with a card, a board and a broker.
type imageUser struct {
	*testing.T
	machine board.Machine
	disk    string
	key     string // the private one
	broker  *mqttbroker.Broker
	port    string
	boots   map[uplink.BootID]bool // of which records have come
}

func (u *imageUser) put(name string, body []byte) {
	u.Helper()
	if err := board.WriteBootFile(u.Context(), u.disk, name, body); err != nil {
		u.Fatal(err)
	}
}

func (u *imageUser) start() *board.Appliance {
	u.Helper()
	return boardtest.StartAppliance(u.T, board.ApplianceOptions{Machine: u.machine, Image: u.disk, SSH: true})
}

// waitRecord waits for a record that a test is glad of, and says after which time
// of a board's it came.
func (u *imageUser) waitRecord(a *board.Appliance, what string, glad func(r uplink.Record) bool) uplink.Record {
	u.Helper()
	for deadline := time.Now().Add(imagePatience); ; time.Sleep(100 * time.Millisecond) {
		for _, m := range u.broker.Messages() {
			for line := range bytes.Lines(m.Payload) {
				r, err := uplink.DecodeJSON(line)
				if err != nil {
					u.Fatal(err)
				}
				if glad(r) {
					u.Logf("%s: %s after %.1f s", u.machine, what, m.Received.Sub(a.Began()).Seconds())
					return r
				}
			}
		}
		select {
		case <-a.Ended():
			u.Fatalf("the board is off; no record has come: %s", what)
		default:
		}
		if time.Now().After(deadline) {
			u.Fatalf("in %v no record has come: %s", imagePatience, what)
		}
	}
}

// firstStart: a configuration on the boot partition is all that a new card needs.
func (u *imageUser) firstStart() {
	u.put("milepost.yaml", imageConfig(u.machine, "van-1", u.port))
	a := u.start()
	defer a.Stop() // the power goes
	r := u.waitRecord(a, "from power-on of a new card to the first summary at the broker", func(r uplink.Record) bool { return r.Group.Name == "input" })
	if r.Device != "van-1" {
		u.Errorf("the first record is %+v", r)
	}
	u.boots[r.Boot] = true
	u.checkNoSSH(a)
}

// checkNoSSH: nobody answers at the port, on a system that is up.
func (u *imageUser) checkNoSSH(a *board.Appliance) {
	u.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+a.SSHPort)
	if err != nil {
		return
	}
	defer conn.Close() // QEMU has answered; the board, which is asked then, has not
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); n > 0 {
		u.Errorf("SSH answers without a key: %v", err)
	}
}

// startWithKey: with a key on the boot partition there is SSH, and the system is
// what docs/images.md says. The broker is away meanwhile, and the power goes while
// there are records in the spool.
func (u *imageUser) startWithKey() {
	u.key = filepath.Join(u.TempDir(), "key")
	if said, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", u.key).CombinedOutput(); err != nil {
		u.Fatalf("%v: %s", err, said)
	}
	public, err := os.ReadFile(u.key + ".pub")
	if err != nil {
		u.Fatal(err)
	}
	u.put("authorized_keys", public)
	if err := u.broker.Stop(); err != nil {
		u.Fatal(err)
	}
	a := u.start()
	defer a.Stop()
	u.waitSSH(a)
	checkSystem(u.T, u.machine, func(command string) (string, error) { return a.Run(u.Context(), u.key, command) })
	u.waitStored(a)
}

func (u *imageUser) waitSSH(a *board.Appliance) {
	u.Helper()
	ctx, cancel := context.WithTimeout(u.Context(), imagePatience)
	defer cancel()
	for {
		_, err := a.Run(ctx, u.key, "true")
		if err == nil {
			u.Logf("%s: SSH after %.1f s", u.machine, time.Since(a.Began()).Seconds())
			return
		}
		select {
		case <-a.Ended():
			u.Fatal("the board is off")
		case <-ctx.Done():
			u.Fatal(err)
		case <-time.After(time.Second):
		}
	}
}

// waitStored waits until the spool, on the disk, has records that the broker has
// not. Their names are as long as the boot lasts: nothing has been delivered.
func (u *imageUser) waitStored(a *board.Appliance) {
	u.Helper()
	for deadline := time.Now().Add(imagePatience); ; time.Sleep(time.Second) {
		said, err := a.Run(u.Context(), u.key, `milepost spool dump /var/lib/milepost/spool | grep -c '"message":"input"'; sync`)
		if n := 0; err == nil {
			if fmt.Sscan(said, &n); n > 3 {
				u.Logf("%d records are in the spool when the power goes", n)
				return
			}
		}
		if time.Now().After(deadline) {
			u.Fatalf("nothing gets into the spool: %s: %v", said, err)
		}
	}
}

// startWithOtherConfiguration: after the cut, what was in the spool is delivered; a
// configuration that has changed on the boot partition is in force; and without a
// key there, SSH is off again.
func (u *imageUser) startWithOtherConfiguration() {
	u.put("milepost.yaml", imageConfig(u.machine, "van-2", u.port))
	if err := board.RemoveBootFile(u.Context(), u.disk, "authorized_keys"); err != nil {
		u.Fatal(err)
	}
	if err := u.broker.Restart(); err != nil {
		u.Fatal(err)
	}
	a := u.start()
	defer a.Stop()
	r := u.waitRecord(a, "the first summary with the new configuration", func(r uplink.Record) bool { return r.Device == "van-2" })
	u.boots[r.Boot] = true
	old := u.waitRecord(a, "a summary that was in the spool when the power went", func(r uplink.Record) bool { return !u.boots[r.Boot] })
	if old.Device != "van-1" {
		u.Errorf("a record of before the cut is of %q", old.Device)
	}
	u.checkNoSSH(a)
}

// checkSystem checks a system that runs.
func checkSystem(t *testing.T, m board.Machine, run func(command string) (string, error)) {
	for _, c := range []struct {
		what, command string
		ok            func(said string) bool
	}{
		{"the system runs without a failed unit", "systemctl is-system-running --wait; systemctl --failed --no-legend", is("running")},
		{"the gateway's unit is active", "systemctl is-active milepost.service", is("active")},
		{"no account has a password", "cut -d: -f2 /etc/shadow | sort -u", is("*")},
		{"the system is read-only", "touch /usr/x 2>&1 || touch /x 2>&1", contains("Read-only file system")},
		{"the journal is in memory", "ls -d /run/log/journal; ls -d /var/log/journal 2>&1", contains("/run/log/journal\nls: cannot access")},
		{"data has grown", "df --output=size -m /data | tail -n 1", func(said string) bool { n := 0; fmt.Sscan(said, &n); return n > 300 }},
		{"the boot partition is read-only and root's alone", "findmnt -no OPTIONS /boot", contains("ro,", "dmask=0077")},
		{"the configuration is not for everybody", "stat -c '%a %U %G' /etc/milepost/milepost.yaml", is("640 root milepost")},
		{"the machine's ID lasts", "cat /etc/machine-id /data/system/machine-id | sort -u | wc -l", is("1")},
		{"the name is the device's", "cat /proc/sys/kernel/hostname", is("van-1")},
		{"slot A runs", "grep started /run/milepost-boot", is("started=A")},
		{"milepost says so", "milepost update status", contains("A")},
		{"packages are listed", "grep -c . /usr/share/milepost/packages", func(said string) bool { n := 0; fmt.Sscan(said, &n); return n > 50 }},
	} {
		said, err := run(c.command + "; true")
		if err != nil || !c.ok(strings.TrimSpace(said)) {
			t.Errorf("%s: %s: %v\n%s", c.what, c.command, err, said)
		}
	}
	checkPorts(t, run)
	if said, err := run("systemd-analyze time; systemd-analyze blame | head -n 8; free -m"); err == nil {
		t.Log(said)
	}
	if m.Name == board.ARM64.Name { // the others of QEMU have no watchdog that works
		said, err := run("systemctl show -p RuntimeWatchdogUSec; systemctl show -p WatchdogDevice; cat /sys/class/watchdog/watchdog0/state")
		if err != nil || strings.Contains(said, "RuntimeWatchdogUSec=0") || !strings.Contains(said, "\nactive") {
			t.Errorf("the watchdog is not on: %s: %v", said, err)
		}
	}
}

// checkPorts: what listens is what docs/images.md lists: SSH, where there is a key,
// and the client of DHCP.
func checkPorts(t *testing.T, run func(command string) (string, error)) {
	said, err := run("ss -Hlntu")
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(said) {
		f := strings.Fields(line)
		if len(f) < 5 {
			t.Errorf("ss says %q", line)
			continue
		}
		_, port, _ := cutLast(f[4], ":")
		if what := f[0] + " " + port; what != "tcp 22" && what != "udp 68" && what != "udp 546" {
			t.Errorf("something listens: %s", line)
		}
	}
	if !strings.Contains(said, ":22 ") {
		t.Errorf("SSH does not listen, or nothing was seen: %s", said)
	}
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

func is(want string) func(string) bool { return func(said string) bool { return said == want } }

func contains(parts ...string) func(string) bool {
	return func(said string) bool {
		for _, part := range parts {
			if !strings.Contains(said, part) {
				return false
			}
		}
		return true
	}
}
