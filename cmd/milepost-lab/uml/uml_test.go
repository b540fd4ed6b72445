//go:build linux

package uml

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the init of the guests that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == InitCommand {
		fmt.Fprintln(os.Stderr, Init(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// guest runs a shell script in a guest whose files for the host are in dir.
func guest(t *testing.T, opts Options, script string, args ...string) (code int, stdout, stderr string, err error) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector cannot map its memory in a guest")
	}
	var out, errs bytes.Buffer
	opts.Stdout, opts.Stderr = &out, &errs
	code, err = Run(t.Context(), opts, append([]string{"/bin/sh", "-c", script, "sh"}, args...)...)
	if errors.Is(err, ErrNoKernel) || errors.Is(err, ErrMachine) {
		t.Skip(err)
	}
	return code, out.String(), errs.String(), err
}

func TestRun(t *testing.T) {
	t.Setenv("MILEPOST_TEST_VALUE", "a 'b' \"c\"\n")
	dir := t.TempDir()
	t.Chdir(dir)
	code, stdout, stderr, err := guest(t, Options{Modules: []string{"vcan", "nbd"}}, `
		printf '%s;\n' "$MILEPOST_TEST_VALUE"
		pwd
		printf '<%s>\n' "$@"
		printf 'bytes \r\n\t\001\n'
		echo complaint >&2
		cut -d ' ' -f 1 /proc/modules | sort
		cat /sys/class/net/lo/flags
		test -b /dev/nbd0 && test -c /dev/null && echo devices
		echo $MILEPOST_UML
		echo here >file
		exit 7`, "one", "", "two words", `"quoted"`)
	if err != nil {
		t.Fatal(err)
	}
	want := "a 'b' \"c\"\n;\n" + dir + "\n<one>\n<>\n<two words>\n<\"quoted\">\nbytes \r\n\t\001\ncan_dev\nnbd\nvcan\n0x9\ndevices\n1\n"
	if code != 7 || stdout != want || stderr != "complaint\n" {
		t.Errorf("exit code %d, stderr %q, stdout\n%q, want\n%q", code, stderr, stdout, want)
	}
	if text, err := os.ReadFile("file"); string(text) != "here\n" {
		t.Errorf("what the guest wrote is %q on the host: %v", text, err)
	}
}

// TestNothingIsLost: a guest's serial line is no pipe, but passes on all the same.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	_, stdout, _, err := guest(t, Options{}, `seq 1 100000`)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range 100000 {
		fmt.Fprintln(&want, i+1)
	}
	if stdout != want.String() {
		t.Errorf("%d bytes arrived of %d", len(stdout), want.Len())
	}
}

func TestWithoutExitCode(t *testing.T) {
	for name, c := range map[string]struct {
		opts   Options
		script string
		want   string
	}{
		"panic":   {Options{}, "echo c >/proc/sysrq-trigger", "Kernel panic - not syncing: sysrq triggered crash"},
		"module":  {Options{Modules: []string{"isotp_of_tomorrow"}}, "", "no module isotp_of_tomorrow"},
		"timeout": {Options{Timeout: 1500 * time.Millisecond}, "sleep 60", "the time limit of 1.5s is over"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			_, _, _, err := guest(t, c.opts, c.script)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
			left, _ := filepath.Glob(filepath.Join(dir, "*"))
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			checkNoProcess(t, dir)
		})
	}
}

// checkNoProcess checks that no process has dir in its command line.
func checkNoProcess(t *testing.T, dir string) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(dir)) {
			t.Errorf("a process is left: %q", line)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("linux.uml"); err != nil || runtime.GOARCH != "amd64" || raceEnabled {
		t.Skip(ErrNoKernel)
	}
	// The guest says that it runs by making a file; then it is no longer wanted.
	sign := filepath.Join(t.TempDir(), "sign")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		for {
			if _, err := os.Stat(sign); err == nil || ctx.Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	_, err := Run(ctx, Options{}, "/bin/sh", "-c", `: >"$1"; sleep 60`, "sh", sign)
	if err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("the error is %v", err)
	}
	checkNoProcess(t, sign)
}

func TestNoKernel(t *testing.T) {
	if _, err := Run(t.Context(), Options{Kernel: filepath.Join(t.TempDir(), "linux.uml")}, "/bin/true"); !errors.Is(err, ErrNoKernel) && !errors.Is(err, ErrMachine) {
		t.Errorf("without a kernel the error is %v", err)
	}
	if _, err := Run(t.Context(), Options{}); err == nil {
		t.Error("without a program there is no error")
	}
}

// TestInitElsewhere: what would power the machine off runs in a guest only.
func TestInitElsewhere(t *testing.T) {
	if err := Init(t.TempDir()); err == nil {
		t.Error("Init does not mind that it is not the first process")
	}
}

func TestConsole(t *testing.T) {
	c := &console{}
	for i := range 10000 {
		fmt.Fprintf(c, "line %d\r\n", i)
	}
	if text := c.String(); len(text) > consoleBytes || !strings.HasSuffix(text, "line 9998\nline 9999") {
		t.Errorf("%d bytes, the last ones %q", len(text), text[len(text)-20:])
	}
	if line := c.panic("signal: aborted"); line != "signal: aborted" {
		t.Errorf("there is no panic in it, but %q", line)
	}
	fmt.Fprintf(c, "Kernel panic - not syncing: no init\r\nCPU: 0\r\n")
	if line := c.panic("signal: aborted"); line != "Kernel panic - not syncing: no init" {
		t.Errorf("the panic is %q", line)
	}
}
