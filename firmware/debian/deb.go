package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// Files calls each for all that a package would install, in the package's order.
// Paths begin with "./". The body is to be read before each returns.
func Files(ctx context.Context, deb string, each func(h *tar.Header, body io.Reader) error) error {
	program, err := FindProgram("dpkg-deb", "dpkg")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--fsys-tarfile", deb)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = readTar(out, each)
	if err != nil {
		// dpkg-deb has children that write, and end when nobody reads any more.
		out.Close()
		cancel()
	}
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("dpkg-deb: %w: %s", ended, bytes.TrimSpace(said.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(deb), err)
	}
	return nil
}

func readTar(r io.Reader, each func(h *tar.Header, body io.Reader) error) error {
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r) // the padding, so that the writer can end
			return err
		}
		if err != nil {
			return err
		}
		if err := each(h, archive); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}
