package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/cantest"
	"milepost/can/socketcan"
	"milepost/cmd/milepost-lab/uml"
)

// inGuest skips a test that needs a kernel of its own.
func inGuest(t testing.TB) {
	t.Helper()
	if os.Getenv(uml.Variable) == "" {
		t.Skip("CAN interfaces need a kernel of their own: `make test-kernel`")
	}
}

// ip runs ip(8).
func ip(t testing.TB, arguments string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", arguments, err, out)
	}
}

// sender is a node on a CAN bus.
type sender struct {
	t  testing.TB
	fd int
}

func newSender(t testing.TB, name string) *sender {
	t.Helper()
	link, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: link.Index}); err != nil {
		t.Fatal(err)
	}
	return &sender{t, fd}
}

// send writes a classical frame, struct can_frame of linux/can.h.
func (s *sender) send(f *can.Frame) {
	s.t.Helper()
	var b [16]byte
	id := f.ID
	if f.Is(can.Extended) {
		id |= unix.CAN_EFF_FLAG
	}
	binary.NativeEndian.PutUint32(b[:], id)
	b[4] = f.Len
	copy(b[8:], f.Data[:8])
	for {
		_, err := unix.Write(s.fd, b[:])
		if err == nil {
			return
		}
		if err != unix.ENOBUFS {
			s.t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // the interface's queue is full
	}
}

// record writes what comes over a bus as a candump log, until stop is called.
func record(t *testing.T, name, path string) (stop func() uint64) {
	t.Helper()
	socket, err := socketcan.Open(socketcan.Options{Interface: name, ReceiveBuffer: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := canlog.NewWriter(file, canlog.WriterOptions{})
	done := make(chan uint64)
	go func() {
		frames := make([]can.Frame, 64)
		var total uint64
		for {
			n, err := socket.Read(frames)
			total += uint64(n)
			if w.Write(frames[:n], socket.Buses()) != nil || err != nil {
				break
			}
		}
		if err := w.Flush(); err != nil {
			t.Error(err)
		}
		done <- total
	}()
	return func() uint64 {
		// What was sent is in the socket: it is read before the deadline counts.
		if err := socket.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		total := <-done
		socket.Close()
		file.Close()
		return total
	}
}

// gatewayConfig is a configuration with a file as its sink.
func gatewayConfig(t *testing.T, dir, database, rest string) string {
	t.Helper()
	path := filepath.Join(dir, "milepost.yaml")
	text := fmt.Sprintf(`device: van-17
dbc: [%s]
spool: {dir: spool}
sinks: [{name: file, type: file, path: records.jsonl}]
%s`, database, rest)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// running is a milepost run in this process.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	code   chan int
	stderr bytes.Buffer
}

// startGateway runs a configuration and waits until it is ready.
func startGateway(t *testing.T, config string) *running {
	t.Helper()
	r := &running{t: t, code: make(chan int, 1)}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	inv := &invocation{args: []string{"run", config}, stdin: strings.NewReader(""), stdout: &r.stderr, stderr: &r.stderr,
		getenv: func(name string) (string, bool) { return socket.LocalAddr().String(), name == "NOTIFY_SOCKET" }}
	go func() { r.code <- inv.run(ctx) }()
	said := make([]byte, 100)
	socket.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := socket.Read(said)
	if err != nil || !strings.HasPrefix(string(said[:n]), "READY=1") {
		cancel()
		t.Fatalf("%q, %v\n%s", said[:n], err, &r.stderr)
	}
	return r
}

// stop ends it and returns the records of its file.
func (r *running) stop(dir string) []map[string]any {
	r.t.Helper()
	r.cancel()
	if code := <-r.code; code != 0 {
		r.t.Fatalf("exit code %d\n%s", code, &r.stderr)
	}
	return jsonLines(r.t, filepath.Join(dir, "records.jsonl"))
}

func jsonLines(t *testing.T, path string) (records []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

// summaries are the records of a bus without what tells runs apart, sorted.
func summaries(records []map[string]any) (all []string) {
	for _, r := range records {
		if _, bus := r["id"]; !bus {
			continue // the gateway's own
		}
		for _, key := range []string{"device", "boot", "seq", "clock", "uptime", "moved"} {
			delete(r, key)
		}
		text, err := json.Marshal(r)
		if err != nil {
			panic(err) // it was JSON
		}
		all = append(all, string(text))
	}
	slices.Sort(all)
	return all
}

// What a gateway makes of a drive that is played onto buses is what a replay makes
// of the recordings of these buses, record by record: counts, sums, histograms, all.
func TestKernelRun(t *testing.T) {
	inGuest(t)
	dir := t.TempDir()
	drive := cantest.NewDrive(cantest.DriveOptions{Duration: 6 * time.Second})
	database := filepath.Join(dir, "drive.dbc")
	if err := os.WriteFile(database, cantest.DemoDBC(), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"replay", "--quiet", "--dbc", database, "--to", "jsonl", "-o", filepath.Join(dir, "replayed.jsonl")}
	var senders []*sender
	var stopRecording []func() uint64
	for _, name := range []string{"drive0", "drive1"} {
		ip(t, "link add dev "+name+" type vcan")
		t.Cleanup(func() { exec.Command("ip", "link", "del", name).Run() })
		ip(t, "link set up dev "+name)
		senders = append(senders, newSender(t, name))
		log := filepath.Join(dir, name+".log")
		stopRecording = append(stopRecording, record(t, name, log))
		args = append(args, log)
	}
	gateway := startGateway(t, gatewayConfig(t, dir, database, "buses: [{name: drive0}, {name: drive1}]\ndedup: {exception: {enabled: false}}\n"))

	paced := canlog.NewReplayer(drive, 1)
	frames := make([]can.Frame, 16)
	sent, recorded := uint64(0), uint64(0)
	for {
		n, err := paced.Read(frames)
		for i := range frames[:n] {
			senders[frames[i].Bus].send(&frames[i])
			sent++
		}
		if err != nil {
			break
		}
	}
	for _, stop := range stopRecording {
		recorded += stop()
	}
	live := gateway.stop(dir)
	t.Logf("%d frames sent, %d recorded, %d records\n%s", sent, recorded, len(live), &gateway.stderr)
	if recorded != sent {
		t.Errorf("%d frames were sent, and %d recorded", sent, recorded)
	}

	var out, messages bytes.Buffer
	inv := &invocation{args: args, stdin: strings.NewReader(""), stdout: &out, stderr: &messages, getenv: os.LookupEnv}
	if code := inv.run(t.Context()); code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, &messages)
	}
	got, want := summaries(live), summaries(jsonLines(t, filepath.Join(dir, "replayed.jsonl")))
	if len(got) < 1000 || !slices.Equal(got, want) {
		t.Errorf("%d summaries live, %d replayed, and they are not the same", len(got), len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("live   %s\nreplay %s", got[i], want[i])
			}
		}
	}
}
