package packages

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

//go:embed files
var files embed.FS

// Contents is what the packages of milepost are made of, besides the unit, the
// scripts and the other files that are the same for all.
type Contents struct {
	Binary []byte
	// Version is that of the Go tool, such as v1.2.3 or a pseudo-version.
	Version string
	// Time is that of the commit.
	Time       time.Time
	Maintainer string // Name <address>
	// Config is the default configuration, Schema its JSON Schema, Manual the man
	// page of the file.
	Config, Schema, Manual []byte
	// Licences are the texts of those of what the binary links, SBOM the list of it.
	Licences, SBOM []byte
}

const description = `milepost reads CAN buses and sensors, decodes frames with DBC files,
summarises every signal second by second (count, minimum, maximum, average,
histogram), keeps the summaries in a log that survives power cuts, and
delivers them over MQTT, Kafka or HTTP, or to files.

The service only listens, and does not start before buses or sensors are
listed in /etc/milepost/milepost.yaml.`

// common is what the packages of all formats have.
func (c *Contents) common(version, arch string) *Package {
	return &Package{
		Name: "milepost", Version: version, Arch: arch, Maintainer: c.Maintainer,
		License: "Apache-2.0", Summary: "summaries of CAN buses and sensors, for vehicles",
		Description: description, Time: c.Time,
	}
}

// Deb is the package for Debian and its descendants. arch is Debian's: arm64.
func (c *Contents) Deb(arch string) *Package {
	p := c.common(DebianVersion(c.Version), arch)
	p.Section = "net"
	p.Depends = []string{"systemd | systemd-standalone-sysusers | systemd-sysusers"}
	p.Scripts = Scripts{AfterInstall: text("deb.postinst"), BeforeRemove: text("deb.prerm"), AfterRemove: text("deb.postrm")}
	p.Files = append(c.systemd("vendor-completions"),
		c.document("copyright", []byte(text("copyright")), false),
		c.document("changelog", c.debianChangelog(p.Version), true),
		regular("/usr/share/lintian/overrides/milepost", 0o644, []byte(text("lintian-overrides"))),
	)
	return p
}

// RPM is the package for Fedora and its descendants. arch is RPM's: aarch64.
func (c *Contents) RPM(arch string) *Package {
	p := c.common(DebianVersion(c.Version), arch)
	p.Depends = []string{"systemd"}
	p.Scripts = Scripts{AfterInstall: text("rpm.post"), BeforeRemove: text("rpm.preun"), AfterRemove: text("rpm.postun")}
	p.Files = append(c.systemd("site-functions"),
		folder("/etc/milepost"), folder("/usr/share/doc/milepost"), folder("/usr/share/doc/milepost/examples"), folder("/usr/share/milepost"))
	return p
}

// IPK is the package for OpenWrt. arch is OpenWrt's: aarch64_cortex-a53. Without
// man pages, which nobody reads there, and with a spool that fits into a router's
// flash: what other systems have in /var/lib is in memory there.
func (c *Contents) IPK(arch string) *Package {
	p := c.common(DebianVersion(c.Version), arch)
	p.Section = "net"
	p.Users = "milepost:milepost:dialout"
	p.Scripts = Scripts{AfterInstall: text("ipk.postinst"), BeforeRemove: text("ipk.prerm")}
	p.Files = []File{
		regular("/usr/bin/milepost", 0o755, c.Binary),
		regular("/etc/init.d/milepost", 0o755, []byte(text("milepost.init"))),
		configuration(routerConfig(c.Config)),
		regular("/usr/share/milepost/third-party-licences.txt.gz", 0o644, gzipped(c.Licences)),
	}
	return p
}

