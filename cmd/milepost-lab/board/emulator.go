package board

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"milepost/firmware/debian"
)

// emulator is a QEMU process. It connects to sockets of ours, so that nothing has
// to be waited for, and nobody else gets at it.
type emulator struct {
	cmd     *exec.Cmd
	console *console
	said    bytes.Buffer  // by QEMU itself; to be read when it has ended
	ended   chan struct{} // closed when the process has
	gone    error         // how it ended; to be read after that
}

// connectTimeout is for a machine under load: milliseconds are usual.
const connectTimeout = time.Minute

// emulatorPackage is Debian's.
const emulatorPackage = "qemu-system-arm"

// startEmulator starts QEMU. It is killed when this process dies, however that
// happens.
func startEmulator(m Machine, args []string, said *console) (*emulator, error) {
	program, err := debian.FindProgram(m.emulator, emulatorPackage)
	if err != nil {
		return nil, err
	}
	e := &emulator{cmd: exec.Command(program, args...), console: said, ended: make(chan struct{})}
	e.cmd.Stdout, e.cmd.Stderr = said, &e.said
	dieWithParent(e.cmd)
	said.begin = time.Now()
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(e.ended)
		e.gone = e.cmd.Wait()
	}()
	return e, nil
}

// kill takes the power away.
func (e *emulator) kill() {
	e.cmd.Process.Kill()
	<-e.ended
}

// err says how QEMU ended and what it, and the board, said at the end. It is for
// an emulator that has ended.
func (e *emulator) err() error {
	how := "QEMU has ended"
	if e.gone != nil {
		how += ": " + e.gone.Error()
	}
	if said := strings.TrimSpace(e.said.String()); said != "" {
		how += ": " + said
	}
	return errors.New(how + e.console.tail())
}

// tail is the end of what a board said, for an error.
func (c *console) tail() string {
	if last := c.last(20); last != "" {
		return "\nthe last that the board said:\n" + last
	}
	return ""
}

// socket is where QEMU connects to.
type socket struct {
	path     string
	listener *net.UnixListener
}

func listen(dir, name string) (*socket, error) {
	path := filepath.Join(dir, name)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("%w (the path of a socket may have about 100 bytes: set TMPDIR to a short one)", err)
	}
	return &socket{path, l}, nil
}

// accept waits for QEMU, and for nobody else.
func (s *socket) accept(ctx context.Context, e *emulator) (net.Conn, error) {
	defer s.listener.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-e.ended:
		case <-ctx.Done():
		case <-stop:
			return
		}
		s.listener.SetDeadline(time.Now())
	}()
	s.listener.SetDeadline(time.Now().Add(connectTimeout))
	conn, err := s.listener.Accept()
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	select {
	case <-e.ended:
		return nil, e.err()
	default:
		return nil, fmt.Errorf("QEMU does not connect to %s: %w", filepath.Base(s.path), os.ErrDeadlineExceeded)
	}
}
