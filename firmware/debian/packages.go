package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Package is one of Debian's.
type Package struct {
	Name         string
	Version      string // empty for the newest, where it is asked for
	Architecture string
	SHA256       string // of File, in hexadecimal digits
	File         string
}

// Resolve returns packages and all that they depend on, without what is only
// recommended, ordered by name.
func (a *Apt) Resolve(ctx context.Context, names ...string) ([]Package, error) {
	text, err := a.run(ctx, a.dir, "apt-get", append([]string{"install", "--simulate"}, names...)...)
	if err != nil {
		return nil, err
	}
	return parseSimulation(text)
}

// parseSimulation reads what apt-get install --simulate would do: lines such as
//
//	Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [arm64]) []
func parseSimulation(text string) (packages []Package, err error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "Inst ")
		if !ok {
			continue
		}
		name, rest, ok1 := strings.Cut(rest, " (")
		version, rest, ok2 := strings.Cut(rest, " ")
		_, rest, ok3 := strings.Cut(rest, " [")
		architecture, _, ok4 := strings.Cut(rest, "])")
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return nil, fmt.Errorf("apt-get says %q, which is not understood", strings.TrimSpace(line))
		}
		packages = append(packages, Package{Name: name, Version: version, Architecture: architecture})
	}
	slices.SortFunc(packages, byName)
	return packages, nil
}

func byName(a, b Package) int { return strings.Compare(a.Name, b.Name) }

// Download fetches packages into a folder, unless they are there, and returns them
// with what is known of the files.
func (a *Apt) Download(ctx context.Context, dir string, packages ...Package) ([]Package, error) {
	args := []string{"download"}
	for _, p := range packages {
		if p.Version != "" {
			p.Name += "=" + p.Version
		}
		args = append(args, p.Name)
	}
	if _, err := a.run(ctx, dir, "apt-get", args...); err != nil {
		return nil, err
	}
	var downloaded []Package
	for _, p := range packages {
		pattern := p.Name + "_*.deb"
		if p.Version != "" {
			pattern = p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_*.deb"
		}
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) != 1 {
			return nil, fmt.Errorf("apt-get has downloaded %q as %s", files, pattern)
		}
		if p, err = describe(files[0]); err != nil {
			return nil, err
		}
		downloaded = append(downloaded, p)
	}
	slices.SortFunc(downloaded, byName)
	return downloaded, nil
}

// describe says what apt's name for a file and the file itself say.
func describe(file string) (p Package, err error) {
	name, ok := strings.CutSuffix(filepath.Base(file), ".deb")
	fields := strings.Split(name, "_")
	if !ok || len(fields) != 3 {
		return p, fmt.Errorf("%s is not named as a package: NAME_VERSION_ARCHITECTURE.deb", file)
	}
	p = Package{Name: fields[0], Version: strings.ReplaceAll(fields[1], "%3a", ":"), Architecture: fields[2], File: file}
	p.SHA256, err = digest(file)
	return p, err
}

func digest(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ListFile is the name of the list beside downloaded packages.
const ListFile = "packages"

// FormatList writes the list: a line a package, with name, version, architecture
// and SHA-256.
func FormatList(packages []Package) []byte {
	var b strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&b, "%s %s %s %s\n", p.Name, p.Version, p.Architecture, p.SHA256)
	}
	return []byte(b.String())
}

// ReadList reads a folder of packages that Download has filled and a list that
// FormatList has written, and checks that the files are still the same. The error
// is fs.ErrNotExist if there is no list.
func ReadList(dir string) (packages []Package, err error) {
	path := filepath.Join(dir, ListFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		fields := strings.Fields(line)
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s:%d: %q is not NAME VERSION ARCHITECTURE SHA256", path, number, strings.TrimSpace(line))
		}
		p := Package{Name: fields[0], Version: fields[1], Architecture: fields[2], SHA256: fields[3]}
		p.File = filepath.Join(dir, p.Name+"_"+strings.ReplaceAll(p.Version, ":", "%3a")+"_"+p.Architecture+".deb")
		sum, err := digest(p.File)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s:%d: %s is not there: remove the list to download all packages again", path, number, filepath.Base(p.File))
		case err != nil:
			return nil, err
		case sum != p.SHA256:
			return nil, fmt.Errorf("%s:%d: %s has another SHA-256, %s", path, number, filepath.Base(p.File), sum)
		}
		packages = append(packages, p)
	}
	return packages, nil
}
