package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// project is a small module with a cmd/milepost of its own, which builds in a
// second. extra are further files.
func project(t *testing.T, extra map[string]string) *Builder {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to build with")
	}
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":               "module milepost\n\ngo 1.26.0\n",
		"cmd/milepost/main.go": "package main\n\nfunc main() { println(\"milepost\") }\n",
	}
	for name, text := range extra {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return &Builder{Dir: dir, Output: os.Stderr}
}

func target(t *testing.T, name string) Target {
	t.Helper()
	found, err := FindTarget(name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestBuild(t *testing.T) {
	// What a user's environment says must not get into the binary.
	t.Setenv("GOARM64", "v9.0")
	t.Setenv("CGO_ENABLED", "1")
	want := target(t, "linux-arm64")
	var built [][]byte
	for range 2 { // in two folders
		b := project(t, nil)
		path := filepath.Join(b.Dir, "out", "milepost")
		if err := b.Build(context.Background(), want, path); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		built = append(built, data)
		if bytes.Contains(data, []byte(b.Dir)) {
			t.Error("the binary knows the folder that it was built in")
		}
		binary, err := Inspect(path)
		if err != nil {
			t.Fatal(err)
		}
		if binary.Target.Name != want.Name {
			t.Errorf("it is for %s, not %s", binary.Target.Name, want.Name)
		}
		if !binary.Time.IsZero() {
			t.Errorf("a binary from outside of version control has the time %s", binary.Time)
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Error("two builds in two folders differ")
	}
	if _, err := Inspect(filepath.Join("..", "..", "go.mod")); err == nil {
		t.Error("a text was taken for a binary")
	}
}

func TestTargets(t *testing.T) {
	for i, one := range Targets {
		if variants[one.GOARCH] == "" {
			t.Errorf("%s: the variable of %s is not known", one.Name, one.GOARCH)
		}
		for _, other := range Targets[:i] {
			if one.Name == other.Name {
				t.Errorf("%s is there twice", one.Name)
			}
			if one.Debian != "" && one.Debian == other.Debian || one.RPM != "" && one.RPM == other.RPM {
				t.Errorf("%s and %s have packages for the same architecture", one.Name, other.Name)
			}
			for _, arch := range one.OpenWrt {
				if slices.Contains(other.OpenWrt, arch) {
					t.Errorf("%s and %s are both for OpenWrt's %s", one.Name, other.Name, arch)
				}
			}
		}
	}
	if _, err := FindTarget("linux-sparc"); err == nil || !strings.Contains(err.Error(), "linux-riscv64") {
		t.Errorf("a target that is none: %v", err)
	}
}

// TestLicences: every module that a gateway links brings a licence that is known.
func TestLicences(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to ask")
	}
	b := &Builder{Dir: filepath.Join("..", "..")}
	all, err := b.Licences(context.Background(), target(t, "linux-arm64"))
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]string)
	for _, l := range all {
		known[l.Module] = l.Expression()
		if l.Expression() == noAssertion {
			t.Errorf("%s %s: nothing in its texts is known", l.Module, l.Version)
		}
	}
	for module, want := range map[string]string{
		"github.com/tidwall/wal":              "MIT",
		"github.com/gorilla/websocket":        "BSD-2-Clause",
		"github.com/twmb/franz-go":            "BSD-3-Clause",
		"github.com/klauspost/compress":       "Apache-2.0 AND BSD-3-Clause AND MIT",
		"github.com/eclipse/paho.mqtt.golang": "BSD-3-Clause OR EPL-2.0",
	} {
		if known[module] != want {
			t.Errorf("%s: %q, want %q", module, known[module], want)
		}
	}
	if !strings.Contains(known["Go"], "BSD-3-Clause") {
		t.Errorf("Go: %q", known["Go"])
	}
	text := LicenceTexts(all)
	for _, l := range all {
		if !bytes.Contains(text, []byte("\n"+strings.TrimSpace(l.Module+" "+l.Version)+"\n")) {
			t.Errorf("%s is not among the texts", l.Module)
		}
	}
}

