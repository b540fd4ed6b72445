package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"milepost/cmd/internal/config"
	"milepost/firmware/packages"
	"milepost/firmware/release"
)

var distCommand = &command{
	name:    "dist",
	summary: "archives of binaries, with licences, bill of materials and checksums",
	usage:   "[-o DIR] BINARY …",
	detail: `
Packs each BINARY that build has made into an archive, with the texts of the
licences of all that it links, man pages and completions, and writes beside it
the software bill of materials of the very binary (SPDX 2.3). SHA256SUMS has the
checksums of all that is in DIR.

Times in the archives are that of the commit, or SOURCE_DATE_EPOCH.`,
	run: runDist,
}

func runDist(ctx context.Context, inv *invocation, c *command, args []string) error {
	dir := filepath.Join("out", "dist")
	paths, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.StringVar(&dir, "o", dir, "the `DIR` to write to")
	})
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return usagef("which BINARY?")
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, path := range paths {
		made, err := inv.describe(ctx, path)
		if err != nil {
			return err
		}
		if err := made.writeArchive(inv, dir); err != nil {
			return err
		}
	}
	return release.WriteChecksums(dir)
}

// description is a binary with all that goes with it.
type description struct {
	*release.Binary
	contents packages.Contents
}

// describe reads a binary and collects what goes with it.
func (inv *invocation) describe(ctx context.Context, path string) (*description, error) {
	binary, err := release.Inspect(path)
	if err != nil {
		return nil, err
	}
	if err := inv.date(binary); err != nil {
		return nil, err
	}
	licences, err := inv.builder().Licences(ctx, binary.Target)
	if err != nil {
		return nil, err
	}
	bill, err := binary.SBOM(licences)
	if err != nil {
		return nil, err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &description{binary, packages.Contents{
		Binary: body, Version: binary.Version, Time: binary.Time,
		Config: config.DefaultFile(), Schema: config.JSONSchema(), Manual: config.Manual(binary.Version, binary.Time),
		Licences: release.LicenceTexts(licences), SBOM: bill,
	}}, nil
}

// date gives a binary the time of SOURCE_DATE_EPOCH (reproducible-builds.org), if
// that is set.
func (inv *invocation) date(b *release.Binary) error {
	text, ok := inv.getenv("SOURCE_DATE_EPOCH")
	if !ok || text == "" {
		if b.Time.IsZero() {
			return fmt.Errorf("%s does not know its commit: build it in a clone (the go command does not look into git worktrees), or set SOURCE_DATE_EPOCH to the seconds since 1970", b.Path)
		}
		return nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds since 1970", text)
	}
	b.Time = time.Unix(seconds, 0).UTC()
	return nil
}

// writeArchive writes the archive and the bill of materials.
func (d *description) writeArchive(inv *invocation, dir string) error {
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return fmt.Errorf("%w: this runs in the project's folder", err)
	}
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		return err
	}
	name := "milepost-" + d.Version + "-" + d.Target.Name
	bash, zsh := packages.Completions()
	files := []release.ArchiveFile{
		{Path: d.Target.Program(), Mode: 0o755, Body: d.contents.Binary},
		{Path: "LICENSE", Mode: 0o644, Body: licence},
		{Path: "NOTICE", Mode: 0o644, Body: notice},
		{Path: "third-party-licences.txt", Mode: 0o644, Body: d.contents.Licences},
		{Path: "milepost.spdx.json", Mode: 0o644, Body: d.contents.SBOM},
		{Path: "milepost.schema.json", Mode: 0o644, Body: d.contents.Schema},
		{Path: "milepost.yaml", Mode: 0o644, Body: d.contents.Config},
	}
	suffix := ".zip"
	if d.Target.GOOS != "windows" {
		suffix = ".tar.gz"
		files = append(files,
			release.ArchiveFile{Path: "man/milepost.1", Mode: 0o644, Body: packages.ManualPage(d.Version, d.Time)},
			release.ArchiveFile{Path: "man/milepost.yaml.5", Mode: 0o644, Body: d.contents.Manual},
			release.ArchiveFile{Path: "completions/milepost.bash", Mode: 0o644, Body: bash},
			release.ArchiveFile{Path: "completions/_milepost", Mode: 0o644, Body: zsh})
	}
	for i := range files {
		files[i].Path = name + "/" + files[i].Path
	}
	archive, err := release.Archive(d.Target, files, d.Time)
	if err != nil {
		return err
	}
	if err := inv.write(filepath.Join(dir, name+suffix), archive); err != nil {
		return err
	}
	return inv.write(filepath.Join(dir, name+".spdx.json"), d.contents.SBOM)
}

// write writes a file and says so.
func (inv *invocation) write(path string, body []byte) error {
	if err := os.WriteFile(path, body, 0o666); err != nil {
		return err
	}
	_, err := fmt.Fprintf(inv.stdout, "%9d  %s\n", len(body), path)
	return err
}
