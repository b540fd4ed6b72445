package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLintGolden(t *testing.T) {
	got := milepost(nil, "lint", carDBC, "testdata/faulty.dbc")
	if got.code != exitDone {
		t.Errorf("exit code %d", got.code)
	}
	golden(t, "lint.txt", []byte(got.stdout+"--- stderr\n"+got.stderr))
}

func TestLintFailures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	valid := write("valid.dbc", "VERSION \"\"\nBU_: A B\n")
	nothingLeft := write("nothing.dbc", "VERSION \"\"\nBO_ x y z\n")
	noDatabase := write("no.dbc", "\x00\x01\x02")
	for _, c := range [...]struct {
		name  string
		files []string
		code  int
		want  string // in stderr
	}{
		{"no file", nil, exitUsage, "name a DBC file"},
		{"without a message", []string{valid}, exitDone, "no problems in 0 messages with 0 signals"},
		{"absent", []string{"absent.dbc"}, exitFailed, "absent.dbc: no such file"},
		{"no database", []string{noDatabase}, exitFailed, "no.dbc: "},
		{"no message left", []string{nothingLeft}, exitFailed, "1 problem in 0 messages"},
		{"one of two", []string{noDatabase, valid}, exitFailed, "valid.dbc: no problems"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := milepost(nil, append([]string{"lint"}, c.files...)...)
			if got.code != c.code || !strings.Contains(got.stderr, c.want) {
				t.Errorf("exit code %d, want %d; stderr %q", got.code, c.code, got.stderr)
			}
		})
	}
}
