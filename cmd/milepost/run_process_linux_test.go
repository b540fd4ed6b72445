package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"milepost/cmd/internal/status"
)

// gatewayProcess is a milepost run that is a process of its own, with the socket
// at which it tells systemd how it is.
type gatewayProcess struct {
	t       testing.TB
	command *exec.Cmd
	stderr  *bytes.Buffer // to be read when it has ended
	notify  *net.UnixConn
}

// startProcess starts it and waits until it is ready.
func startProcess(t testing.TB, config string, environment ...string) *gatewayProcess {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	command, _, stderr := process(t, "run", config)
	if path := os.Getenv("MILEPOST_BINARY"); path != "" { // smaller than the tests'
		command.Path = path
	}
	command.Env = append(append(command.Env, "NOTIFY_SOCKET="+socket.LocalAddr().String()), environment...)
	start(t, command)
	g := &gatewayProcess{t, command, stderr, socket}
	g.await("READY=1")
	return g
}

// await waits until it has told systemd something.
func (g *gatewayProcess) await(line string) {
	g.t.Helper()
	g.notify.SetReadDeadline(time.Now().Add(30 * time.Second))
	said := make([]byte, 1000)
	for {
		n, err := g.notify.Read(said)
		if err != nil {
			g.kill()
			g.t.Fatalf("it does not say %s: %v\n%s", line, err, g.stderr)
		}
		if slices.Contains(strings.Split(string(said[:n]), "\n"), line) {
			return
		}
	}
}

// reload has it read its configuration again and waits until it has.
func (g *gatewayProcess) reload() {
	g.t.Helper()
	g.command.Process.Signal(syscall.SIGHUP)
	g.await("RELOADING=1")
	g.await("READY=1")
}

// terminate stops it as systemd does and returns what it said.
func (g *gatewayProcess) terminate() string {
	g.t.Helper()
	g.command.Process.Signal(syscall.SIGTERM)
	if code := exitCode(g.t, g.command); code != 0 {
		g.t.Fatalf("exit code %d\n%s", code, g.stderr)
	}
	return g.stderr.String()
}

func (g *gatewayProcess) kill() {
	if g.command.ProcessState == nil {
		g.command.Process.Kill()
		g.command.Wait()
	}
}

// sensorsOnly is a configuration that runs on any machine: a receiver that is not
// there, and the gateway's own ledger each second.
func sensorsOnly(t *testing.T, dir, rest string) string {
	t.Helper()
	return writeFile(t, dir, "milepost.yaml", "device: van-17\nsensors: [{name: position, type: gpsd, server: \"127.0.0.1:1\"}]\ndedup: {exception: {enabled: false}}\n"+rest)
}

// hangingServer accepts connections and says nothing.
func hangingServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		var held []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		for _, conn := range held {
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

// A sink that hangs does not keep a stop from ending, nor does it lose anything.
func TestRunDrain(t *testing.T) {
	dir := t.TempDir()
	sink := "sinks: [{name: broker, type: mqtt, url: \"mqtt://" + hangingServer(t) + "\"}]\nspool: {dir: spool}\n"
	g := startProcess(t, sensorsOnly(t, dir, sink+"power: {drain: 200ms}\n"))
	if said := g.terminate(); !strings.Contains(said, "the rest waits in the spool") {
		t.Errorf("it does not tell where the records are:\n%s", said)
	}
	if got := milepost(nil, "spool", "verify", filepath.Join(dir, "spool")); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	// Who cannot wait asks twice.
	g = startProcess(t, sensorsOnly(t, dir, sink+"power: {drain: 1h}\n"))
	g.command.Process.Signal(syscall.SIGTERM)
	g.await("STOPPING=1")
	ended := make(chan error, 1)
	go func() { ended <- g.command.Wait() }()
	for {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("%v\n%s", err, g.stderr)
			}
			return
		case <-time.After(10 * time.Millisecond):
			g.command.Process.Signal(syscall.SIGTERM) // the first one may just be handled
		}
	}
}

// Of two gateways with one spool the second says so and ends.
func TestRunLockedSpool(t *testing.T) {
	dir := t.TempDir()
	config := sensorsOnly(t, dir, "sinks: [{name: file, type: file, path: records.jsonl}]\nspool: {dir: spool}\n")
	g := startProcess(t, config)
	got := milepost(nil, "run", config)
	if got.code != exitFailed || !strings.Contains(got.stderr, filepath.Join(dir, "spool")) || !strings.Contains(got.stderr, "in use") {
		t.Errorf("exit code %d\n%s", got.code, got.stderr)
	}
	if report, err := status.Ask(context.Background(), filepath.Join(dir, "spool")); err != nil || report.PID != g.command.Process.Pid {
		t.Errorf("the first one does not answer any more: %v", err)
	}
	g.terminate()
}