// systemd is what distributions with systemd get. zsh is the folder where theirs
// looks for completions.
func (c *Contents) systemd(zsh string) []File {
	return []File{
		regular("/usr/bin/milepost", 0o755, c.Binary),
		configuration(c.Config),
		regular("/usr/share/milepost/milepost.schema.json", 0o644, c.Schema),
		file("/usr/lib/systemd/system/milepost.service", "milepost.service"),
		file("/usr/lib/sysusers.d/milepost.conf", "sysusers.conf"),
		file("/usr/lib/tmpfiles.d/milepost.conf", "tmpfiles.conf"),
		file("/usr/lib/udev/rules.d/60-milepost.rules", "60-milepost.rules"),
		file("/usr/share/bash-completion/completions/milepost", "milepost.bash"),
		file("/usr/share/zsh/"+zsh+"/_milepost", "milepost.zsh"),
		regular("/usr/share/man/man1/milepost.1.gz", 0o644, gzipped(c.commandsManual())),
		regular("/usr/share/man/man5/milepost.yaml.5.gz", 0o644, gzipped(c.Manual)),
		c.document("third-party-licences.txt", c.Licences, true),
		c.document("milepost.spdx.json", c.SBOM, true),
		c.example("netadmin.conf"), c.example("80-can.network"), c.example("70-can-names.rules"), c.example("50-milepost-poweroff.rules"),
	}
}

// commandsManual is milepost(1) with date and version.
func (c *Contents) commandsManual() []byte { return ManualPage(c.Version, c.Time) }

// ManualPage is the man page milepost(1) of a version.
func ManualPage(version string, when time.Time) []byte {
	return []byte(strings.NewReplacer("@DATE@", when.UTC().Format(time.DateOnly), "@VERSION@", strings.ReplaceAll(version, "-", `\-`)).Replace(text("milepost.1")))
}

// Completions are those of bash and zsh.
func Completions() (bash, zsh []byte) {
	return []byte(text("milepost.bash")), []byte(text("milepost.zsh"))
}

// debianChangelog says what Debian wants to know of a package's history.
func (c *Contents) debianChangelog(version string) []byte {
	return fmt.Appendf(nil, "milepost (%s) unstable; urgency=medium\n\n  * Built from\n    %s.\n    The project's CHANGELOG.md says what is new.\n\n -- %s  %s\n",
		version, c.Version, c.Maintainer, c.Time.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
}

func (c *Contents) document(name string, body []byte, compress bool) File {
	if compress {
		name, body = name+".gz", gzipped(body)
	}
	return regular("/usr/share/doc/milepost/"+name, 0o644, body)
}

func (c *Contents) example(name string) File {
	return file("/usr/share/doc/milepost/examples/"+name, name)
}

// routerConfig is the default configuration with a smaller spool in flash.
func routerConfig(config []byte) []byte {
	for _, change := range [][2]string{
		{"\n  dir: /var/lib/milepost/spool\n", "\n  dir: /opt/milepost/spool\n"},
		{"\n  max_size: 1GiB\n", "\n  max_size: 16MiB\n"},
		{"\n  quarantine_size: 16MiB\n", "\n  quarantine_size: 1MiB\n"},
	} {
		if bytes.Count(config, []byte(change[0])) != 1 {
			panic(fmt.Sprintf("BUG: the default configuration does not have %q once", change[0]))
		}
		config = bytes.Replace(config, []byte(change[0]), []byte(change[1]), 1)
	}
	return config
}

func configuration(body []byte) File {
	f := regular("/etc/milepost/milepost.yaml", 0o644, body) // its group comes with the user: see tmpfiles.conf
	f.Config = true
	return f
}

func regular(path string, mode fs.FileMode, body []byte) File {
	return File{Path: path, Mode: mode, Body: body}
}

func folder(path string) File { return File{Path: path, Mode: fs.ModeDir | 0o755} }

// file is one of the embedded files.
func file(path, name string) File { return regular(path, 0o644, []byte(text(name))) }

func text(name string) string {
	data, err := files.ReadFile("files/" + name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(data)
}

// gzipped compresses; the result depends on nothing but the data.
func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("BUG: memory took no bytes: " + err.Error())
	}
	return b.Bytes()
}
