package boardtest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"milepost/cmd/milepost-lab/board"
	"milepost/firmware/debian"
)

// epoch is the time of images whose milepost knows no commit, as in a git worktree.
const epoch = "1767225600"

// BuildImage has milepost-firmware make an image for a machine. Debian's packages
// are kept in the user's cache, as kernels are: remove them to get newer ones. The
// arguments are further ones.
func BuildImage(ctx context.Context, m board.Machine, file string, arguments ...string) error {
	for _, p := range [][2]string{{"mksquashfs", "squashfs-tools"}, {"mformat", "mtools"}, {"mke2fs", "e2fsprogs"}, {"ssh", "openssh-client"}} {
		if _, err := debian.FindProgram(p[0], p[1]); err != nil {
			return err
		}
	}
	cache, err := board.DefaultCache()
	if err != nil {
		return err
	}
	return Firmware(ctx, append([]string{"image", "--board", m.Board, "-o", file,
		"--packages", filepath.Join(filepath.Dir(cache), "packages", m.Board), "--incomplete"}, arguments...)...)
}

// Firmware runs milepost-firmware.
func Firmware(ctx context.Context, arguments ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "milepost/cmd/milepost-firmware"}, arguments...)...)
	project, err := projectDir()
	if err != nil {
		return err
	}
	cmd.Dir = project
	cmd.Env = os.Environ()
	if os.Getenv("SOURCE_DATE_EPOCH") == "" {
		cmd.Env = append(cmd.Env, "SOURCE_DATE_EPOCH="+epoch)
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		return errors.New(strings.TrimSpace(string(said)))
	}
	return nil
}

// projectDir is the folder of go.mod.
func projectDir() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(mod))), nil
}

// Image is a disk with a new image of so many bytes, as a card is larger than what
// is written to it.
func Image(t testing.TB, m board.Machine, size int64) (file string) {
	t.Helper()
	Require(t)
	made := built(t, m, "image", func(ctx context.Context, dir string) (string, error) {
		file := filepath.Join(dir, "image-"+m.Name)
		return file, BuildImage(ctx, m, file)
	})
	file = filepath.Join(t.TempDir(), "disk")
	if err := copySparse(made, file); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	return file
}

// copySparse copies a file; what is zeros becomes a hole.
func copySparse(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	buffer, zeros := make([]byte, 1<<20), make([]byte, 1<<20)
	for offset := int64(0); ; {
		n, err := io.ReadFull(in, buffer)
		if n > 0 && string(buffer[:n]) != string(zeros[:n]) {
			if _, err := out.WriteAt(buffer[:n], offset); err != nil {
				return errors.Join(err, out.Close())
			}
		}
		offset += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return errors.Join(out.Truncate(offset), out.Close())
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
	}
}

// StartAppliance switches on a board that starts from an image. It is stopped when
// the test ends, at the latest.
func StartAppliance(t testing.TB, opts board.ApplianceOptions) *board.Appliance {
	t.Helper()
	Require(t)
	a, err := board.StartAppliance(t.Context(), opts)
	if missing := new(debian.MissingError); errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Stop()
		if t.Failed() {
			t.Logf("what the board (%s) said, with seconds since power-on:\n%s", opts.Machine, a.Console())
		}
	})
	endInTime(t, a)
	return a
}