// A gateway whose disk cannot be written to runs, and says what the matter is.
func TestRunBrokenDisk(t *testing.T) {
	for _, broken := range []struct{ name, options string }{{"full", "size=4k"}, {"read-only", "ro"}} {
		t.Run(broken.name, func(t *testing.T) {
			disk := filepath.Join(t.TempDir(), "disk")
			if err := os.Mkdir(disk, 0o755); err != nil {
				t.Fatal(err)
			}
			flags, options := uintptr(0), broken.options
			if options == "ro" {
				flags, options = syscall.MS_RDONLY, ""
			}
			if err := syscall.Mount("tmpfs", disk, "tmpfs", flags, options); err != nil {
				t.Skip("needs the right to mount a file system")
			}
			t.Cleanup(func() { syscall.Unmount(disk, 0) })
			if broken.name == "full" {
				os.WriteFile(filepath.Join(disk, "filler"), make([]byte, 64<<10), 0o644) // as far as it goes
			}
			dir, memory := t.TempDir(), t.TempDir()
			g := startProcess(t, sensorsOnly(t, dir, fmt.Sprintf("sinks: [{name: file, type: file, path: records.jsonl}]\nspool: {dir: %q}\n", filepath.Join(disk, "spool"))), "RUNTIME_DIRECTORY="+memory)
			folders, _ := filepath.Glob(filepath.Join(memory, "milepost-spool-*"))
			if len(folders) != 1 {
				t.Fatalf("no folder in memory: %v", folders)
			}
			report, err := status.Ask(context.Background(), folders[0])
			if err != nil || report.Fallback == "" {
				t.Errorf("%+v, %v", report, err)
			}
			if said := g.terminate(); !strings.Contains(said, "kept in memory") {
				t.Errorf("%s", said)
			}
			if len(jsonLines(t, filepath.Join(dir, "records.jsonl"))) == 0 {
				t.Error("nothing was delivered")
			}
		})
	}
}

// What is wrong with a changed configuration is said, with its place, and the one
// that is in force stays so.
func TestRunReloadInvalid(t *testing.T) {
	dir := t.TempDir()
	const sinks = "sinks: [{name: file, type: file, path: records.jsonl}]\nspool: {dir: spool}\n"
	g := startProcess(t, sensorsOnly(t, dir, sinks))
	sensorsOnly(t, dir, sinks+"priorities: [{signal: frames, priority: hihg}]\n")
	g.reload()
	sensorsOnly(t, dir, strings.Replace(sinks, "spool}", "elsewhere}", 1)+"window: 2s\n")
	g.reload()
	sensorsOnly(t, dir, sinks+"priorities: [{signal: frames, priority: high}]\n") // and this one is well
	g.reload()
	said := g.terminate()
	for _, want := range []string{"milepost.yaml:6:41", "hihg", "window, spool cannot change while the gateway runs", "the configuration is taken over"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	if strings.Count(said, "is not taken over") != 2 {
		t.Errorf("two of three were wrong:\n%s", said)
	}
}

// A gateway that waits for the ignition survives a SIGHUP, and heeds it when it
// runs: here, when the line could not be found for some seconds.
func TestRunReloadWhileWaiting(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for an ignition line that does not come: make test")
	}
	dir := t.TempDir()
	g := startProcess(t, sensorsOnly(t, dir, "spool: {dir: spool}\npower: {ignition: {line: no-such-line}}\n"))
	g.command.Process.Signal(syscall.SIGHUP)
	g.await("STATUS=collecting")
	g.await("RELOADING=1")
	g.await("READY=1")
	if said := g.terminate(); !strings.Contains(said, "the configuration is taken over") {
		t.Errorf("it says\n%s", said)
	}
}

// A gateway that is killed and started again goes on with what it has stored, and
// with records that cannot be taken for those that were lost.
func TestRunKilled(t *testing.T) {
	dir := t.TempDir()
	config := sensorsOnly(t, dir, "sinks: [{name: file, type: file, path: records.jsonl}]\nspool: {dir: spool}\n")
	boots := 2
	for i := range boots {
		g := startProcess(t, config)
		for first := uint64(0); ; { // until something of its own is durable
			report, err := status.Ask(context.Background(), filepath.Join(dir, "spool"))
			if err != nil {
				t.Fatal(err)
			}
			if first == 0 {
				first = report.Spool.Next
			}
			if report.Sinks[0].Sent > 0 && report.Spool.Durable >= first {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if i == boots-1 {
			g.terminate()
		}
		g.kill()
	}
	next := make(map[string]float64)
	lines := make(map[string]string)
	for _, r := range jsonLines(t, filepath.Join(dir, "records.jsonl")) {
		boot, seq := r["boot"].(string), r["seq"].(float64)
		key, text := fmt.Sprint(boot, seq), fmt.Sprint(r)
		if seen, ok := lines[key]; ok && seen != text {
			t.Errorf("two records have one key:\n%s\n%s", seen, text)
		}
		if _, ok := lines[key]; !ok && seq != next[boot]+1 {
			t.Errorf("after record %v of boot %s comes %v", next[boot], boot, seq)
		}
		next[boot], lines[key] = max(next[boot], seq), text
	}
	if len(next) != boots {
		t.Errorf("%d boots: %v", len(next), next)
	}
}

// The watchdog is fed, as often as systemd asks for it.
func TestRunWatchdog(t *testing.T) {
	dir := t.TempDir()
	g := startProcess(t, sensorsOnly(t, dir, "sinks: [{name: file, type: file, path: records.jsonl}]\nspool: {dir: spool}\n"), "WATCHDOG_USEC=300000")
	for range 3 {
		g.await("WATCHDOG=1")
	}
	g.terminate()
}
