//go:build linux

package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"milepost/uplink/uplinktest/volatiledisk"
)

// fileSystem is a kind of file system and how it is made and mounted.
type fileSystem struct {
	fstype  string
	make    []string // the image's path is appended
	options string   // of mount
}

const imageBytes = 32 << 20

var ext4 = fileSystem{fstype: "ext4", make: []string{"mke2fs", "-q", "-t", "ext4", "-F", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"}}

func (f fileSystem) with(options string) fileSystem {
	f.options = options
	return f
}

func (f fileSystem) String() string {
	if f.options == "" {
		return f.fstype
	}
	return f.fstype + " " + f.options
}

// images are the file systems made so far, empty: making one takes longer than
// a cut.
var images = map[string][]byte{}

func (f fileSystem) image() ([]byte, error) {
	if image, ok := images[f.fstype]; ok {
		return bytes.Clone(image), nil
	}
	file := filepath.Join(memory, f.fstype)
	defer os.Remove(file)
	if err := os.WriteFile(file, make([]byte, imageBytes), 0o600); err != nil {
		return nil, err
	}
	if said, err := exec.Command(f.make[0], append(f.make[1:], file)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", f.make[0], err, said)
	}
	image, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	images[f.fstype] = image
	return bytes.Clone(image), nil
}

// memory is a directory that goes with the guest.
const memory = "/dev/shm"

// machine is a computer whose power can be cut: its disk, and what a kernel has
// made of it.
type machine struct {
	fileSystem
	dir    string // where the disk is mounted
	disk   *volatiledisk.Disk
	device *volatiledisk.Device // while it is attached
}

func newMachine(f fileSystem, opts volatiledisk.Options) (*machine, error) {
	image, err := f.image()
	if err != nil {
		return nil, err
	}
	m := &machine{fileSystem: f, dir: filepath.Join(memory, "disk")}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, err
	}
	m.disk, err = volatiledisk.New(image, opts)
	return m, err
}

// mountError is a file system that cannot be mounted.
type mountError struct{ cause error }

func (e *mountError) Error() string { return "the file system cannot be mounted: " + e.cause.Error() }

// start attaches and mounts the disk.
func (m *machine) start() (err error) {
	if m.device, err = volatiledisk.Attach(m.disk); err != nil {
		return err
	}
	if err := unix.Mount(m.device.Path, m.dir, m.fstype, unix.MS_NOATIME, m.options); err != nil {
		return errors.Join(&mountError{fmt.Errorf("%s on %s: %w\n%s", m.fileSystem, m.device.Path, err, kernelLog())}, m.detach())
	}
	return nil
}

// stop unmounts and detaches the disk, which may be dead.
func (m *machine) stop() error {
	var err error
	// A process that was killed may still have the last of its files open.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if err = unix.Unmount(m.dir, 0); err != unix.EBUSY || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("unmounting %s: %w", m.dir, err)
	}
	return errors.Join(err, m.detach())
}

func (m *machine) detach() error {
	v := m.device
	m.device = nil
	return v.Detach()
}

// restart brings the power back.
func (m *machine) restart(opts volatiledisk.Options) (err error) {
	m.disk, err = m.disk.Restart(opts)
	return err
}

// kernelLog is the last that the kernel has said.
func kernelLog() string {
	const most = 1 << 10
	text := make([]byte, 64<<10)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, text)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, n-most):n])
}

// hurryWriteback sets when the kernel writes what nobody has synced: after a
// hundredth of a second, or as it does by default.
func hurryWriteback(hurried bool) error {
	for name, usual := range map[string]string{"dirty_writeback_centisecs": "500", "dirty_expire_centisecs": "3000"} {
		value := usual
		if hurried {
			value = "1"
		}
		if err := os.WriteFile(filepath.Join("/proc/sys/vm", name), []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}
