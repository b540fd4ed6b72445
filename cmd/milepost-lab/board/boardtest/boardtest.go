// Package boardtest starts virtual boards in tests: what they need is fetched and
// built, they end with their test, and the log of a board whose test has failed is
// shown.
package boardtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/firmware/debian"
)

// Variable is set in the environment of tests that may start boards. Without it
// they skip: a board needs programs of Debian, its package sources, and seconds.
const Variable = "MILEPOST_BOARD"

// Require skips the test unless boards may be started.
func Require(t testing.TB) {
	t.Helper()
	if os.Getenv(Variable) == "" {
		t.Skip("a virtual board needs QEMU and Debian's kernels: `make test-board`")
	}
}

// Start switches a board on. Kernel and Guest of the options are filled in where
// they are empty. The board is stopped when the test ends.
func Start(t testing.TB, opts board.Options) *board.Board {
	t.Helper()
	Require(t)
	if opts.Kernel == nil {
		opts.Kernel = Kernel(t, opts.Machine)
	}
	if opts.Guest == "" {
		opts.Guest = built(t, opts.Machine, "guest", func(ctx context.Context, dir string) (string, error) {
			return board.BuildGuest(ctx, opts.Machine, dir)
		})
	}
	b, err := board.Start(t.Context(), opts)
	if missing := new(debian.MissingError); errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Stop()
		if t.Failed() {
			t.Logf("what the board (%s) said, with seconds since power-on:\n%s", opts.Machine, b.Console())
		}
	})
	endInTime(t, b)
	times := b.Times()
	t.Logf("%s with kernel %s: first output after %.2f s, ready after %.2f s; init %.2f s after the kernel began",
		opts.Machine, opts.Kernel.Release, times.Output.Seconds(), times.Ready.Seconds(), times.Init.Seconds())
	return b
}

// lastWords is how long before its time limit a test loses its board, so that it
// can still say what happened.
const lastWords = 15 * time.Second

// endInTime stops the board shortly before the test's time limit: what waits for
// the board then fails, and the board's log is shown. At the limit itself go test
// would end everything without a word.
func endInTime(t testing.TB, b interface{ Stop() }) {
	limited, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return
	}
	if deadline, ok := limited.Deadline(); ok {
		timer := time.AfterFunc(time.Until(deadline.Add(-lastWords)), b.Stop)
		t.Cleanup(func() { timer.Stop() })
	}
}

// Kernel is the machine's, fetched if need be.
func Kernel(t testing.TB, m board.Machine) *debian.Kernel {
	t.Helper()
	Require(t)
	k, err := board.FetchKernel(t.Context(), m, "")
	if missing := new(debian.MissingError); errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Milepost is the product, built for a machine.
func Milepost(t testing.TB, m board.Machine) (file string) {
	t.Helper()
	return built(t, m, "milepost", func(ctx context.Context, dir string) (string, error) {
		file := filepath.Join(dir, "milepost-"+m.Name)
		return file, board.Build(ctx, m, "milepost/cmd/milepost", file)
	})
}

// programs are those built so far by this process.
var programs struct {
	sync.Mutex
	files map[string]string
}

// built builds a program once, into the project's folder for what is built.
func built(t testing.TB, m board.Machine, name string, build func(ctx context.Context, dir string) (string, error)) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	key := name + " " + m.Name
	if file := programs.files[key]; file != "" {
		return file
	}
	project, err := projectDir()
	if err != nil {
		t.Fatalf("asking go for the project's folder: %v", err)
	}
	dir := filepath.Join(project, "out", "board")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	file, err := build(t.Context(), dir)
	if missing := new(debian.MissingError); errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("built %s in %.1f s", filepath.Base(file), time.Since(begin).Seconds())
	if programs.files == nil {
		programs.files = map[string]string{}
	}
	programs.files[key] = file
	return file
}
