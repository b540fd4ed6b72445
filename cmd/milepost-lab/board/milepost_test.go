package board_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/cantest"
	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
	"milepost/cmd/milepost-lab/board/control"
	"milepost/uplink/uplinktest/mqttbroker"
)

// host is this machine, as a target of a build.
var host = board.Machine{Name: "host"}

// recordDrive writes the log of a simulated drive and its database.
func recordDrive(t *testing.T) (log, database string) {
	t.Helper()
	dir := t.TempDir()
	log, database = filepath.Join(dir, "drive.log"), filepath.Join(dir, "demo.dbc")
	if err := os.WriteFile(database, cantest.DemoDBC(), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	drive := cantest.NewDrive(cantest.DriveOptions{Duration: 10 * time.Second, Seed: 1})
	w := canlog.NewWriter(file, canlog.WriterOptions{})
	frames := make([]can.Frame, 256)
	for {
		n, err := drive.Read(frames)
		if e := w.Write(frames[:n], drive.Buses()); e != nil {
			t.Fatal(e)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return log, database
}

// digest is of all that a broker has received, whatever the order: what is sent
// again after a cut comes twice.
func digest(t *testing.T, broker *mqttbroker.Broker) (sum string, messages int) {
	t.Helper()
	var all []string
	for _, m := range broker.Messages() {
		all = append(all, m.Topic+" "+string(m.Payload))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(all, "\n")))), len(all)
}

func startBroker(t *testing.T) *mqttbroker.Broker {
	t.Helper()
	broker, err := mqttbroker.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Stop() })
	return broker
}

// replay is the command line for a log and a broker.
func replay(program, log, database, broker string) []string {
	return []string{program, "replay", "--quiet", "--device", "van", "--give-up", "0", "--dbc", database, "--to", "mqtt://" + broker, log}
}

// TestBoardMilepost: the product, as it is cross-compiled, runs on the board and
// delivers the same records as on the host, although its link is cut meanwhile.
func TestBoardMilepost(t *testing.T) {
	boardtest.Require(t)
	log, database := recordDrive(t)
	here := startBroker(t)
	args := replay(boardtest.Milepost(t, host), log, database, here.Addr())
	if said, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("on the host: %v: %s", err, said)
	}
	want, messages := digest(t, here)
	if messages == 0 {
		t.Fatal("the host's replay has delivered nothing")
	}
	onMachines(t, func(t *testing.T, m board.Machine) {
		b := boardtest.Start(t, board.Options{Machine: m, Files: map[string]string{
			"/usr/bin/milepost": boardtest.Milepost(t, m), "/etc/demo.dbc": database, "/var/drive.log": log,
		}})
		version, err := b.Run(t.Context(), "/usr/bin/milepost", "version")
		if err != nil || !strings.Contains(string(version), "linux/arm") {
			t.Errorf("milepost version says %q: %v", version, err)
		}

		there := startBroker(t)
		_, port, err := net.SplitHostPort(there.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.SetLink(false); err != nil {
			t.Fatal(err)
		}
		waitCarrier(t, b, "0")
		begin := time.Now()
		run, err := b.StartProgram(t.Context(), control.Program{Args: replay("/usr/bin/milepost", "/var/drive.log", "/etc/demo.dbc", net.JoinHostPort(control.Host, port))})
		if err != nil {
			t.Fatal(err)
		}
		waitRefused(t, b)
		if _, n := digest(t, there); n > 0 {
			t.Errorf("%d messages have come through a link that is cut", n)
		}
		if err := b.SetLink(true); err != nil {
			t.Fatal(err)
		}
		waitCarrier(t, b, "1")
		exit, err := run.Wait(t.Context())
		if err != nil || exit.Code != 0 {
			t.Fatalf("the replay: %+v: %v", exit, err)
		}
		got, n := digest(t, there)
		if got != want {
			t.Errorf("the board has delivered %d messages with digest %s, the host %d with %s", n, got, messages, want)
		}
		t.Logf("%d messages in %.1f s, with the link cut at the beginning", n, time.Since(begin).Seconds())
	})
}

// waitRefused waits until the guest has tried to send packets over the link and
// could not.
func waitRefused(t *testing.T, b *board.Board) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		sockets, err := b.ReadFile(t.Context(), "/proc/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		// State 02 is SYN_SENT: a connection that nobody answers.
		for line := range strings.Lines(string(sockets)) {
			if fields := strings.Fields(line); len(fields) > 3 && fields[3] == "02" {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the guest does not try to connect: %s", sockets)
		}
	}
}
