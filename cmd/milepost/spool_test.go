package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// keptSpool makes a spool that holds a drive for nobody yet.
func keptSpool(t *testing.T) (dir, records string) {
	t.Helper()
	log, database := shortDrive(t)
	dir = filepath.Join(t.TempDir(), "spool")
	replayed(t, nil, "--dbc", database, "--spool", dir, log)
	return dir, replayed(t, nil, "--dbc", database, "--to", "jsonl", log)
}

// TestSpoolExport writes a whole spool and a damaged one to files.
func TestSpoolExport(t *testing.T) {
	dir, records := keptSpool(t)
	lines := filepath.Join(t.TempDir(), "drive.jsonl")
	got := milepost(nil, "spool", "export", "--out", lines, dir)
	if text, err := os.ReadFile(lines); got.code != exitDone || err != nil || string(text) != records {
		t.Errorf("exit code %d, %q, %q, %v", got.code, got.stdout, got.stderr, err)
	}
	if !strings.Contains(got.stdout, "2680 records in "+lines) {
		t.Errorf("%q", got.stdout)
	}
	log, database := shortDrive(t)
	table := filepath.Join(t.TempDir(), "drive.csv")
	got = milepost(nil, "spool", "export", dir, "--out", table)
	if text, err := os.ReadFile(table); got.code != exitDone || err != nil || string(text) != replayed(t, nil, "--dbc", database, "--to", "csv", log) {
		t.Errorf("exit code %d, %q, %q, %v", got.code, got.stdout, got.stderr, err)
	}

	file := segments(t, dir)[0]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	got = milepost(nil, "spool", "export", "--out", lines, dir)
	text, err := os.ReadFile(lines)
	if got.code != exitFailed || err != nil || !strings.Contains(got.stdout, "missing") || !strings.Contains(got.stdout, "records in "+lines) || len(text) >= len(records) {
		t.Errorf("exit code %d, %q, %q, %v", got.code, got.stdout, got.stderr, err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(records, line) {
			t.Fatalf("what was not stored: %s", line)
		}
	}
	if left, _ := filepath.Glob(lines + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// segments are the files with the records.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "chapters", "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no chapters: %v", err)
	}
	return files
}

func TestSpoolFinished(t *testing.T) {
	dir, records := keptSpool(t)
	got := milepost(nil, "spool", "dump", dir)
	if got.code != exitDone || got.stderr != "" {
		t.Errorf("dump: exit code %d, stderr %q", got.code, got.stderr)
	}
	equalText(t, "dump", got.stdout, records)
	if got := milepost(nil, "spool", "verify", dir); got.code != exitDone || !strings.Contains(got.stdout, "no damage; the last record is number 2680") {
		t.Errorf("verify: exit code %d, %q", got.code, got.stdout)
	}
	if got := milepost(nil, "spool", "ls", dir); got.code != exitDone || !strings.Contains(got.stdout, "entries") {
		t.Errorf("ls: exit code %d, %q", got.code, got.stdout)
	}

	// When it is delivered, only the place of the sink is left.
	log, database := shortDrive(t)
	out := replayed(t, nil, "--dbc", database, "--spool", dir, "--resume", "--to", "jsonl", log)
	equalText(t, "delivered later", out, records)
	if got := milepost(nil, "spool", "ls", dir); got.code != exitDone || !strings.Contains(got.stdout, "jsonl") {
		t.Errorf("ls: exit code %d, %q", got.code, got.stdout)
	}
	if got := milepost(nil, "spool", "verify", dir); got.code != exitDone {
		t.Errorf("verify: exit code %d, %q", got.code, got.stdout)
	}
	// Another sink would get what is left, which is not all.
	other := milepost(nil, "replay", "--dbc", database, "--spool", dir, "--resume", "--to", "csv", log)
	if other.code != exitFailed || !strings.Contains(other.stderr, "cannot go on with sink csv") || other.stdout != "" {
		t.Errorf("exit code %d, stderr %q", other.code, other.stderr)
	}
}

// TestSpoolClasses looks into a spool with several classes.
func TestSpoolClasses(t *testing.T) {
	log, database := shortDrive(t)
	config := writeFile(t, t.TempDir(), "milepost.yaml", "priorities: [{signal: \"B*\", priority: high}, {message: \"[L-Z]*\", priority: low}]\ndedup: {exception: {enabled: false}}\n")
	dir := filepath.Join(t.TempDir(), "spool")
	replayed(t, nil, "--config", config, "--dbc", database, "--spool", dir, log)
	sorted := func(text string) string {
		lines := strings.SplitAfter(text, "\n")
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	// There is no device in the configuration: it is the host's name.
	records := sorted(replayed(t, nil, "--config", config, "--dbc", database, "--to", "jsonl", log))
	got := milepost(nil, "spool", "dump", dir)
	if got.code != exitDone || got.stderr != "" {
		t.Errorf("dump: exit code %d, stderr %q", got.code, got.stderr)
	}
	equalText(t, "dump", sorted(got.stdout), records)
	out := filepath.Join(t.TempDir(), "drive.jsonl")
	if got := milepost(nil, "spool", "export", "--out", out, dir); got.code != exitDone || !strings.Contains(got.stdout, "2680 records") {
		t.Errorf("export: exit code %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	equalText(t, "export", sorted(readFile(t, filepath.Dir(out), "drive.jsonl")), records)
	got = milepost(nil, "spool", "ls", dir)
	at := 0
	for _, class := range []string{"high", "normal", "low"} {
		i := strings.Index(got.stdout[at:], "of "+class+" priority")
		if got.code != exitDone || i < 0 {
			t.Fatalf("ls: exit code %d, no %s behind byte %d of %q", got.code, class, at, got.stdout)
		}
		at += i
	}
	if got := milepost(nil, "spool", "verify", dir); got.code != exitDone || !strings.Contains(got.stdout, "no damage; the last record is number 2680") {
		t.Errorf("verify: exit code %d, %q", got.code, got.stdout)
	}

	damaged := segments(t, filepath.Join(dir, "low"))[0]
	data, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(damaged, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := milepost(nil, "spool", "verify", dir); got.code != exitFailed || !strings.Contains(got.stdout, filepath.Join("low", "chapters")) {
		t.Errorf("verify: exit code %d, %q", got.code, got.stdout)
	}
	if got := milepost(nil, "spool", "dump", dir); !strings.Contains(got.stderr, "low priority: before entry") {
		t.Errorf("dump: exit code %d, stderr %q", got.code, got.stderr)
	}
	if got := milepost(nil, "spool", "export", "--out", out, dir); got.code != exitFailed || !strings.Contains(got.stdout, filepath.Join("low", "chapters")) {
		t.Errorf("export: exit code %d, %q", got.code, got.stdout)
	}
}

func TestSpoolDamaged(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"a bit":    func(data []byte) []byte { data[len(data)/2] ^= 4; return data },
		"torn":     func(data []byte) []byte { return data[:len(data)-7] },
		"rubbish":  func(data []byte) []byte { return append(data, "\x00\x00garbage behind it all"...) },
		"zeroed":   func(data []byte) []byte { clear(data); return data },
		"all ones": func(data []byte) []byte { return []byte(strings.Repeat("\xff", len(data))) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, records := keptSpool(t)
			file := segments(t, dir)[0]
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data = damage(data)
			if err := os.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
			got := milepost(nil, "spool", "verify", dir)
			if got.code != exitFailed || got.stdout == "" || strings.Contains(got.stdout, "no damage") {
				t.Errorf("verify: exit code %d, %q, %q", got.code, got.stdout, got.stderr)
			}
			if got := milepost(nil, "spool", "ls", dir); got.code != exitDone || !strings.Contains(got.stdout, "damaged") {
				t.Errorf("ls: exit code %d, %q, %q", got.code, got.stdout, got.stderr)
			}
			got = milepost(nil, "spool", "dump", dir)
			for line := range strings.Lines(got.stdout) {
				if !strings.Contains(records, line) {
					t.Fatalf("dump shows what was not stored: %s", line)
				}
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != string(data) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

func TestSpoolFailures(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	other := t.TempDir()
	writeFile(t, other, "holiday.jpg", "no spool")
	for _, what := range []string{"ls", "dump", "verify", "export"} {
		for _, dir := range []string{missing, other} {
			args := []string{"spool", what, dir}
			if what == "export" {
				args = append(args, "--out", filepath.Join(other, "out.csv"))
			}
			got := milepost(nil, args...)
			if got.code != exitFailed || !strings.Contains(got.stderr, dir+" holds no spool") {
				t.Errorf("%s %s: exit code %d, stderr %q", what, dir, got.code, got.stderr)
			}
		}
	}
	for _, args := range [][]string{{}, {"ls"}, {"burn", other}, {"ls", other, other}, {"ls", "--all", other}, {"export", other}, {"ls", "--out", "x", other}} {
		if got := milepost(nil, append([]string{"spool"}, args...)...); got.code != exitUsage {
			t.Errorf("%q: exit code %d", args, got.code)
		}
	}
}
