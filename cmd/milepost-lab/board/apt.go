package board

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt asks the machine's own package sources about another architecture. Its
// lists are private ones: the machine's are left alone, and nothing is ever
// installed. apt checks all signatures, as always.
type apt struct {
	dir          string
	architecture string
}

// update fetches the lists of packages.
func (a *apt) update(ctx context.Context) error {
	for _, dir := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return err
		}
	}
	// No package is installed as far as this apt knows.
	if err := os.WriteFile(filepath.Join(a.dir, "status"), nil, 0o644); err != nil {
		return err
	}
	_, err := a.run(ctx, "apt-get", "update")
	return err
}

// dependency is the package with a prefix that another one depends on.
func (a *apt) dependency(ctx context.Context, of, prefix string) (string, error) {
	text, err := a.run(ctx, "apt-cache", "depends", of)
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

// download fetches a package and returns its file.
func (a *apt) download(ctx context.Context, name string) (file string, err error) {
	if _, err := a.run(ctx, "apt-get", "download", name); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(a.dir, name+"_*.deb"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("apt-get has downloaded no %s", name)
	}
	return files[0], nil
}

func (a *apt) run(ctx context.Context, program string, args ...string) (stdout string, err error) {
	options := []string{
		"-q",
		"-o", "APT::Architecture=" + a.architecture,
		"-o", "APT::Architectures::=" + a.architecture,
		"-o", "APT::Sandbox::User=root", // apt's own user may not write into ours
		"-o", "Dir::State=" + a.dir,
		"-o", "Dir::State::status=" + filepath.Join(a.dir, "status"),
		"-o", "Dir::State::lists=" + filepath.Join(a.dir, "lists"),
		"-o", "Dir::Cache=" + a.dir,
		"-o", "Dir::Cache::archives=" + filepath.Join(a.dir, "archives"),
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", // pictures of desktop programs
	}
	cmd := exec.CommandContext(ctx, program, append(options, args...)...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s for %s: %w\n%s", program, strings.Join(args, " "), a.architecture, err, bytes.TrimSpace(said.Bytes()))
	}
	return out.String(), nil
}
