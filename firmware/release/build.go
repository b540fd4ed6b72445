package release

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// gatewayPackage is what is built unless a builder says something else.
const gatewayPackage = "./cmd/milepost"

// Builder builds binaries.
type Builder struct {
	Go    string   // the go command; "go" if empty
	Dir   string   // the project's folder; the working directory if empty
	Flags []string // further ones for go build
	// Package is the program's path, such as ./cmd/milepost-stage; the gateway's if
	// empty.
	Package string
	Output  io.Writer
}

// Build builds a target into the file out: static, stripped, without paths of this
// machine, with the version that version control gives.
func (b *Builder) Build(ctx context.Context, t Target, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-buildvcs=auto", "-ldflags", "-s -w", "-o", out}
	program := b.Package
	if program == "" {
		program = gatewayPackage
	}
	args = append(append(args, b.Flags...), program)
	cmd := b.command(ctx, t, args...)
	cmd.Stdout, cmd.Stderr = b.Output, b.Output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", t.Name, err)
	}
	return checkStatic(t, out)
}

// command is a call of the go command for a target.
func (b *Builder) command(ctx context.Context, t Target, args ...string) *exec.Cmd {
	program := b.Go
	if program == "" {
		program = "go"
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.Dir
	cmd.Env = append(os.Environ(), t.Environment()...)
	return cmd
}

// checkStatic refuses a binary of Linux that asks for a dynamic loader.
func checkStatic(t Target, path string) error {
	if t.GOOS != "linux" {
		return nil
	}
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s asks for a dynamic loader: it is not static", path)
		}
	}
	if file.Section(".symtab") != nil {
		return errors.New(path + " has a symbol table: it is not stripped")
	}
	return nil
}
