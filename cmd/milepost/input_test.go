package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// TestAbandonable reads through it in pieces of every size.
func TestAbandonable(t *testing.T) {
	text := strings.Repeat("0123456789", 20000)
	for _, size := range []int{1, 1000, linesAtOnce, 1 << 20} {
		r := newAbandonable(t.Context(), chunked{strings.NewReader(text), size})
		got, err := io.ReadAll(r)
		if err != nil || string(got) != text {
			t.Errorf("chunks of %d: read %d bytes, %v", size, len(got), err)
		}
	}
	failure := errors.New("unplugged")
	r := newAbandonable(t.Context(), io.MultiReader(strings.NewReader("abc"), failing{failure}))
	if got, err := io.ReadAll(r); string(got) != "abc" || err != failure {
		t.Errorf("got %q, %v", got, err)
	}
}

// chunked reads at most n bytes at once.
type chunked struct {
	r io.Reader
	n int
}

func (c chunked) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
