package main

import (
	"context"
	"io"
	"os"

	"golang.org/x/term"
)

// input is an open log: a file, a named pipe or the standard input.
type input struct {
	io.Reader
	name string
	// size is that of a regular file, 0 where there is no end in sight.
	size  int64
	close func()
}

// openInput opens the log at path; "-" is the standard input. Its Read ends when
// ctx does.
func openInput(ctx context.Context, inv *invocation, path string) (*input, error) {
	if path == "-" {
		in := &input{name: "stdin", size: regularSize(inv.stdin)}
		ctx, cancel := context.WithCancel(ctx)
		in.Reader, in.close = newAbandonable(ctx, inv.stdin), cancel
		return in, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { file.Close() })
	return &input{
		Reader: file, name: path, size: regularSize(file),
		close: func() { stop(); file.Close() },
	}, nil
}

func regularSize(r any) int64 {
	file, ok := r.(*os.File)
	if !ok {
		return 0
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// isTerminal says that a stream of the invocation is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// abandonable reads the standard input until a context ends, and gives io.EOF
// from then on. Nothing can end a Read of a terminal or of an inherited pipe: a
// goroutine that waits in one at the end stays there until the process exits.
type abandonable struct {
	ctx context.Context
	// The one buffer goes to and fro: empty to the goroutine that reads, filled
	// back.
	empty  chan []byte
	filled chan readResult
	// last is what came last, rest what of it has not been delivered yet.
	last readResult
	rest []byte
}

type readResult struct {
	data []byte
	err  error
}

func newAbandonable(ctx context.Context, r io.Reader) *abandonable {
	a := &abandonable{ctx: ctx, empty: make(chan []byte, 1), filled: make(chan readResult, 1)}
	a.empty <- make([]byte, linesAtOnce)
	go a.fill(r)
	return a
}

// fill reads. The buffer is not the caller's, into which a Read that was given
// up must not write.
func (a *abandonable) fill(r io.Reader) {
	for {
		select {
		case buf := <-a.empty:
			n, err := r.Read(buf[:cap(buf)])
			a.filled <- readResult{buf[:n], err}
			if err != nil {
				return
			}
		case <-a.ctx.Done():
			return
		}
	}
}

func (a *abandonable) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.last.err != nil {
			return 0, a.last.err
		}
		if a.last.data != nil {
			a.empty <- a.last.data
			a.last.data = nil
		}
		select {
		case a.last = <-a.filled:
			a.rest = a.last.data
		case <-a.ctx.Done():
			a.last = readResult{err: io.EOF}
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}
