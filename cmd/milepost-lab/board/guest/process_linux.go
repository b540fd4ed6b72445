package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"milepost/cmd/milepost-lab/board/control"
)

// process is a program that was started.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	exit  control.Exit // when it has
}

// maxOutput bounds what is kept of each of a program's outputs: the guest has
// little memory. What goes beyond it is missing at the end, and said to be.
const maxOutput = 16 << 20

// Start starts a program. What it says on its standard error goes to the console
// as well.
func (g *Guest) Start(p control.Program, id *int) error {
	if len(p.Args) == 0 {
		return errors.New("there is no program to start")
	}
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), p.Env...), p.Dir
	var stdout, stderr output
	cmd.Stdout = &stdout
	cmd.Stderr = io.MultiWriter(&stderr, &prefixed{to: os.Stderr, prefix: filepath.Base(p.Args[0]) + ": "})
	if err := cmd.Start(); err != nil {
		return err
	}
	run := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(run.ended)
		cmd.Wait()
		run.exit = control.Exit{Code: cmd.ProcessState.ExitCode(), How: cmd.ProcessState.String(), Stdout: stdout.bytes(), Stderr: stderr.bytes()}
	}()
	*id = g.processes.add(run)
	return nil
}

// Wait waits for a program's end.
func (g *Guest) Wait(id int, exit *control.Exit) error {
	run, err := g.processes.get(id)
	if err != nil {
		return err
	}
	<-run.ended
	*exit = run.exit
	return nil
}

// Signal sends a program a signal.
func (g *Guest) Signal(s control.Signal, _ *control.None) error {
	run, err := g.processes.get(s.ID)
	if err != nil {
		return err
	}
	return run.cmd.Process.Signal(syscall.Signal(s.Number))
}

// output keeps what a program says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	cut  bool
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := maxOutput - o.text.Len()
	o.cut = o.cut || len(b) > room
	o.text.Write(b[:min(len(b), room)])
	return len(b), nil
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut {
		o.text.WriteString("\n(the guest has kept no more than this)\n")
	}
	return o.text.Bytes()
}

// prefixed writes whole lines, each with a prefix.
type prefixed struct {
	to     io.Writer
	prefix string
	line   []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	p.line = append(p.line, b...)
	for {
		end := bytes.IndexByte(p.line, '\n')
		if end < 0 {
			return len(b), nil
		}
		io.WriteString(p.to, p.prefix+string(p.line[:end+1]))
		p.line = p.line[end+1:]
	}
}
