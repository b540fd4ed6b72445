package debian

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSimulation(t *testing.T) {
	got, err := parseSimulation(`Reading package lists...
Inst systemd (252.39-1~deb12u2 Debian:12.15/oldstable [arm64])
Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [arm64]) []
Inst libgcrypt20 (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [arm64]) [x:y ]
Inst libattr1 (1:2.5.1-4 Debian:12.15/oldstable [all])
Conf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [arm64])
`)
	want := []Package{
		{Name: "libattr1", Version: "1:2.5.1-4", Architecture: "all"}, {Name: "libc6", Version: "2.36-9+deb12u14", Architecture: "arm64"},
		{Name: "libgcrypt20", Version: "1.10.1-3+deb12u1", Architecture: "arm64"}, {Name: "systemd", Version: "252.39-1~deb12u2", Architecture: "arm64"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("apt would install %+v (%v), want %+v", got, err, want)
	}
	if _, err := parseSimulation("Inst x\n"); err == nil {
		t.Error("a line without a version was understood")
	}
}

// TestList: what was downloaded is taken again as long as it is the same.
func TestList(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadList(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a list the error is %v", err)
	}
	var packages []Package
	for _, name := range []string{"a_1%3a2.0-1_arm64.deb", "b_2_all.deb"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(name), 0o666); err != nil {
			t.Fatal(err)
		}
		p, err := describe(file)
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if p := packages[0]; p.Name != "a" || p.Version != "1:2.0-1" || p.Architecture != "arm64" || len(p.SHA256) != 64 {
		t.Errorf("the package is %+v", p)
	}
	list := filepath.Join(dir, ListFile)
	write := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(string(FormatList(packages)))
	if got, err := ReadList(dir); err != nil || !slices.Equal(got, packages) {
		t.Errorf("the list has %+v (%v), want %+v", got, err, packages)
	}
	if err := os.WriteFile(packages[1].File, []byte("another"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadList(dir); err == nil || !strings.Contains(err.Error(), list+":2: b_2_all.deb has another SHA-256") {
		t.Errorf("of a file that has changed the error is %v", err)
	}
	if err := os.Remove(packages[1].File); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadList(dir); err == nil || !strings.Contains(err.Error(), "not there") {
		t.Errorf("of a file that is gone the error is %v", err)
	}
	write("a 1\n")
	if _, err := ReadList(dir); err == nil || !strings.Contains(err.Error(), ":1: ") {
		t.Errorf("of half a line the error is %v", err)
	}
	if _, err := describe(list); err == nil {
		t.Error("a file that is no package was described as one")
	}
}

// TestFiles: what dpkg-deb packs is read, and what is no package is an error.
func TestFiles(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("there is no dpkg-deb here: on Debian, `apt-get install dpkg`")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"p/DEBIAN/control": "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n",
		"p/usr/bin/p":      "program", "p/usr/large": strings.Repeat("x", 1<<20),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	deb := filepath.Join(dir, "p.deb")
	if said, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", filepath.Join(dir, "p"), deb).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	var got []string
	err := Files(t.Context(), deb, func(h *tar.Header, body io.Reader) error {
		n, err := io.Copy(io.Discard, body)
		got = append(got, fmt.Sprintf("%s %d", h.Name, n))
		return err
	})
	want := []string{"./ 0", "./usr/ 0", "./usr/bin/ 0", "./usr/bin/p 7", "./usr/large 1048576"}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the package has %q (%v), want %q", got, err, want)
	}
	enough := errors.New("enough")
	if err := Files(t.Context(), deb, func(*tar.Header, io.Reader) error { return enough }); !errors.Is(err, enough) || !strings.Contains(err.Error(), "p.deb") {
		t.Errorf("when the reader fails, the error is %v", err)
	}
	if err := Files(t.Context(), filepath.Join(dir, "p/usr/large"), func(*tar.Header, io.Reader) error { return nil }); err == nil {
		t.Error("a file that is no package was read")
	}
}

func TestMissing(t *testing.T) {
	_, err := FindProgram("milepost-nobody-has-this", "some-package")
	if missing := new(MissingError); !errors.As(err, &missing) || !strings.Contains(err.Error(), "apt-get install some-package") {
		t.Errorf("of a program that is missing the error is %v", err)
	}
}
