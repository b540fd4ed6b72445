package sysfs

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHangingFile: a file whose opening blocks, as a driver that waits for a dead
// bus does. It shows as a state, costs other sensors nothing, and does not hold up
// the end.
func TestHangingFile(t *testing.T) {
	t.Parallel()
	f := vehicle(t)
	fifo := f.path(zone + "/temp")
	if err := errors.Join(os.Remove(fifo), unix.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	hangs := f.sensor(Options{Kind: Thermal, Interval: 10 * time.Millisecond, Timeout: 20 * time.Millisecond})
	works := f.sensor(Options{Kind: HWMon, Device: "coretemp", Inputs: []Input{{Attribute: "temp1"}}, Interval: 10 * time.Millisecond})
	a, b := run(t, hangs), run(t, works)
	for hangs.Status().Err == nil || works.Status().Readings < 10 {
		time.Sleep(time.Millisecond)
	}
	if st := hangs.Status(); !strings.Contains(st.Err.Error(), "hangs") || st.Failures != 1 || st.Readings != 0 {
		t.Errorf("status %+v", st)
	}
	if err := errors.Join(a.stop(), b.stop()); err != nil {
		t.Error(err)
	}
	if st := works.Status(); st.Failures != 0 {
		t.Errorf("the other sensor: %+v", st)
	}
	// The kernel lets go: the goroutine that hung ends.
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}
