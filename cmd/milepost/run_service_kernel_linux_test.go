package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"milepost/can"
	"milepost/cmd/internal/status"
)

const serviceDatabase = `BO_ 256 ENGINE: 2 ECU
 SG_ Speed : 0|8@1+ (1,0) [0|255] "rpm" X
 SG_ Temp : 8|8@1+ (1,-40) [0|255] "C" X
BO_ 257 BRAKE: 1 ECU
 SG_ Pressure : 0|8@1+ (0.5,0) [0|127] "bar" X
`

// addBus makes a virtual bus for the time of a test.
func addBus(t *testing.T, name string) *sender {
	t.Helper()
	ip(t, "link add dev "+name+" type vcan")
	t.Cleanup(func() { exec.Command("ip", "link", "del", name).Run() })
	ip(t, "link set up dev "+name)
	return newSender(t, name)
}

// keepSending sends frames with other payloads each, five a millisecond or so, until
// stop is called. Sent counts those that were sent.
func keepSending(s *sender, id uint32, sent *atomic.Uint64) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for value := 0; ; value++ {
			select {
			case <-quit:
				return
			case <-time.After(time.Millisecond):
			}
			for range 5 {
				s.send(&can.Frame{ID: id, Len: 2, Data: [64]byte{byte(value), 100}})
				sent.Add(1)
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// awaitRead sends frames until the gateway reads the bus, which it may do only after
// it was ready, and counts those that it has received.
func awaitRead(t *testing.T, dir string, number int, s *sender, id uint32, sent *atomic.Uint64) {
	t.Helper()
	received := func() uint64 {
		report, err := status.Ask(context.Background(), filepath.Join(dir, "spool"))
		if err != nil {
			t.Fatal(err)
		}
		return report.Buses[number].Received
	}
	for received() == 0 {
		s.send(&can.Frame{ID: id, Len: 2})
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	sent.Add(received())
}

// deliveredSamples counts the samples of a signal in a file of records, each record
// once. No two records may be of the same series, window and revision.
func deliveredSamples(t *testing.T, path, signal string) (samples uint64) {
	t.Helper()
	records, windows := make(map[string]bool), make(map[string]bool)
	for _, r := range jsonLines(t, path) {
		key := fmt.Sprint(r["boot"], r["seq"])
		if records[key] || r["signal"] != signal {
			continue
		}
		records[key] = true
		window := fmt.Sprint(r["boot"], r["window"], r["bus"], r["message"], r["revision"])
		if windows[window] {
			t.Errorf("two summaries of one window: %v", r)
		}
		windows[window] = true
		samples += uint64(r["count"].(float64))
	}
	return samples
}

// Whatever is changed while frames come, none of them is lost, and none counts
// twice.
func TestKernelReload(t *testing.T) {
	inGuest(t)
	dir := t.TempDir()
	bus := addBus(t, "reload0")
	database := filepath.Join(dir, "van.dbc")
	configure := func(dbc, rest string) {
		t.Helper()
		if err := os.WriteFile(database, []byte(dbc), 0o644); err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, "milepost.yaml", "device: van-17\ndbc: [van.dbc]\nspool: {dir: spool}\nbuses: [{name: reload0}]\ndedup: {exception: {enabled: false}}\n"+rest)
	}
	const file = "{name: file, type: file, path: records.jsonl}"
	const second = "{name: second, type: file, path: second.jsonl}"
	configure(serviceDatabase, "sinks: ["+file+"]\n")
	g := startProcess(t, filepath.Join(dir, "milepost.yaml"))
	var sent atomic.Uint64
	awaitRead(t, dir, 0, bus, 256, &sent)
	stop := keepSending(bus, 256, &sent)
	pause := func() { time.Sleep(1300 * time.Millisecond) } // a window or two
	pause()
	tenfold := strings.Replace(serviceDatabase, "Speed : 0|8@1+ (1,0)", "Speed : 0|8@1+ (10,0)", 1)
	configure(tenfold, "sinks: ["+file+", "+second+"]\npriorities: [{signal: Speed, priority: high}]\n")
	g.reload()
	pause()
	configure(strings.Replace(tenfold, "BO_ 257", "BO_ many", 1), "sinks: ["+file+"]\n")
	g.reload() // a line that is no DBC is a warning, and its message is not known
	pause()
	configure(serviceDatabase, "sinks: [{name: file, typo: file}]\n")
	g.reload()
	configure(strings.Replace(serviceDatabase, " SG_ Temp : 8|8@1+ (1,-40) [0|255] \"C\" X\n", "", 1), "sinks: ["+second+", "+file+"]\n")
	g.reload() // a message has lost a signal, a sink is back
	pause()
	stop()
	said := g.terminate()
	t.Logf("%d frames\n%s", sent.Load(), said)
	if !strings.Contains(said, "milepost.yaml:6:") || !strings.Contains(said, "typo") {
		t.Errorf("it does not say what is wrong, and where")
	}
	if n := deliveredSamples(t, filepath.Join(dir, "records.jsonl"), "Speed"); n != sent.Load() {
		t.Errorf("%d frames were sent, and %d delivered", sent.Load(), n)
	}
	if n := deliveredSamples(t, filepath.Join(dir, "second.jsonl"), "Speed"); n == 0 || n > sent.Load() {
		t.Errorf("the second sink was there for a while: %d frames of %d", n, sent.Load())
	}
	tenfolds := 0
	for _, r := range jsonLines(t, filepath.Join(dir, "records.jsonl")) {
		if r["signal"] == "Speed" && r["max"].(float64) > 255 {
			tenfolds++
		}
	}
	if tenfolds == 0 {
		t.Error("the changed database was never used")
	}
}

// At a stop in the middle of traffic everything that was received is delivered; and
// what was sent before it is received. A kill costs what was not durable, of a
// second or so, and nothing that comes after it.
func TestKernelStop(t *testing.T) {
	inGuest(t)
	dir := t.TempDir()
	bus := addBus(t, "stop0")
	writeFile(t, dir, "van.dbc", serviceDatabase)
	config := writeFile(t, dir, "milepost.yaml", "device: van-17\ndbc: [van.dbc]\nspool: {dir: spool}\nbuses: [{name: stop0}]\ndedup: {exception: {enabled: false}}\nsinks: [{name: file, type: file, path: records.jsonl}]\n")
	var sent atomic.Uint64
	g := startProcess(t, config)
	awaitRead(t, dir, 0, bus, 256, &sent)
	stop := keepSending(bus, 256, &sent)
	time.Sleep(1500 * time.Millisecond)
	before := sent.Load()
	g.command.Process.Signal(syscall.SIGTERM)
	code := exitCode(t, g.command)
	stop()
	delivered := deliveredSamples(t, filepath.Join(dir, "records.jsonl"), "Speed")
	if code != 0 || delivered < before || delivered > sent.Load() {
		t.Errorf("exit code %d; %d frames were sent when it was told to stop, %d when it had, and %d delivered\n%s", code, before, sent.Load(), delivered, g.stderr)
	}
	if !strings.Contains(g.stderr.String(), groupDigits(delivered)+"  frames in\n") {
		t.Errorf("%d were delivered; the account is\n%s", delivered, g.stderr)
	}

	g = startProcess(t, config)
	var lost, kept atomic.Uint64
	stop = keepSending(bus, 257, &lost)
	time.Sleep(3 * time.Second)
	g.kill()
	stop()
	g = startProcess(t, config)
	awaitRead(t, dir, 0, bus, 257, &kept)
	stop = keepSending(bus, 257, &kept)
	time.Sleep(time.Second)
	stop()
	g.terminate()
	pressures := deliveredSamples(t, filepath.Join(dir, "records.jsonl"), "Pressure")
	t.Logf("%d frames before the kill, %d after it, %d delivered", lost.Load(), kept.Load(), pressures)
	if pressures < kept.Load() || pressures > lost.Load()+kept.Load() {
		t.Errorf("%d frames before the kill, %d after it, %d delivered", lost.Load(), kept.Load(), pressures)
	}
	if n := deliveredSamples(t, filepath.Join(dir, "records.jsonl"), "Speed"); n != delivered {
		t.Errorf("of the first run %d frames were delivered, and now there are %d", delivered, n)
	}
}

// A bus that is flooded with frames of one ID, other payloads each, costs what has no
// room and is counted; other buses lose nothing.
func TestKernelFlood(t *testing.T) {
	inGuest(t)
	dir := t.TempDir()
	flooded, calm := addBus(t, "flood0"), addBus(t, "flood1")
	writeFile(t, dir, "van.dbc", serviceDatabase)
	g := startProcess(t, writeFile(t, dir, "milepost.yaml", "device: van-17\ndbc: [van.dbc]\nspool: {dir: spool}\nbuses: [{name: flood0}, {name: flood1}]\ndedup: {exception: {enabled: false}}\nsinks: [{name: file, type: file, path: records.jsonl}]\nwindow: 10ms\n"))
	var sent, first atomic.Uint64
	awaitRead(t, dir, 0, flooded, 256, &first)
	awaitRead(t, dir, 1, calm, 256, &sent)
	stop := keepSending(calm, 256, &sent)
	flood := first.Load()
	for began := time.Now(); time.Since(began) < 3*time.Second; flood++ {
		flooded.send(&can.Frame{ID: 256, Len: 2, Data: [64]byte{byte(flood), byte(flood >> 8)}})
	}
	stop()
	time.Sleep(200 * time.Millisecond)
	pid := g.command.Process.Pid
	peak := usageOf(t, pid).peak
	said := g.terminate()
	var dropped float64
	var delivered, calmly uint64
	for _, r := range jsonLines(t, filepath.Join(dir, "records.jsonl")) {
		switch {
		case r["message"] == "ledger" && (r["signal"] == "dropped" || r["signal"] == "kernel_dropped") && r["sum"] != nil:
			dropped += r["sum"].(float64)
		case r["signal"] == "Speed" && r["bus"] == "flood0":
			delivered += uint64(r["count"].(float64))
		case r["signal"] == "Speed":
			calmly += uint64(r["count"].(float64))
		}
	}
	t.Logf("%d frames in 3 s, %d delivered, %.0f dropped; peak RSS %.1f MiB\n%s", flood, delivered, dropped, float64(peak)/(1<<20), said)
	if delivered+uint64(dropped) != flood {
		t.Errorf("%d frames were sent, %d delivered and %.0f dropped", flood, delivered, dropped)
	}
	if calmly != sent.Load() {
		t.Errorf("%d frames were sent on the other bus, and %d delivered", sent.Load(), calmly)
	}
}
