package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// lab runs the program in this process.
func lab(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	inv := &invocation{args: args, stdout: &out, stderr: &errs}
	code = inv.run(ctx)
	return code, out.String(), errs.String()
}

func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	code, stdout, stderr := lab(t.Context(), "demo", "--duration", "90s", "--seed", "3", "--keep", dir)
	if code != exitDone || stderr != "" {
		t.Fatalf("exit %d, stderr %q\n%s", code, stderr, stdout)
	}
	for _, want := range []string{
		"A drive of 1m30s",
		"summaries in 90 windows",
		"06:30:30  the link is cut:",
		"06:31:00  the link is back:",
		"06:31:30  the drive ends:",
		"24,120  of them arrived, equal in every value",
		"   VehicleSpeed ",
		"OK  none missing, none twice, in order: 24,120 records",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	lines := strings.Split(strings.ReplaceAll(stdout, dir, "DIR"), "\n")
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > 90 {
			t.Errorf("a line of the report has %d columns: %s", n, line)
		}
	}
	if len(lines) > 48 {
		t.Errorf("the report has %d lines", len(lines))
	}
	for _, name := range []string{demoLog, demoDBC, demoDelivered} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is not kept: %v", name, err)
		}
	}
	if t.Failed() {
		t.Log(stdout)
	}

	if code, _, stderr := lab(t.Context(), "demo", "--keep", dir); code != exitFailed || !strings.Contains(stderr, "not empty") {
		t.Errorf("a full folder: exit %d, %q", code, stderr)
	}
}

// TestDemoOutage: the cut is felt, and what was waiting and what was sent again
// is accounted for.
func TestDemoOutage(t *testing.T) {
	d := &demo{out: io.Discard, dir: t.TempDir(), duration: minDuration}
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := &d.outage
	if o.atCut.delivered == 0 || o.atCut.failed != 0 {
		t.Errorf("at the cut: %+v", o.atCut)
	}
	if o.atHeal.failed < failuresToFeel || o.atHeal.waiting == 0 || o.atHeal.delivered >= uint64(len(d.account.entries)) {
		t.Errorf("at the healing: %+v", o.atHeal)
	}
	stats := d.result.Deliveries[0]
	if stats.Failures != o.sink.failed.Load() || stats.Sent != d.checker.found.Delivered || stats.Outages == 0 {
		t.Errorf("the forwarder counts %+v, the check %+v", stats.ForwarderStats, d.checker.found)
	}
}

// TestDemoFindsDamage: a line that is lost between the broker and the check
// fails the demo, and the report says which.
func TestDemoFindsDamage(t *testing.T) {
	var report bytes.Buffer
	d := &demo{out: &report, dir: t.TempDir(), duration: minDuration}
	err := errors.Join(d.drive(t.Context()), d.replay(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	path := d.path(demoDelivered)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	if err := os.WriteFile(path, bytes.Join(lines[1:], nil), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := d.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.tellCheck(time.Second)
	if err := d.tellVerdict(time.Second); !errors.Is(err, errDelivery) || !strings.Contains(err.Error(), "1 missing") {
		t.Errorf("verdict %v", err)
	}
	if want := "record 1 (06:30:00 can0 0A0 EngineSpeedTorque.EngineSpeed) is missing"; !strings.Contains(report.String(), want) {
		t.Errorf("the report lacks %q:\n%s", want, report.String())
	}
	if strings.Contains(report.String(), "OK") {
		t.Errorf("a failed demo says OK:\n%s", report.String())
	}
}

func TestDemoInterrupted(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("TMP", temporary) // Windows
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, stdout, stderr := lab(ctx, "demo")
	if code != exitFailed || !strings.Contains(stderr, "interrupted") {
		t.Errorf("exit %d, stderr %q, stdout %q", code, stderr, stdout)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"", exitUsage, "", "usage: milepost-lab COMMAND"},
		{"help", exitDone, "usage: milepost-lab COMMAND", ""},
		{"demo -h", exitDone, "example:", ""},
		{"dmeo", exitUsage, "", `no command "dmeo"`},
		{"demo --dration 1m", exitUsage, "", "-dration"},
		{"demo --duration 10s", exitUsage, "", "at least 1m"},
		{"demo now", exitUsage, "", `what is "now"?`},
	} {
		code, stdout, stderr := lab(t.Context(), strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || (c.stderr == "") != (stderr == "") {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
	}
}
