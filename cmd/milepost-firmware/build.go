package main

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"milepost/firmware/release"
)

var buildCommand = &command{
	name:    "build",
	summary: "static, stripped, reproducible binaries",
	usage:   "[-o DIR] [TARGET …]",
	detail: `
Builds cmd/milepost for each TARGET, such as linux-armv7, or for all, into
DIR/milepost-TARGET. The version is that of version control.`,
	run: runBuild,
}

func runBuild(ctx context.Context, inv *invocation, c *command, args []string) error {
	dir := "out"
	names, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.StringVar(&dir, "o", dir, "the `DIR` to write to")
	})
	if err != nil {
		return err
	}
	targets := release.Targets
	if len(names) > 0 {
		targets = nil
	}
	for _, name := range names {
		t, err := release.FindTarget(name)
		if err != nil {
			return usagef("%v", err)
		}
		targets = append(targets, t)
	}
	builder := inv.builder()
	if builder.Flags, err = buildFlags(ctx); err != nil {
		return err
	}
	for _, t := range targets {
		path := binaryPath(dir, t)
		if err := builder.Build(ctx, t, path); err != nil {
			return err
		}
		fmt.Fprintln(inv.stdout, path)
	}
	return nil
}

// buildFlags are those that .ci/buildflags prints, which says why.
func buildFlags(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "bash", filepath.Join(".ci", "buildflags")).Output()
	if err != nil {
		return nil, fmt.Errorf("bash .ci/buildflags: %w; this runs in the project's folder", err)
	}
	return strings.Fields(string(out)), nil
}

// builder uses the go command that GO names.
func (inv *invocation) builder() *release.Builder {
	program, _ := inv.getenv("GO")
	return &release.Builder{Go: program, Output: inv.stderr}
}

// binaryPath is where build puts the binary of a target.
func binaryPath(dir string, t release.Target) string {
	return filepath.Join(dir, "milepost-"+t.Name+strings.TrimPrefix(t.Program(), "milepost"))
}
