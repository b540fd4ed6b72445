package main

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"milepost/uplink/uplinktest/mqttbroker"
)

// TestKernelFirstRecord measures how long it takes from the start of the process
// until the first record is delivered, to a file and to a broker, on a bus that is
// never silent, started at several times of a second: a window has to end first.
// That is printed and not judged, and tells something on a quiet machine only.
func TestKernelLoadFirstRecord(t *testing.T) {
	if os.Getenv("MILEPOST_LOAD") == "" {
		t.Skip("MILEPOST_LOAD is not set: `make load` measures this")
	}
	inGuest(t)
	bus := addBus(t, "first0")
	broker, err := mqttbroker.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Stop()
	var sent atomic.Uint64
	defer keepSending(bus, 256, &sent)()

	const rounds = 4
	for round := range rounds {
		dir := t.TempDir()
		database := filepath.Join(dir, "service.dbc")
		if err := os.WriteFile(database, []byte(serviceDatabase), 0o644); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "milepost.yaml")
		text := "device: van-17\ndbc: [" + database + "]\nspool: {dir: spool}\nbuses: [{name: first0}]\nsinks:\n" +
			"  - {name: file, type: file, path: records.jsonl}\n  - {name: broker, type: mqtt, url: \"mqtt://" + broker.Addr() + "\"}\n"
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		before := len(broker.Messages())
		phase := time.Duration(round) * time.Second / rounds
		now := time.Now()
		time.Sleep((phase + time.Second - now.Sub(now.Truncate(time.Second))) % time.Second)

		began := time.Now()
		gateway := startProcess(t, path)
		ready := time.Since(began)
		var toFile, toBroker time.Duration
		for deadline := began.Add(20 * time.Second); toFile == 0 || toBroker == 0; time.Sleep(5 * time.Millisecond) {
			if info, err := os.Stat(filepath.Join(dir, "records.jsonl")); toFile == 0 && err == nil && info.Size() > 0 {
				toFile = time.Since(began)
			}
			if toBroker == 0 && len(broker.Messages()) > before {
				toBroker = time.Since(began)
			}
			if time.Now().After(deadline) {
				gateway.terminate()
				t.Fatalf("no record in 20 s: file %v, broker %v", toFile, toBroker)
			}
		}
		gateway.terminate()
		t.Logf("started %v after a whole second: ready in %v, first record in the file after %v, at the broker after %v",
			phase, ready.Round(time.Millisecond), toFile.Round(time.Millisecond), toBroker.Round(time.Millisecond))
	}
}
