package main

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"milepost/cmd/internal/status"
)

// TestRunNewerSpool: after a downgrade the spool may be of a format that this
// milepost does not know. It says so and ends, so that a system on trial is rolled
// back; the spool is left as it is, and the newer milepost has all that was there.
func TestRunNewerSpool(t *testing.T) {
	dir := t.TempDir()
	config := sensorsOnly(t, dir, "sinks: [{name: file, type: mqtt, url: \"mqtt://127.0.0.1:1\"}]\nspool: {dir: spool}\npower: {drain: 100ms}\n")
	spool := filepath.Join(dir, "spool")
	g := startProcess(t, config)
	for entries := uint64(0); entries < 2; time.Sleep(10 * time.Millisecond) {
		report, err := status.Ask(context.Background(), spool)
		if err != nil {
			t.Fatal(err)
		}
		entries = report.Spool.Entries
	}
	g.terminate()
	stored := milepost(nil, "spool", "dump", spool).stdout
	if strings.Count(stored, "\n") < 2 {
		t.Fatalf("nothing is stored: %s", stored)
	}

	older := setSpoolVersion(t, spool, 99)
	before := tree(t, spool)
	for _, args := range [][]string{{"run", config}, {"spool", "ls", spool}, {"spool", "dump", spool}} {
		got := milepost(nil, args...)
		if got.code != exitFailed || !strings.Contains(got.stderr, "format version 99") || !strings.Contains(got.stderr, "made by a newer milepost") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if diff := cmp.Diff(before, tree(t, spool)); diff != "" {
		t.Errorf("the newer spool was changed (-before +after):\n%s", diff)
	}

	setSpoolVersion(t, spool, older) // the newer milepost is back
	if got := milepost(nil, "spool", "dump", spool); got.stdout != stored {
		t.Errorf("other records than before:\n%s\n%s", got.stdout, stored)
	}
	g = startProcess(t, config)
	if report, err := status.Ask(context.Background(), spool); err != nil || report.Spool.Entries < 2 {
		t.Errorf("%+v, %v", report.Spool, err)
	}
	g.terminate()
}

// setSpoolVersion writes the format version into a spool's meta (docs/spool-format.md)
// and returns the one that was there.
func setSpoolVersion(t *testing.T, dir string, version uint32) (was uint32) {
	t.Helper()
	path := filepath.Join(dir, "meta")
	meta, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	le, body := binary.LittleEndian, meta[:len(meta)-4]
	was = le.Uint32(body[8:])
	le.PutUint32(body[8:], version)
	le.PutUint32(meta[len(body):], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(path, meta, 0o640); err != nil {
		t.Fatal(err)
	}
	return was
}

// tree is the content of all files of a spool; not of those beside it, in which the
// gateway counts its runs and keeps the offsets of the clock.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		switch entry.Name() {
		case "LOCK", "clock", "run.json":
			return nil
		}
		body, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