func TestModuleWithoutLicence(t *testing.T) {
	files := map[string]string{
		"go.mod":               "module milepost\n\ngo 1.26.0\n\nrequire example.org/bare v1.0.0\n\nreplace example.org/bare => ./bare\n",
		"cmd/milepost/main.go": "package main\n\nimport \"example.org/bare/inner\"\n\nfunc main() { inner.Say() }\n",
		"bare/go.mod":          "module example.org/bare\n\ngo 1.26.0\n",
		"bare/inner/inner.go":  "package inner\n\nfunc Say() { println() }\n",
	}
	_, err := project(t, files).Licences(context.Background(), target(t, "linux-armv7"))
	if err == nil || !strings.Contains(err.Error(), "example.org/bare") {
		t.Errorf("a module without a licence: %v", err)
	}
	files["bare/inner/LICENSE.txt"] = "Permission is hereby granted, free of charge, to any\nperson obtaining a copy"
	all, err := project(t, files).Licences(context.Background(), target(t, "linux-armv7"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(l Licence) bool { return l.Module == "example.org/bare" })
	if i < 0 || all[i].Expression() != "MIT" || all[i].Files[0].Path != "inner/LICENSE.txt" {
		t.Errorf("a licence beside a package: %+v", all[i])
	}
}

func TestSBOM(t *testing.T) {
	path := filepath.Join(t.TempDir(), "milepost")
	if err := os.WriteFile(path, []byte("binary"), 0o777); err != nil {
		t.Fatal(err)
	}
	b := &Binary{
		Path: path, Target: target(t, "linux-arm64"), Version: "v1.2.3", Revision: "abc", Time: time.Unix(1e9, 0),
		Info: &buildinfo.BuildInfo{GoVersion: "go1.26.0", Deps: []*debug.Module{{Path: "example.org/a/v2", Version: "v2.0.0", Sum: "h1:x"}}},
	}
	licences := []Licence{{Module: "Go"}, {Module: "example.org/a/v2", Version: "v2.0.0"}}
	data, err := b.SBOM(licences)
	if err != nil {
		t.Fatal(err)
	}
	var document spdxDocument
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{document.ID: true}
	for _, p := range document.Packages {
		if ids[p.ID] || strings.Trim(strings.TrimPrefix(p.ID, "SPDXRef-"), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			t.Errorf("%q is no ID, or not the only one", p.ID)
		}
		ids[p.ID] = true
	}
	for _, r := range document.Relationships {
		if !ids[r.From] || !ids[r.To] {
			t.Errorf("%s %s %s leads nowhere", r.From, r.Kind, r.To)
		}
	}
	if len(document.Packages) != 3 || document.Creation.Created != "2001-09-09T01:46:40Z" {
		t.Errorf("%s", data)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("binary"))); document.Packages[0].Checksums[0].Value != want {
		t.Errorf("checksum %s, want %s", document.Packages[0].Checksums[0].Value, want)
	}
	if got := document.Packages[1].References[0].Locator; got != "pkg:golang/example.org/a/v2@v2.0.0" {
		t.Errorf("package URL: %s", got)
	}
	licences[1].Version = "v2.0.1"
	if _, err := b.SBOM(licences); err == nil || !strings.Contains(err.Error(), "another state") {
		t.Errorf("a module of another version: %v", err)
	}
	b.Info.Deps[0].Replace = &debug.Module{Path: "../a"}
	if _, err := b.SBOM(licences); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("a module that is replaced: %v", err)
	}
}

func TestArchives(t *testing.T) {
	files := []ArchiveFile{{"x/milepost", 0o755, []byte("binary")}, {"x/LICENSE", 0o644, []byte("text")}}
	dir := t.TempDir()
	for name, magic := range map[string]string{"linux-arm64": "\x1f\x8b", "windows-amd64": "PK\x03\x04"} {
		when := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
		data, err := Archive(target(t, name), files, when)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Archive(target(t, name), files, when.In(time.FixedZone("elsewhere", 3600)))
		if !bytes.HasPrefix(data, []byte(magic)) || !bytes.Equal(data, again) {
			t.Errorf("%s: begins with %q; the same again: %t", name, data[:4], bytes.Equal(data, again))
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the list does not list itself
		if err := WriteChecksums(dir); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := os.ReadFile(filepath.Join(dir, sumsFile))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, name := range []string{"linux-arm64", "windows-amd64"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256(data), name)
	}
	if string(sums) != want.String() {
		t.Errorf("%s:\n%swant:\n%s", sumsFile, sums, want.String())
	}
}
