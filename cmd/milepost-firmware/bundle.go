package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"milepost/boards"
	"milepost/firmware/bundle"
)

var bundleCommand = &command{
	name:    "bundle",
	summary: "a signed update bundle of a system",
	usage:   "--key FILE [-o BUNDLE] [--board BOARD,…] SYSTEM.squashfs",
	detail: `
Makes of a system, as image has made it, a bundle that ` + "`milepost update`" + ` takes.
Which board, architecture, kernel and version it is for stands in the system
itself, in /etc/milepost-release, which unsquashfs (squashfs-tools) reads out of it;
--release names a copy of that file instead.`,
	run: runBundle,
}

func runBundle(ctx context.Context, inv *invocation, c *command, args []string) error {
	var keyPath, out, boardNames, releasePath string
	paths, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.StringVar(&keyPath, "key", "", "the `FILE` with the private key")
		flags.StringVar(&out, "o", "", "the `BUNDLE` to write (milepost-VERSION-BOARD.mpb)")
		flags.StringVar(&boardNames, "board", "", "the `BOARDS` it is for, if they are others than the system says")
		flags.StringVar(&releasePath, "release", "", "the `FILE` that says what the system is")
	})
	switch {
	case err != nil:
		return err
	case len(paths) != 1:
		return usagef("which SYSTEM.squashfs? One at a time")
	case keyPath == "":
		return usagef("--key is needed; `milepost-firmware key` makes one")
	}
	body, err := os.ReadFile(keyPath)
	if err != nil {
		return err
	}
	key, err := bundle.ParseKey(body)
	if err != nil {
		return fmt.Errorf("%s: %w", keyPath, err)
	}
	release, err := readRelease(ctx, releasePath, paths[0])
	if err != nil {
		return err
	}
	s := bundle.System{
		Boards: strings.Split(cmp.Or(boardNames, release["MILEPOST_BOARD"]), ","),
		Arch:   release["MILEPOST_ARCH"], Kernel: release["MILEPOST_KERNEL"], Version: release["MILEPOST_VERSION"],
	}
	for _, name := range s.Boards {
		board, err := boards.Get(name)
		if err != nil {
			return err
		}
		if board.Arch.Debian != s.Arch {
			return fmt.Errorf("%s is %s, and the system is for %s", name, board.Arch.Debian, s.Arch)
		}
	}
	payload, err := os.Open(paths[0])
	if err != nil {
		return err
	}
	defer payload.Close()
	return inv.writeBundle(cmp.Or(out, fmt.Sprintf("milepost-%s-%s.mpb", s.Version, s.Boards[0])), s, payload, key)
}

// writeBundle writes a file, which is there whole or not at all, and says so.
func (inv *invocation) writeBundle(path string, s bundle.System, payload *os.File, key ed25519.PrivateKey) error {
	temporary := path + ".part"
	file, err := os.Create(temporary)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = bundle.Write(buffered, s, payload, key)
	if err == nil {
		err = buffered.Flush()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("%s: %w", payload.Name(), err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(inv.stdout, "%9d  %s: %s for %s, kernel %s\n", info.Size(), path, s.Version, strings.Join(s.Boards, ", "), s.Kernel)
	return err
}

// readRelease reads a file of NAME=value lines: that of path, or etc/milepost-release
// in a system.
func readRelease(ctx context.Context, path, system string) (map[string]string, error) {
	var body []byte
	var err error
	if path != "" {
		body, err = os.ReadFile(path)
	} else {
		path = system + ": etc/milepost-release"
		body, err = exec.CommandContext(ctx, "unsquashfs", "-cat", system, "etc/milepost-release").Output()
		if err != nil {
			err = fmt.Errorf("unsquashfs -cat %s etc/milepost-release: %w; --release names a copy of that file", system, err)
		}
	}
	if err != nil {
		return nil, err
	}
	release := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			release[name] = strings.Trim(value, `"`)
		}
	}
	for _, name := range []string{"MILEPOST_BOARD", "MILEPOST_ARCH", "MILEPOST_KERNEL", "MILEPOST_VERSION"} {
		if release[name] == "" {
			return nil, fmt.Errorf("%s: there is no %s", path, name)
		}
	}
	return release, nil
}
