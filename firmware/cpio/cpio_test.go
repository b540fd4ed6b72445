package cpio

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchive: the bytes are those of the format's description, and the same each
// time.
func TestArchive(t *testing.T) {
	write := func() []byte {
		var b bytes.Buffer
		a := New(&b)
		a.File("etc/name", 0o644, []byte("board\n"))
		a.Directory("etc")
		a.Character("dev/console", 0o600, 5, 1)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	got := write()
	want := "070701" + "00000001" + "000041ED" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" + "etc\x00\x00\x00" +
		"070701" + "00000002" + "000081A4" + "00000000" + "00000000" + "00000001" + "00000000" + "00000006" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000009" + "00000000" + "etc/name\x00\x00" + "board\n\x00\x00" +
		"070701" + "00000003" + "000041ED"
	if !bytes.HasPrefix(got, []byte(want)) {
		t.Errorf("the archive begins with\n%q, want\n%q", got[:len(want)], want)
	}
	if !bytes.Equal(got, write()) {
		t.Error("the same entries give other bytes")
	}
}

// TestArchiveUnpacks: another program reads it.
func TestArchiveUnpacks(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("there is no cpio to read the archive with: on Debian, `apt-get install cpio`")
	}
	var b bytes.Buffer
	a := New(&b)
	files := map[string]string{"a": "", "b/c": "1", "b/d/e": "123", "b/d/long-name-of-a-file": strings.Repeat("x", 70000)}
	for name, text := range files {
		a.File(name, 0o755, []byte(text))
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(cpio, "-id", "--quiet")
	cmd.Dir, cmd.Stdin = dir, &b
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s has %d bytes, want %d: %v", name, len(got), len(want), err)
		}
	}
}
