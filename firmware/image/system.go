package image

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"milepost/firmware/debian"
)

// unwanted are folders that people read who sit at a computer, and what is for
// programs that are not there.
var unwanted = []string{
	"usr/share/bug", "usr/share/doc-base", "usr/share/i18n", "usr/share/info", "usr/share/initramfs-tools", "usr/share/lintian",
	"usr/share/locale", "usr/share/man", "usr/share/perl5", "usr/share/pixmaps", "usr/share/polkit-1", "usr/share/zsh",
	"usr/share/apport", "usr/share/base-passwd", "usr/share/runit",
	"usr/lib/udev/hwdb.d", "usr/lib/sysusers.d", "usr/lib/kernel", "usr/games", "usr/include", "usr/src",
	"etc/cron.daily", "etc/cron.d", "etc/init.d", "etc/rcS.d", "etc/dpkg", "etc/logrotate.d", "etc/ufw", "etc/kernel", "etc/initramfs-tools",
	"var/lib/dpkg", "var/backups",
}

// links are the units that are started, by the target that wants them, and what
// else is a symbolic link.
var links = map[string]string{
	"etc/systemd/system/multi-user.target.wants/milepost.service":           "/usr/lib/systemd/system/milepost.service",
	"etc/systemd/system/multi-user.target.wants/ssh.service":                "/usr/lib/systemd/system/ssh.service",
	"etc/systemd/system/multi-user.target.wants/systemd-networkd.service":   "/usr/lib/systemd/system/systemd-networkd.service",
	"etc/systemd/system/sockets.target.wants/systemd-networkd.socket":       "/usr/lib/systemd/system/systemd-networkd.socket",
	"etc/systemd/system/sysinit.target.wants/milepost-trial.service":        "/usr/lib/systemd/system/milepost-trial.service",
	"etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service":     "/usr/lib/systemd/system/systemd-timesyncd.service",
	"etc/systemd/system/sysinit.target.wants/systemd-resolved.service":      "/usr/lib/systemd/system/systemd-resolved.service",
	"etc/systemd/system/multi-user.target.wants/milepost-off.path":          "/usr/lib/systemd/system/milepost-off.path",
	"etc/systemd/system/multi-user.target.wants/milepost-data-grow.service": "/usr/lib/systemd/system/milepost-data-grow.service",
	"etc/systemd/system/timers.target.wants/fstrim.timer":                   "/usr/lib/systemd/system/fstrim.timer",
	"etc/systemd/system/dbus-org.freedesktop.network1.service":              "/usr/lib/systemd/system/systemd-networkd.service",
	"etc/systemd/system/dbus-org.freedesktop.timesync1.service":             "/usr/lib/systemd/system/systemd-timesyncd.service",
	"etc/systemd/system/dbus-org.freedesktop.resolve1.service":              "/usr/lib/systemd/system/systemd-resolved.service",
	"etc/systemd/system/local-fs.target.wants/tmp.mount":                    "/usr/share/systemd/tmp.mount",
	"etc/systemd/system/tmp.mount":                                          "/usr/share/systemd/tmp.mount",

	// Nobody can log in at a console: there are no passwords.
	"etc/systemd/system/getty.target":   "/dev/null",
	"etc/systemd/system/default.target": "/usr/lib/systemd/system/multi-user.target",

	"etc/resolv.conf": "/run/systemd/resolve/resolv.conf",
	"etc/mtab":        "../proc/self/mounts",
	"var/run":         "/run",
	"var/lock":        "/run/lock",
	"bin":             "usr/bin",
	"sbin":            "usr/sbin",
	"lib":             "usr/lib",
}

// folders are where something is mounted, or is expected.
var folders = map[string]fs.FileMode{
	"boot": 0o700, "data": 0o755, "dev": 0o755, "etc/milepost": 0o750, "mnt": 0o755, "proc": 0o555, "run": 0o755, "root": 0o700,
	"srv": 0o755, "sys": 0o555, "tmp": 0o777 | fs.ModeSticky, "var/lib/milepost": 0o750, "var/lib/systemd": 0o755, "var/tmp": 0o777 | fs.ModeSticky,
	"usr/share/milepost/update-keys": 0o755,
}

