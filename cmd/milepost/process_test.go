package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/cantest"
)

// runMain in the environment makes the test binary milepost itself, so that
// tests have processes to kill.
const runMain = "MILEPOST_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
	}
	code := m.Run()
	for _, d := range drives {
		os.RemoveAll(d.dir)
	}
	os.Exit(code)
}

// process makes a command that runs milepost.
func process(t testing.TB, args ...string) (command *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command = exec.Command(self, args...)
	command.Env = append(os.Environ(), runMain+"=1", "TMPDIR="+t.TempDir())
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	command.Stdout, command.Stderr = stdout, stderr
	return command, stdout, stderr
}

// start starts a process, which does not outlive the test.
func start(t testing.TB, command *exec.Cmd) {
	t.Helper()
	err := command.Start()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("needs a kernel that starts this program: under qemu-user, one with binfmt_misc")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if command.ProcessState == nil {
			command.Process.Kill()
			command.Wait()
		}
	})
}

// exitCode waits for a process.
func exitCode(t testing.TB, command *exec.Cmd) int {
	t.Helper()
	var exit *exec.ExitError
	if err := command.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode()
}

// recordedDrive is the log of a simulated drive and its database. Tests share
// it and must not change it.
type recordedDrive struct {
	once     sync.Once
	duration time.Duration
	dir      string
	err      error
}

var drives = []*recordedDrive{{duration: 10 * time.Second}, {duration: time.Minute}}

// shortDrive has 10 windows.
func shortDrive(t testing.TB) (log, database string) { return drives[0].files(t) }

// longDrive has 60 windows.
func longDrive(t testing.TB) (log, database string) { return drives[1].files(t) }

func (d *recordedDrive) files(t testing.TB) (log, database string) {
	t.Helper()
	d.once.Do(func() { d.err = d.record() })
	if d.err != nil {
		t.Fatal(d.err)
	}
	return filepath.Join(d.dir, "drive.log"), filepath.Join(d.dir, "demo.dbc")
}

func (d *recordedDrive) record() (err error) {
	if d.dir, err = os.MkdirTemp("", "milepost-drive-"); err != nil {
		return err
	}
	if err = os.WriteFile(filepath.Join(d.dir, "demo.dbc"), cantest.DemoDBC(), 0o644); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(d.dir, "drive.log"))
	if err != nil {
		return err
	}
	defer file.Close()
	drive := cantest.NewDrive(cantest.DriveOptions{Duration: d.duration, Seed: 1})
	w := canlog.NewWriter(file, canlog.WriterOptions{})
	frames := make([]can.Frame, 256)
	for {
		n, err := drive.Read(frames)
		if e := w.Write(frames[:n], drive.Buses()); e != nil {
			return e
		}
		if err == io.EOF {
			return w.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// writeFile makes a file and gives its path.
func writeFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.String()
}
