package board

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"milepost/firmware/debian"
)

func TestKernelFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := debian.OpenKernel(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in an empty folder the error is %v", err)
	}
	const release = "6.1.0-56-arm64"
	for name, text := range map[string]string{
		"boot/vmlinuz-" + release:                     "",
		"lib/modules/" + release + "/modules.builtin": "kernel/drivers/virtio/virtio.ko\n",
		"lib/modules/" + release + "/modules.dep":     "kernel/net/can/can.ko.xz:\nkernel/net/can/can-raw.ko.xz: kernel/net/can/can.ko.xz\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	k, err := debian.OpenKernel(dir)
	if err != nil || k.Release != release {
		t.Fatalf("the kernel is %+v: %v", k, err)
	}
	files, dependencies, err := k.ModuleFiles([]string{"virtio", "can_raw"})
	wantFiles := []string{"lib/modules/" + release + "/kernel/net/can/can.ko.xz", "lib/modules/" + release + "/kernel/net/can/can-raw.ko.xz"}
	wantDependencies := "kernel/net/can/can.ko.xz: \nkernel/net/can/can-raw.ko.xz: kernel/net/can/can.ko.xz\n"
	if err != nil || !slices.Equal(files, wantFiles) || dependencies != wantDependencies {
		t.Errorf("files %q, dependencies %q: %v", files, dependencies, err)
	}
	if _, _, err := k.ModuleFiles([]string{"vcan"}); err == nil {
		t.Error("a module that is not there was found")
	}
	// A kernel in the cache is used as it is, without apt.
	if err := os.Rename(dir, filepath.Join(filepath.Dir(dir), ARM64.debian)); err != nil {
		t.Fatal(err)
	}
	if k, err := FetchKernel(t.Context(), ARM64, filepath.Dir(dir)); err != nil || k.Release != release {
		t.Errorf("from the cache comes %+v: %v", k, err)
	}
}

func TestGPIONode(t *testing.T) {
	const source = "/ {\n\tgpio-keys {\n\t};\n\n\tpl061@9030000 {\n\t\tphandle = <1>;\n\t};\n};\n"
	if node, err := gpioNode([]byte(source)); err != nil || node != "pl061@9030000" {
		t.Errorf("the node is %q: %v", node, err)
	}
	if _, err := gpioNode([]byte("/ {\n};\n")); err == nil {
		t.Error("a chip was found where there is none")
	}
}

func TestConsole(t *testing.T) {
	c := &console{}
	if c.tail() != "" {
		t.Error("a console that has said nothing has a tail")
	}
	for _, text := range []string{"one\r\ntw", "o\n", "three"} {
		if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%d of %d bytes were taken: %v", n, len(text), err)
		}
	}
	numbers := regexp.MustCompile(`[0-9. ]+`)
	if got := numbers.ReplaceAllString(c.text(), ""); got != "one\ntwo\nthree\n" {
		t.Errorf("the text is %q", c.text())
	}
	if got := numbers.ReplaceAllString(c.last(1), ""); got != "two\n" {
		t.Errorf("the last line is %q", c.last(1))
	}
	line := strings.Repeat("x", 1<<10) + "\n"
	for range 2 * consoleBytes / len(line) {
		io.WriteString(c, line)
	}
	if n := len(c.text()); n > consoleBytes || n < consoleBytes/2 {
		t.Errorf("%d bytes are kept", n)
	}
}