// unstarted are units that systemd's package has targets want, and that have
// nothing to do here, and generators of such units: each costs a small processor a
// part of a second.
var unstarted = []string{
	"graphical.target.wants/systemd-update-utmp-runlevel.service", "multi-user.target.wants/systemd-update-utmp-runlevel.service",
	"multi-user.target.wants/systemd-ask-password-wall.path", "multi-user.target.wants/getty.target", "getty.target.wants/getty-static.service",
	"sockets.target.wants/systemd-initctl.socket", "sockets.target.wants/systemd-journald-audit.socket",
	"sysinit.target.wants/cryptsetup.target", "sysinit.target.wants/integritysetup.target", "sysinit.target.wants/veritysetup.target",
	"sysinit.target.wants/dev-hugepages.mount", "sysinit.target.wants/dev-mqueue.mount", "sysinit.target.wants/proc-sys-fs-binfmt_misc.automount",
	"sysinit.target.wants/sys-fs-fuse-connections.mount", "sysinit.target.wants/sys-kernel-config.mount",
	"sysinit.target.wants/sys-kernel-debug.mount", "sysinit.target.wants/sys-kernel-tracing.mount",
	"sysinit.target.wants/systemd-ask-password-console.path", "sysinit.target.wants/systemd-binfmt.service", "sysinit.target.wants/systemd-firstboot.service",
	"sysinit.target.wants/systemd-machine-id-commit.service", "sysinit.target.wants/systemd-pcrphase-sysinit.service", "sysinit.target.wants/systemd-pcrphase.service",
	"sysinit.target.wants/systemd-repart.service", "sysinit.target.wants/systemd-sysusers.service", "sysinit.target.wants/systemd-update-utmp.service",
}

// generators are those that stay: what the kernel's command line asks of systemd.
var generators = []string{"systemd-debug-generator", "systemd-run-generator"}

//go:embed all:files/system
var ownFiles embed.FS

// unpack adds what packages install.
func (t *tree) unpack(ctx context.Context, packages []debian.Package) error {
	for _, p := range packages {
		err := debian.Files(ctx, p.File, func(h *tar.Header, body io.Reader) error {
			return t.add(h, body)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// complete makes a system of the files of packages: what their maintainer scripts
// would have made, and what an image has beyond Debian.
func (t *tree) complete() error {
	if err := t.addAccounts(); err != nil {
		return err
	}
	if err := t.addCertificates(); err != nil {
		return err
	}
	t.prune()
	err := fs.WalkDir(ownFiles, "files/system", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := ownFiles.ReadFile(name)
		if err != nil {
			return err
		}
		return t.file(strings.TrimPrefix(name, "files/system/"), 0o644, body)
	})
	if err != nil {
		return err
	}
	for name, mode := range folders {
		t.put(name, &entry{mode: fs.ModeDir | mode})
	}
	for name, target := range links {
		// Not by symlink: bin, sbin and lib themselves are in the root.
		t.entries[name] = &entry{mode: fs.ModeSymlink | 0o777, link: target}
		t.folder(path.Dir(name), 0o755)
	}
	delete(t.entries, ".")
	return nil
}

// addAccounts makes the users that base-passwd and the packages declare.
func (t *tree) addAccounts() error {
	passwd, err := t.read("usr/share/base-passwd/passwd.master")
	if err != nil {
		return err
	}
	groups, err := t.read("usr/share/base-passwd/group.master")
	if err != nil {
		return err
	}
	a, err := newAccounts(string(passwd), string(groups))
	if err != nil {
		return err
	}
	// What maintainer scripts of openssh-server and udev make.
	declared := []string{"u sshd - - /run/sshd", "g input - -\ng kvm - -\ng render - -\ng sgx - -"}
	for _, name := range t.below("usr/lib/sysusers.d") {
		text, err := t.read(name)
		if err != nil {
			return err
		}
		declared = append(declared, string(text))
	}
	for _, text := range declared {
		if err := a.declare(text); err != nil {
			return fmt.Errorf("sysusers.d: %w", err)
		}
	}
	p, g, s := a.files()
	for _, f := range []struct {
		name string
		mode fs.FileMode
		text string
	}{{"etc/passwd", 0o644, p}, {"etc/group", 0o644, g}, {"etc/shadow", 0o600, s}} {
		if err := t.file(f.name, f.mode, []byte(f.text)); err != nil {
			return err
		}
	}
	return nil
}

// addCertificates makes the one file of certificates that programs read, which
// ca-certificates would make when it is installed.
func (t *tree) addCertificates() error {
	var all bytes.Buffer
	for _, name := range t.below("usr/share/ca-certificates/mozilla") {
		if !strings.HasSuffix(name, ".crt") {
			continue
		}
		text, err := t.read(name)
		if err != nil {
			return err
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	if all.Len() == 0 {
		return fmt.Errorf("ca-certificates has brought no certificates")
	}
	return t.file("etc/ssl/certs/ca-certificates.crt", 0o644, all.Bytes())
}

// prune takes off what is not needed. Of documents, the copyrights stay.
func (t *tree) prune() {
	for name, e := range t.entries {
		document := strings.HasPrefix(name, "usr/share/doc/") && !e.mode.IsDir() && path.Base(name) != "copyright"
		useless := slices.ContainsFunc(unwanted, func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") })
		unit, isUnit := strings.CutPrefix(name, "usr/lib/systemd/system/")
		useless = useless || isUnit && slices.Contains(unstarted, unit)
		useless = useless || path.Dir(name) == "usr/lib/systemd/system-generators" && !slices.Contains(generators, path.Base(name))
		if document || useless || strings.HasPrefix(name, "usr/share/ca-certificates/") && !e.mode.IsDir() {
			delete(t.entries, name)
		}
	}
}
