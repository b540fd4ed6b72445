package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"milepost/cmd/internal/status"
)

// TestStatusOfReplay asks a paced replay whose broker is down how it is.
func TestStatusOfReplay(t *testing.T) {
	log, database := shortDrive(t)
	temporary, err := os.MkdirTemp("", "mp") // short: the path of a socket has to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temporary) })
	t.Setenv("TMPDIR", temporary)
	dir := filepath.Join(temporary, "spool")
	for name, c := range map[string]struct{ replay, status []string }{
		"spool":     {[]string{"--spool", dir}, []string{dir}},
		"temporary": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"replay", "--dbc", database, "--speed", "4", "--to", "mqtt://127.0.0.1:1", "--give-up", "0"}, c.replay...)
			command, _, stderr := process(t, append(args, log)...)
			command.Env = append(command.Env, "TMPDIR="+temporary)
			start(t, command)
			var report status.Report
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
				got := milepost(nil, append([]string{"status", "--json"}, c.status...)...)
				if got.code == exitDone {
					if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
						t.Fatalf("%v: %s", err, got.stdout)
					}
					if len(report.Sinks) == 1 && !report.Sinks[0].Up && report.Sinks[0].Waiting > 0 {
						break // stored, and not delivered
					}
				}
				if time.Now().After(deadline) {
					t.Fatalf("no status: %q, %+v, %s", got.stderr, report, stderr)
				}
			}
			if report.Command != "replay" || report.PID != command.Process.Pid || report.TotalBytes == 0 || report.DoneBytes == 0 || report.Frames == 0 || report.EventTime.IsZero() || !report.Sinks[0].Delivered.IsZero() {
				t.Errorf("%+v", report)
			}
			got := milepost(nil, append([]string{"status"}, c.status...)...)
			for _, want := range []string{"mqtt, which is DOWN", "refused", "% of the log read", "frames, up to 2026-03-02 06:30"} {
				if got.code != exitDone || !strings.Contains(got.stdout, want) {
					t.Errorf("exit code %d, %q is not in\n%s", got.code, want, got.stdout)
				}
			}
			if name == "spool" {
				// Within a second of its making an entry is in the spool's files.
				for milepost(nil, "spool", "dump", dir).stdout == "" {
					time.Sleep(10 * time.Millisecond)
				}
				for _, what := range []string{"ls", "verify", "dump"} {
					if got := milepost(nil, "spool", what, dir); got.code != exitDone || got.stdout == "" {
						t.Errorf("spool %s, live: exit code %d, %q, %q", what, got.code, got.stdout, got.stderr)
					}
				}
			}
			command.Process.Kill()
			command.Wait()
			if got := milepost(nil, append([]string{"status"}, c.status...)...); got.code != exitFailed || !strings.Contains(got.stderr, "milepost status: ") {
				t.Errorf("of a dead one: exit code %d, %q", got.code, got.stderr)
			}
		})
	}
}

func TestStatusFailures(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	missing := filepath.Join(t.TempDir(), "missing")
	if got := milepost(nil, "status", missing); got.code != exitFailed || !strings.Contains(got.stderr, missing) {
		t.Errorf("exit code %d, %q", got.code, got.stderr)
	}
	if got := milepost(nil, "status"); got.code != exitFailed || !strings.Contains(got.stderr, "name DIR") {
		t.Errorf("exit code %d, %q", got.code, got.stderr)
	}
	if got := milepost(nil, "status", "a", "b"); got.code != exitUsage {
		t.Errorf("exit code %d, %q", got.code, got.stderr)
	}
}
