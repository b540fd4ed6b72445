package rules

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the folder of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// read returns a file of the project, by its path below the root.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// files are the paths of the project's files below the root: those that git has,
// or those that lie there where git can't be asked.
func files(t *testing.T) (paths []string) {
	t.Helper()
	dir := root(t)
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = dir
	if out, err := list.Output(); err == nil {
		for _, path := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
			if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
				paths = append(paths, path)
			}
		}
		return paths
	}
	built := []string{".git", "bin", "out"}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, _ = filepath.Rel(dir, path)
		if entry.IsDir() && slices.Contains(built, path) {
			return fs.SkipDir
		}
		if entry.Type().IsRegular() {
			paths = append(paths, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// topLevel is the house of docs/architecture.md, and the usual files of a root.
var topLevel = []string{
	"can", "sensors", "aggregate", "uplink", "boards", "firmware", "cmd",
	"docs", "testdata", ".ci", "Makefile", "README.md", "go.mod", "go.sum",
	"CHANGELOG.md", "LICENSE", "NOTICE", ".gitignore", ".gitattributes",
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	for _, path := range files(t) {
		top, _, _ := strings.Cut(path, "/")
		if !slices.Contains(topLevel, top) {
			t.Errorf("%s: %s is no part of the house (docs/architecture.md): find its room, or say there why it needs one", path, top)
		}
	}
}

// elsewhere are places that mean nothing on another machine. They are put
// together here so that this file does not mention them.
var elsewhere = []struct {
	what string
	is   *regexp.Regexp
}{
	{"a path of one machine", regexp.MustCompile(`(^|[\s"'` + "`" + `=(:])/(work` + `|root` + `|home/[a-z]+)(/|\s|$)`)},
	{"a registry's host", regexp.MustCompile(`\b(proxy|sum)\.golang` + `\.org|\b(deb|security|snapshot)\.debian` + `\.org|\bpypi` + `\.org|\bfiles\.pythonhosted` + `\.org|\bregistry\.npmjs` + `\.org`)},
}

func TestNoOtherPlaces(t *testing.T) {
	t.Parallel()
	for _, path := range files(t) {
		text := []byte(read(t, path))
		if path == "go.sum" || bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		number := 0
		for line := range bytes.Lines(text) {
			number++
			for _, place := range elsewhere {
				if found := place.is.Find(line); found != nil {
					t.Errorf("%s:%d: %q is %s: it means nothing on another", path, number, bytes.TrimSpace(found), place.what)
				}
			}
		}
	}
}

// maxLines of a Go file: what is longer is several things.
const maxLines = 700

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	for _, path := range files(t) {
		if !strings.HasSuffix(path, ".go") {
			continue
		}
		if lines := strings.Count(read(t, path), "\n"); lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: it is several things; give each a file", path, lines, maxLines)
		}
	}
}

// TestLinks: what a page points to is there.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	for _, page := range files(t) {
		if !strings.HasSuffix(page, ".md") {
			continue
		}
		for _, found := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root(t), filepath.Dir(page), found[1])); err != nil {
				t.Errorf("%s points to %s: %v", page, found[1], err)
			}
		}
	}
}
