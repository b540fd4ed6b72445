package packages

import (
	"fmt"
	"io/fs"
	"strings"
)

// IPK writes a package for opkg, OpenWrt's package manager up to release 24.10: a
// compressed tar archive of the three members that a .deb has.
func (p *Package) IPK() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	data, err := tarGz(withRoot(p.tree()), p.Time)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.Name, err)
	}
	control, err := tarGz(withRoot(p.ipkControl()), p.Time)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.Name, err)
	}
	return tarGz([]File{
		{Path: "/debian-binary", Mode: 0o644, Body: []byte("2.0\n")},
		{Path: "/data.tar.gz", Mode: 0o644, Body: data},
		{Path: "/control.tar.gz", Mode: 0o644, Body: control},
	}, p.Time)
}

func (p *Package) ipkControl() []File {
	var control strings.Builder
	fmt.Fprintf(&control, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: %s\n", p.Name, p.Version, p.Arch, p.Maintainer)
	if len(p.Depends) > 0 {
		fmt.Fprintf(&control, "Depends: %s\n", strings.Join(p.Depends, ", "))
	}
	if p.Users != "" {
		fmt.Fprintf(&control, "Require-User: %s\n", p.Users)
	}
	fmt.Fprintf(&control, "License: %s\nSection: %s\nInstalled-Size: %d\n", p.License, p.Section, 1024*p.installedKiB())
	control.WriteString(p.controlDescription())
	files := map[string]File{"control": {Path: "/control", Mode: 0o644, Body: []byte(control.String())}}
	for _, f := range []struct {
		name, text string
		mode       fs.FileMode
	}{
		{"conffiles", lines(p.configFiles()), 0o644},
		{"preinst", p.Scripts.BeforeInstall, 0o755},
		{"postinst", p.Scripts.AfterInstall, 0o755},
		{"prerm", p.Scripts.BeforeRemove, 0o755},
		{"postrm", p.Scripts.AfterRemove, 0o755},
	} {
		if f.text != "" {
			files[f.name] = File{Path: "/" + f.name, Mode: f.mode, Body: []byte(f.text)}
		}
	}
	return sorted(files)
}
