package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "car.dbc", readFile(t, filepath.Dir(carDBC), filepath.Base(carDBC)))
	writeFile(t, dir, "faulty.dbc", readFile(t, "testdata", "faulty.dbc"))
	standard := milepost(nil, "check", "--default")
	if standard.code != exitDone {
		t.Fatal(standard.stderr)
	}
	for name, c := range map[string]struct {
		text string
		code int
		says []string
	}{
		"empty":            {"", exitDone, []string{"is usable"}},
		"the default":      {standard.stdout, exitDone, []string{"is usable"}},
		"good":             {"device: car\ndbc: [car.dbc]\nsinks: [{name: rows, type: file, path: rows.csv, format: csv}]\n", exitDone, []string{"is usable", "device car", "1 database", "1 sink"}},
		"faulty database":  {"dbc: [faulty.dbc]\n", exitDone, []string{"is usable", "faulty.dbc:"}},
		"typo":             {"device: car\ndedup:\n  unchangd: true\n", exitFailed, []string{":3:3", "unchangd", "unchanged"}},
		"two mistakes":     {"windw: 1s\nlateness: soon\n", exitFailed, []string{":1:1", "window", ":2:11"}},
		"missing database": {"dbc: [missing.dbc]\n", exitFailed, []string{"missing.dbc"}},
		"no YAML":          {"device: [car\n", exitFailed, []string{"milepost.yaml:"}},
		"binary":           {"\x00\x01\x02\xff", exitFailed, []string{"milepost.yaml:"}},
		"no password":      {"sinks: [{name: b, type: mqtt, url: 'mqtt://host', username: me, password_file: nowhere.txt}]\n", exitFailed, []string{"nowhere.txt"}},
	} {
		path := writeFile(t, dir, "milepost.yaml", c.text)
		got := milepost(nil, "check", path)
		if got.code != c.code {
			t.Errorf("%s: exit code %d: %s%s", name, got.code, got.stdout, got.stderr)
		}
		for _, want := range c.says {
			if !strings.Contains(got.stdout+got.stderr, want) {
				t.Errorf("%s: %q is not in %q, %q", name, want, got.stdout, got.stderr)
			}
		}
	}
	if got := milepost(nil, "check", filepath.Join(dir, "missing.yaml")); got.code != exitFailed || !strings.Contains(got.stderr, "missing.yaml") {
		t.Errorf("exit code %d, %q", got.code, got.stderr)
	}
	if got := milepost(nil, "check"); got.code != exitUsage {
		t.Errorf("exit code %d, %q", got.code, got.stderr)
	}
}

// TestHelp wants an example from every command, and a usage error for what it
// does not know.
// The unit of the package asks before it starts the gateway: a configuration that
// lists nothing yet is no failure, and one with mistakes is for run to refuse.
func TestCheckForService(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text  string
		check int
		run   int
	}{
		"the default": {milepost(nil, "check", "--default").stdout, exitIdle, exitIdle},
		"empty":       {"", exitIdle, exitIdle},
		"sinks alone": {"sinks: [{name: rows, type: file, path: rows.csv, format: csv}]\n", exitIdle, exitIdle},
		"mistakes":    {"buss: []\n", exitDone, exitFailed},
		"a bus":       {"buses: [{name: can0}]\ndbc: [missing.dbc]\n", exitDone, exitFailed},
		"a sensor":    {"sensors: [{name: door, type: line, line: GPIO17}]\ndbc: [missing.dbc]\n", exitDone, exitFailed},
	} {
		path := writeFile(t, dir, "milepost.yaml", c.text)
		if got := milepost(nil, "check", "--for-service", path); got.code != c.check || got.stdout != "" {
			t.Errorf("%s: check: exit code %d, want %d: %s%s", name, got.code, c.check, got.stdout, got.stderr)
		}
		if got := milepost(nil, "run", path); got.code != c.run {
			t.Errorf("%s: run: exit code %d, want %d: %s", name, got.code, c.run, got.stderr)
		}
	}
	if got := milepost(nil, "check", "--for-service", filepath.Join(dir, "nowhere.yaml")); got.code != exitDone {
		t.Errorf("a file that is missing is for run to tell: exit code %d", got.code)
	}
}

func TestHelp(t *testing.T) {
	for _, c := range commands() {
		for _, args := range [][]string{{c.name, "-h"}, {c.name, "--help"}, {"help", c.name}} {
			got := milepost(nil, args...)
			if got.code != exitDone || got.stderr != "" || !strings.Contains(example(got.stdout), "milepost "+c.name) {
				t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, got.code, got.stdout, got.stderr)
			}
		}
		if got := milepost(nil, c.name, "--no-such-flag"); got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, "no-such-flag") {
			t.Errorf("%s: exit code %d, %q", c.name, got.code, got.stderr)
		}
		if got := milepost(nil, "help"); got.code != exitDone || !strings.Contains(got.stdout, c.name+" ") {
			t.Errorf("%s is not in the list", c.name)
		}
	}
	for _, args := range [][]string{{}, {"replya"}, {"--no-such-flag"}, {"help", "replya"}} {
		if got := milepost(nil, args...); got.code != exitUsage || got.stderr == "" {
			t.Errorf("%q: exit code %d, %q", args, got.code, got.stderr)
		}
	}
}

// example is the end of a command's help.
func example(help string) string {
	_, after, _ := strings.Cut(help, "\nexample:\n")
	return after
}
