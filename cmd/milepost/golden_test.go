package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); `go test -update` accepts it:\n%s", path, diff)
	}
}

// outcome is what a run of the program did.
type outcome struct {
	code           int
	stdout, stderr string
}

// milepost runs the program in this process.
func milepost(stdin io.Reader, args ...string) outcome {
	return milepostContext(context.Background(), stdin, args...)
}

func milepostContext(ctx context.Context, stdin io.Reader, args ...string) outcome {
	if stdin == nil {
		stdin = bytes.NewReader(nil)
	}
	var stdout, stderr bytes.Buffer
	inv := &invocation{
		args: args, stdin: stdin, stdout: &stdout, stderr: &stderr,
		getenv: func(string) (string, bool) { return "", false },
	}
	code := inv.run(ctx)
	return outcome{code, stdout.String(), stderr.String()}
}
