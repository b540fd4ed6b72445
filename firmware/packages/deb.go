package packages

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io/fs"
	"strings"
)

// Deb writes a Debian package (deb(5), format 2.0): an ar archive of three
// members, debian-binary, control.tar.gz and data.tar.gz. gzip, because every
// dpkg reads it: zstd is for those of 2022 and later.
func (p *Package) Deb() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	data, err := tarGz(withRoot(p.tree()), p.Time)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.Name, err)
	}
	control, err := tarGz(withRoot(p.debControl()), p.Time)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.Name, err)
	}
	out := bytes.NewBufferString("!<arch>\n")
	p.arMember(out, "debian-binary", []byte("2.0\n"))
	p.arMember(out, "control.tar.gz", control)
	p.arMember(out, "data.tar.gz", data)
	return out.Bytes(), nil
}

// arMember appends a member to an ar archive (deb(5)): a header of 60 bytes in
// ASCII, the contents, and a newline where these have an odd length.
//
//	name 16 | time 12 | owner 6 | group 6 | mode 8, octal | size 10 | "`\n"
func (p *Package) arMember(out *bytes.Buffer, name string, body []byte) {
	fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, p.Time.Unix(), 0, 0, 0o100644, len(body))
	out.Write(body)
	if len(body)%2 != 0 {
		out.WriteByte('\n')
	}
}

// debControl are the files of control.tar.gz.
func (p *Package) debControl() []File {
	var control strings.Builder
	fmt.Fprintf(&control, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nInstalled-Size: %d\n",
		p.Name, p.Version, p.Arch, p.Maintainer, p.installedKiB())
	if len(p.Depends) > 0 {
		fmt.Fprintf(&control, "Depends: %s\n", strings.Join(p.Depends, ", "))
	}
	fmt.Fprintf(&control, "Section: %s\nPriority: optional\n", p.Section)
	if p.Homepage != "" {
		fmt.Fprintf(&control, "Homepage: %s\n", p.Homepage)
	}
	control.WriteString(p.controlDescription())

	var sums strings.Builder
	for _, f := range p.tree() {
		if !f.Mode.IsDir() && f.Link == "" && !f.Config {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.Body), f.Path[1:])
		}
	}
	files := map[string]File{}
	put := func(name, text string, mode fs.FileMode) {
		if text != "" {
			files[name] = File{Path: "/" + name, Mode: mode, Body: []byte(text)}
		}
	}
	put("control", control.String(), 0o644)
	put("md5sums", sums.String(), 0o644)
	put("conffiles", lines(p.configFiles()), 0o644)
	put("preinst", p.Scripts.BeforeInstall, 0o755)
	put("postinst", p.Scripts.AfterInstall, 0o755)
	put("prerm", p.Scripts.BeforeRemove, 0o755)
	put("postrm", p.Scripts.AfterRemove, 0o755)
	return sorted(files)
}

// controlDescription is the field of a control file: a line, and then the text
// with a blank before each line and a dot for an empty one.
func (p *Package) controlDescription() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Description: %s\n", p.Summary)
	for i, paragraph := range strings.Split(strings.TrimSpace(p.Description), "\n\n") {
		if i > 0 {
			b.WriteString(" .\n")
		}
		for line := range strings.Lines(paragraph) {
			b.WriteString(" " + strings.TrimSpace(line) + "\n")
		}
	}
	return b.String()
}

// lines is a text with one item a line.
func lines(items []string) string {
	if len(items) == 0 {
		return ""
	}
	return strings.Join(items, "\n") + "\n"
}
