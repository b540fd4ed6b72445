package gnss

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestRealGPSD: a real gpsd, with a receiver on a pseudo-terminal.
func TestRealGPSD(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("gpsd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/gpsd"); err != nil {
			t.Skip("there is no gpsd here (Debian: gpsd)")
		}
	}
	master, path := openPTY(t)
	// gpsd gives up its rights before it opens a port.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	cmd := exec.Command(program, "-N", "-n", "-S", port, path)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log("gpsd: ", said.String())
		}
	})
	r, rec := receiver(t, Options{GPSD: "127.0.0.1:" + port, Receiver: path})
	run(t, r, rec)
	second := time.Date(2026, 11, 21, 12, 35, 0, 0, time.UTC)
	waitFor(t, "a position", func() bool {
		// A receiver at ten times its speed.
		second = second.Add(time.Second)
		at := second.Format("150405.00")
		for _, body := range []string{
			"GNGGA," + at + ",4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
			"GNGSA,A,3,04,05,,09,12,,,24,,,,,2.5,0.9,2.1",
			"GNRMC," + at + ",A,4807.038,N,01131.000,E,010.0,084.4,211126,,,A",
		} {
			fmt.Fprintf(master, "%s\r\n", nmeaLine(body))
		}
		time.Sleep(100 * time.Millisecond)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		return len(rec.fixes) > 2
	})
	found := map[string]float64{}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, e := range rec.reports {
		for name, v := range e.values {
			found[name] = v
		}
	}
	if found["fix"] != 3 || found["latitude"] != 48.1173 || found["longitude"] != 11.516667 || found["altitude"] < 540 || found["altitude"] > 550 ||
		found["speed"] < 5.1 || found["speed"] > 5.2 {
		t.Errorf("%v", found)
	}
	if f := rec.fixes[len(rec.fixes)-1]; time.Unix(0, f.UTC).UTC().Format(time.DateOnly) != "2026-11-21" || f.Error < time.Second {
		t.Errorf("time %+v", f)
	}
	t.Logf("%d reports, %v, last time %+v", len(rec.reports), found, rec.fixes[len(rec.fixes)-1])
}

// freePort is a port that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}
