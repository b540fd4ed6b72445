package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// peakMemory is the most memory that a process had, in bytes.
func peakMemory(state *os.ProcessState) int64 {
	return int64(state.SysUsage().(*syscall.Rusage).Maxrss) << 10
}

// TestReplayFullDisk has a spool on a disk that is too small for it. What was
// stored before is delivered when there is more room.
func TestReplayFullDisk(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=160k"); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skip("needs the right to mount a file system of 160 KiB")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, 0) })
	log, database := longDrive(t)
	k := killable{receiver: startMQTT(t), device: "full", dir: filepath.Join(disk, "spool")}
	// Nothing is delivered at first, so that everything has to be kept.
	args := []string{"replay", "--dbc", database, "--device", k.device, "--spool", k.dir, "--resume", log}
	got := milepost(nil, append(args, "--to", "mqtt://127.0.0.1:1", "--give-up", "1ms")...)
	for _, want := range []string{"no space left on device", k.dir, "--resume"} {
		if got.code != exitFailed || !strings.Contains(got.stderr, want) {
			t.Errorf("exit code %d, %q is not in %s", got.code, want, got.stderr)
		}
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	if got := milepost(nil, append(args, "--to", k.receiver.to())...); got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	k.check(t)
}

// TestReplayReadOnly has a spool and a result where nothing can be written.
func TestReplayReadOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "readonly")
	if err := os.Mkdir(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // to whom modes mean nothing
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, "size=1m"); err != nil {
			t.Skip("needs the right to mount a file system, or to be no root")
		}
		t.Cleanup(func() { syscall.Unmount(dir, 0) })
	}
	log, database := shortDrive(t)
	for _, args := range [][]string{
		{"--spool", dir},
		{"--spool", filepath.Join(dir, "spool")},
		{"--to", "csv", "-o", filepath.Join(dir, "out.csv")},
	} {
		got := milepost(nil, append([]string{"replay", "--dbc", database, log}, args...)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, dir) {
			t.Errorf("%q: exit code %d, stderr %s", args, got.code, got.stderr)
		}
	}
}
