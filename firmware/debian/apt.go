// Package debian gets Debian's packages for another machine: apt resolves and
// downloads them with all signatures checked, and they are unpacked, never
// installed. It needs a Debian machine, and no root.
package debian

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Apt asks the package sources of this machine about another architecture. Its
// lists are private ones: the machine's are left alone, and nothing is ever
// installed. apt checks all signatures, as always.
type Apt struct {
	dir          string
	architecture string
	sources      string // a file that replaces the machine's sources; empty for these
}

// NewApt makes an apt for an architecture of Debian's, such as arm64, with its
// lists in a folder.
func NewApt(dir, architecture string) (*Apt, error) {
	for _, program := range []string{"apt-get", "apt-cache"} {
		if _, err := FindProgram(program, "apt"); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	a := &Apt{dir: dir, architecture: architecture}
	// No package is installed as far as this apt knows.
	return a, os.WriteFile(a.status(), nil, 0o644)
}

func (a *Apt) status() string { return filepath.Join(a.dir, "status") }

// Update fetches the lists of packages. After an error those that could be fetched
// are there.
func (a *Apt) Update(ctx context.Context) error {
	_, err := a.run(ctx, a.dir, "apt-get", "update", "--error-on=any")
	return err
}

// keyring has the keys of Debian's archive.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// OnlyDebian leaves only those of the machine's sources that are Debian's own, for
// a release such as bookworm, signed with the keys of Debian's archive, with all of
// some components, such as main and non-free-firmware. Update has to be called
// before it and after it.
func (a *Apt) OnlyDebian(ctx context.Context, release string, components ...string) error {
	if _, err := os.Stat(keyring); err != nil {
		return fmt.Errorf("the keys of Debian's archive: %w: on Debian, `apt-get install debian-archive-keyring`", err)
	}
	text, err := a.run(ctx, a.dir, "apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(SITE)", "Created-By: Packages")
	if err != nil {
		return err
	}
	var lines []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "Debian" {
			continue
		}
		codename, suite, ok := strings.Cut(fields[1], "-") // bookworm-security
		if codename != release {
			continue
		}
		if ok {
			codename += "-" + suite
		}
		lines = append(lines, fmt.Sprintf("deb [signed-by=%s] %s %s %s\n", keyring, fields[2], codename, strings.Join(components, " ")))
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if len(lines) == 0 {
		return fmt.Errorf("none of this machine's package sources is of Debian %s: add one to /etc/apt/sources.list.d", release)
	}
	file := filepath.Join(a.dir, "sources.list")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return err
	}
	a.sources = file
	return nil
}

// Dependency is the package with a prefix that another one depends on.
func (a *Apt) Dependency(ctx context.Context, of, prefix string) (string, error) {
	text, err := a.run(ctx, a.dir, "apt-cache", "depends", of)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(name, prefix) {
			name, _, _ = strings.Cut(name, ":") // an architecture
			return name, nil
		}
	}
	return "", fmt.Errorf("apt knows no %s of %s* for %s: are Debian's sources configured on this machine?", of, prefix, a.architecture)
}

// run runs one of apt's programs in a folder.
func (a *Apt) run(ctx context.Context, dir, program string, args ...string) (stdout string, err error) {
	options := []string{
		"-q",
		"-o", "APT::Architecture=" + a.architecture,
		"-o", "APT::Architectures::=" + a.architecture,
		"-o", "APT::Install-Recommends=false",
		"-o", "APT::Sandbox::User=root", // apt's own user may not write into ours
		"-o", "Dir::State=" + a.dir,
		"-o", "Dir::State::status=" + a.status(),
		"-o", "Dir::State::lists=" + filepath.Join(a.dir, "lists"),
		"-o", "Dir::Cache=" + a.dir,
		"-o", "Dir::Cache::archives=" + filepath.Join(a.dir, "archives"),
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", // pictures of desktop programs
	}
	if a.sources != "" {
		options = append(options, "-o", "Dir::Etc::sourcelist="+a.sources, "-o", "Dir::Etc::sourceparts=/dev/null")
	}
	cmd := exec.CommandContext(ctx, program, append(options, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s for %s: %w\n%s", program, strings.Join(args, " "), a.architecture, err, bytes.TrimSpace(said.Bytes()))
	}
	return out.String(), nil
}
