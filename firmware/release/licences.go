package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Licence is what a module, or Go itself, says about its licence.
type Licence struct {
	Module  string // its path; "Go" for the standard library
	Version string
	Files   []LicenceFile
}

// LicenceFile is a text that came with a module.
type LicenceFile struct {
	Path string // below the module's folder
	Text []byte
}

// licenceFile are the names of files with licences, notices and copyrights.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|copyright|notice|patents|authors|unlicense|edl-|epl-)[^/]*$`)

// Licences collects the texts of all modules of which the target's binary links a
// package: those of the module's folder, and those beside the packages and on the
// way there. A module without any is an error: what it allows is not known.
func (b *Builder) Licences(ctx context.Context, t Target) ([]Licence, error) {
	packages, err := b.linked(ctx, t)
	if err != nil {
		return nil, err
	}
	byModule := make(map[string]*Licence)
	roots := make(map[string]string) // of modules, and the standard library's
	dirs := make(map[string][]string)
	for _, p := range packages {
		name, version, root := "Go", "", p.Root
		switch {
		case p.Standard:
		case p.Module == nil || p.Module.Main:
			continue
		default:
			name, version, root = p.Module.Path, p.Module.Version, p.Module.Dir
		}
		if byModule[name] == nil {
			byModule[name] = &Licence{Module: name, Version: version}
			roots[name] = root
		}
		for dir := p.Dir; ; dir = filepath.Dir(dir) {
			if !slices.Contains(dirs[name], dir) {
				dirs[name] = append(dirs[name], dir)
			}
			if len(dir) <= len(root) {
				break
			}
		}
	}
	var all []Licence
	var errs []error
	for name, l := range byModule {
		for _, dir := range append(dirs[name], roots[name]) {
			if err := l.collect(roots[name], dir); err != nil {
				return nil, err
			}
		}
		if len(l.Files) == 0 {
			errs = append(errs, fmt.Errorf("%s %s is linked, and there is no licence in %s", name, l.Version, roots[name]))
		}
		slices.SortFunc(l.Files, func(a, b LicenceFile) int { return strings.Compare(a.Path, b.Path) })
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Licence) int { return strings.Compare(a.Module, b.Module) })
	return all, errors.Join(errs...)
}

// collect reads the texts in a folder below root, if they are not known yet.
func (l *Licence) collect(root, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("licences of %s: %w", l.Module, err)
	}
	for _, e := range entries {
		path, err := filepath.Rel(root, filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		known := slices.ContainsFunc(l.Files, func(f LicenceFile) bool { return f.Path == path })
		if known || !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("licences of %s: %w", l.Module, err)
		}
		l.Files = append(l.Files, LicenceFile{path, text})
	}
	return nil
}

// linkedPackage is what `go list -deps -json` says of a package.
type linkedPackage struct {
	ImportPath, Dir, Root string
	Standard              bool
	Module                *struct {
		Path, Version, Dir string
		Main               bool
	}
}

func (b *Builder) linked(ctx context.Context, t Target) (packages []linkedPackage, err error) {
	cmd := b.command(ctx, t, "list", "-deps", "-json=ImportPath,Dir,Root,Standard,Module", gatewayPackage)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list what %s links: %w: %s", t.Name, err, bytes.TrimSpace(said.Bytes()))
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p linkedPackage
		if err := decoder.Decode(&p); err == io.EOF {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("list what %s links: %w", t.Name, err)
		}
		if p.ImportPath != "unsafe" {
			packages = append(packages, p)
		}
	}
}

// LicenceTexts are all texts in one, for people.
func LicenceTexts(all []Licence) []byte {
	var b bytes.Buffer
	b.WriteString("milepost links the following software. Each part is under a licence of its own.\n")
	for _, l := range all {
		title := strings.TrimSpace(l.Module + " " + l.Version)
		fmt.Fprintf(&b, "\n\n%s\n%s\n%s\n", strings.Repeat("=", 80), title, strings.Repeat("=", 80))
		for _, f := range l.Files {
			fmt.Fprintf(&b, "\n--- %s\n\n%s\n", f.Path, bytes.TrimSpace(bytes.ReplaceAll(f.Text, []byte("\r\n"), []byte("\n"))))
		}
	}
	return b.Bytes()
}
