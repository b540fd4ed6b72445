package debian

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// FindProgram finds a program, also one that is in the directories of root. The
// error is a *MissingError that names Debian's package of it.
func FindProgram(name, pkg string) (path string, err error) {
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", &MissingError{Program: name, Package: pkg}
}

// MissingError says that a program that is needed is not installed.
type MissingError struct {
	Program string
	Package string // Debian's, that has it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("there is no %s: on Debian, `apt-get install %s`", e.Program, e.Package)
}

// Run runs a program; what it says is in the error.
func Run(ctx context.Context, program string, args ...string) error {
	if said, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(said))
	}
	return nil
}
