package board

import (
	"context"
	"fmt"
	"syscall"

	"milepost/cmd/milepost-lab/board/control"
)

// Process is a program that runs, or ran, in the guest.
type Process struct {
	board *Board
	id    int
	name  string
}

// StartProgram starts a program in the guest. What it says on its standard error
// goes to the console, too.
func (b *Board) StartProgram(ctx context.Context, p control.Program) (*Process, error) {
	run := &Process{board: b}
	if err := b.call(ctx, "Start", p, &run.id); err != nil {
		return nil, err
	}
	run.name = p.Args[0]
	return run, nil
}

// Wait waits for the program's end, which need not be a good one.
func (p *Process) Wait(ctx context.Context) (exit control.Exit, err error) {
	err = p.board.call(ctx, "Wait", p.id, &exit)
	return exit, err
}

// Signal sends the program a signal.
func (p *Process) Signal(ctx context.Context, s syscall.Signal) error {
	return p.board.call(ctx, "Signal", control.Signal{ID: p.id, Number: int(s)}, nil)
}

// Run runs a program in the guest to its end and returns its standard output. It
// is an error if its exit code is not 0.
func (b *Board) Run(ctx context.Context, args ...string) (stdout []byte, err error) {
	p, err := b.StartProgram(ctx, control.Program{Args: args})
	if err != nil {
		return nil, err
	}
	exit, err := p.Wait(ctx)
	if err != nil {
		return nil, err
	}
	if exit.Code != 0 {
		return exit.Stdout, fmt.Errorf("board: in the guest: %s: %s: %s", p.name, exit.How, exit.Stderr)
	}
	return exit.Stdout, nil
}
