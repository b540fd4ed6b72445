package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"milepost/boards"
	"milepost/cmd/internal/config"
	"milepost/firmware/image"
	"milepost/firmware/release"
)

var imageCommand = &command{
	name:    "image",
	summary: "an image for a board's disk, of Debian's packages and milepost",
	usage:   "--board BOARD [--hat HAT]… -o FILE [--packages DIR] [--binary FILE] [--system FILE] [--key FILE]… [--add FILE]…",
	detail: `
Makes an image to be written to the card or disk of BOARD (milepost boards lists
them): docs/images.md says what is on it and how it is used. It is made of
Debian's packages, which apt downloads from the package sources of this machine
with all signatures checked, and needs no root.

The same packages give the same image: --packages DIR keeps them, with a list of
their versions and checksums, and takes those that are there. Without BINARY,
which build has made, milepost is built. Times are those of the commit, or
SOURCE_DATE_EPOCH.`,
	run: runImage,
}

// paths are the values of a flag that may be given several times.
type paths []string

func (p *paths) String() string         { return fmt.Sprint(*p) }
func (p *paths) Set(value string) error { *p = append(*p, value); return nil }

func runImage(ctx context.Context, inv *invocation, c *command, args []string) error {
	var name, out, packages, binary, system, version string
	var keys, add, hats paths
	var incomplete bool
	rest, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.StringVar(&name, "board", "", "the `BOARD`")
		flags.Var(&hats, "hat", "a `HAT` on it, whose CAN controllers go into the device tree")
		flags.StringVar(&out, "o", "", "the `FILE` to write")
		flags.StringVar(&packages, "packages", "", "the `DIR` where packages are kept and taken from")
		flags.StringVar(&binary, "binary", "", "the `FILE` of milepost for the board's architecture, as build has made it")
		flags.StringVar(&system, "system", "", "the `FILE` to write the system to as well, for an update bundle")
		flags.StringVar(&version, "version", "", "the system's `VERSION`, by which update bundles are ordered; milepost's if empty")
		flags.Var(&keys, "key", "the `FILE` of a public key whose update bundles the system takes")
		flags.Var(&add, "add", "a `FILE` for the boot partition, such as milepost.yaml or authorized_keys")
		flags.BoolVar(&incomplete, "incomplete", false, "leave out package sources that cannot be read")
	})
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usagef("%q is no option", rest[0])
	case name == "" || out == "":
		return usagef("which --board, and which file with -o?")
	}
	board, err := boards.Get(name, hats...)
	if err != nil {
		return usagef("%v", err)
	}
	if err := image.Check(board); err != nil {
		return err
	}
	i := slices.IndexFunc(release.Targets, func(t release.Target) bool { return t.Debian == board.Arch.Debian })
	if i < 0 {
		return fmt.Errorf("there is no milepost for %s", board.Arch.Debian)
	}
	target := release.Targets[i]
	options := image.Options{
		Board: board, Packages: packages, Incomplete: incomplete,
		BootFiles: map[string][]byte{"milepost.yaml": config.DefaultFile()},
		Log:       func(format string, args ...any) { fmt.Fprintf(inv.stderr, format+"\n", args...) },
	}
	if options.UpdateKeys, err = readFiles(keys, nil); err != nil {
		return err
	}
	if options.BootFiles, err = readFiles(add, options.BootFiles); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "milepost-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	builder := inv.builder()
	if builder.Flags, err = buildFlags(ctx); err != nil {
		return err
	}
	if binary == "" {
		binary = filepath.Join(work, target.Program())
		if err := builder.Build(ctx, target, binary); err != nil {
			return err
		}
	}
	made, err := inv.describe(ctx, binary)
	if err != nil {
		return err
	}
	if made.Target.Name != target.Name {
		return fmt.Errorf("%s is for %s, and %s needs %s", binary, made.Target.Name, name, target.Name)
	}
	made.contents.Maintainer = maintainer
	options.Gateway = made.contents.Deb(target.Debian).Files
	options.Version, options.Time = cmp.Or(version, made.Version), made.Time
	builder.Package, builder.Flags = "./cmd/milepost-stage", append(builder.Flags, "-buildvcs=false") // equal for all commits that don't touch it
	stage := filepath.Join(work, "stage")
	if err := builder.Build(ctx, target, stage); err != nil {
		return err
	}
	if options.Stage, err = os.ReadFile(stage); err != nil {
		return err
	}
	result, err := image.Build(ctx, out, system, options)
	if err != nil {
		return err
	}
	for _, p := range result.Packages {
		fmt.Fprintf(inv.stdout, "%s %s %s %s\n", p.Name, p.Version, p.Architecture, p.SHA256)
	}
	fmt.Fprintf(inv.stdout, "%s: %s, version %s, kernel %s, %d packages, system of %d bytes\n",
		out, name, options.Version, result.Kernel, len(result.Packages), result.System)
	return nil
}

// readFiles adds files to some by the names that they have without their folders.
func readFiles(paths []string, files map[string][]byte) (map[string][]byte, error) {
	if files == nil {
		files = map[string][]byte{}
	}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files[filepath.Base(path)] = body
	}
	return files, nil
}
