package volatiledisk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// FileSystem is a kind of file system and how it is made and mounted.
type FileSystem struct {
	Type    string
	Make    []string // the command that makes one; the image's path is appended
	Package string   // Debian's, that has the command
	Options string   // of mount
}

const imageBytes = 32 << 20

// Ext4 is ext4 as Debian makes it, but small, with the blocks of a larger one.
var Ext4 = FileSystem{
	Type: "ext4", Package: "e2fsprogs",
	Make: []string{"mke2fs", "-q", "-t", "ext4", "-F", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
}

// With returns f with other options of mount.
func (f FileSystem) With(options string) FileSystem {
	f.Options = options
	return f
}

func (f FileSystem) String() string {
	if f.Options == "" {
		return f.Type
	}
	return f.Type + " " + f.Options
}

// images are the file systems made so far, empty: making one takes longer than
// a cut. They are for one goroutine at a time.
var images = map[string][]byte{}

func (f FileSystem) image() ([]byte, error) {
	if image, ok := images[f.Type]; ok {
		return bytes.Clone(image), nil
	}
	program, err := exec.LookPath(f.Make[0])
	for _, dir := range []string{"/usr/sbin", "/sbin"} { // which are root's only on some systems
		if err != nil {
			program, err = exec.LookPath(filepath.Join(dir, f.Make[0]))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("there is no %s: on Debian, `apt-get install %s`", f.Make[0], f.Package)
	}
	file := filepath.Join(memory, f.Type+".image")
	defer os.Remove(file)
	if err := os.WriteFile(file, make([]byte, imageBytes), 0o600); err != nil {
		return nil, err
	}
	if said, err := exec.Command(program, append(f.Make[1:], file)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", program, err, said)
	}
	image, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	images[f.Type] = image
	return bytes.Clone(image), nil
}

// memory is a directory of a guest that is gone with it.
const memory = "/dev/shm"

// Machine is a disk with a file system, and the kernel that has mounted it. Its
// methods are for one goroutine at a time.
type Machine struct {
	Dir  string // where the file system is mounted
	Disk *Disk  // of now: after a cut, Restart puts another in its place

	fs     FileSystem
	opts   Options
	device *Device // while it is attached
}

// NewMachine makes a machine with an empty file system, which is to be mounted
// below /dev/shm under a name.
func NewMachine(name string, fs FileSystem, opts Options) (*Machine, error) {
	image, err := fs.image()
	if err != nil {
		return nil, fmt.Errorf("volatiledisk: %w", err)
	}
	m := &Machine{Dir: filepath.Join(memory, name), fs: fs, opts: opts}
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("volatiledisk: %w", err)
	}
	m.Disk, err = New(image, opts)
	return m, err
}

// MountError is a file system that cannot be mounted.
type MountError struct{ Cause error }

func (e *MountError) Error() string { return "the file system cannot be mounted: " + e.Cause.Error() }

// Start attaches the disk and mounts its file system. Where that cannot be
// mounted, the error is a *MountError.
func (m *Machine) Start() (err error) {
	if m.device, err = Attach(m.Disk); err != nil {
		return err
	}
	if err := unix.Mount(m.device.Path, m.Dir, m.fs.Type, unix.MS_NOATIME, m.fs.Options); err != nil {
		return errors.Join(&MountError{fmt.Errorf("%s on %s: %w\n%s", m.fs, m.device.Path, err, kernelLog())}, m.detach())
	}
	return nil
}

// Stop unmounts and detaches the disk, which may be dead.
func (m *Machine) Stop() error {
	var err error
	// A process that was killed may still have the last of its files open.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if err = unix.Unmount(m.Dir, 0); err != unix.EBUSY || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("volatiledisk: unmounting %s: %w; this process has open there: %v", m.Dir, err, openBelow(m.Dir))
	}
	return errors.Join(err, m.detach())
}

// openBelow are the files in a directory that this process has open.
func openBelow(dir string) (open []string) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if file, err := os.Readlink(link); err == nil && strings.HasPrefix(file, dir+"/") {
			open = append(open, file)
		}
	}
	return open
}

func (m *Machine) detach() error {
	v := m.device
	m.device = nil
	return v.Detach()
}

// IsCut says whether the power is gone.
func (m *Machine) IsCut() bool {
	select {
	case <-m.Disk.Gone():
		return true
	default:
		return false
	}
}

// Restart brings the power back.
func (m *Machine) Restart() (err error) {
	m.Disk, err = m.Disk.Restart(m.opts)
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

// HurryWriteback sets when the kernel writes what nobody has synced: after a
// hundredth of a second, or as it does by default.
func HurryWriteback(hurried bool) error {
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
