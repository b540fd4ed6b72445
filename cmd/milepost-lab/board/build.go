package board

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// guestPackage is the program that is a board's init.
const guestPackage = "milepost/cmd/milepost-lab/board/guest"

// Build compiles a package, such as milepost/cmd/milepost, for a machine, static
// and stripped as for a gateway, and writes it to a file. It needs Go, and to be
// run within the project.
func Build(ctx context.Context, m Machine, pkg, file string) error {
	return build(ctx, m, pkg, file, "build")
}

// BuildTest compiles a package's tests likewise.
func BuildTest(ctx context.Context, m Machine, pkg, file string) error {
	return build(ctx, m, pkg, file, "test", "-c")
}

func build(ctx context.Context, m Machine, pkg, file string, command ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(command, "-trimpath", "-ldflags", "-s -w", "-o", file, pkg)...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly"), m.target...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("board: building %s for %s: %w: %s", pkg, m, err, strings.TrimSpace(string(said)))
	}
	return nil
}

// BuildGuest compiles the init of boards into a folder and returns its path.
func BuildGuest(ctx context.Context, m Machine, dir string) (string, error) {
	file := filepath.Join(dir, "guest-"+m.Name)
	return file, Build(ctx, m, guestPackage, file)
}
