package volatiledisk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The ioctls of linux/nbd.h.
const (
	nbdSetSock       = 0xab00
	nbdSetBlockSize  = 0xab01
	nbdDoIt          = 0xab03
	nbdClearSock     = 0xab04
	nbdSetSizeBlocks = 0xab07
	nbdDisconnect    = 0xab08
	nbdSetFlags      = 0xab0a
)

// Device is a disk as a block device of the kernel.
type Device struct {
	Path string // such as /dev/nbd3

	device *os.File
	ended  sync.WaitGroup // the kernel's side and ours
}

// attaching is held while a device is chosen and set up.
var (
	attaching  sync.Mutex
	attachedAt int // how many were attached: the next one takes the device behind it
)

// Attach makes a block device of a disk. It needs root, and the kernel module
// nbd. The devices are taken in turn, because a kernel needs a while to forget
// one that was detached.
func Attach(d *Disk) (*Device, error) {
	attaching.Lock()
	defer attaching.Unlock()
	devices, _ := filepath.Glob("/dev/nbd*")
	devices = slices.DeleteFunc(devices, func(path string) bool {
		return strings.Contains(filepath.Base(path), "p") // of a partition
	})
	if len(devices) == 0 {
		return nil, errors.New("volatiledisk: there is no /dev/nbd0: the kernel module nbd is not loaded")
	}
	for range devices {
		path := devices[attachedAt%len(devices)]
		attachedAt++
		if _, err := os.Stat(pidFile(path)); errors.Is(err, fs.ErrNotExist) {
			v := &Device{Path: path}
			if err := v.attach(d); err != nil {
				return nil, fmt.Errorf("volatiledisk: %s: %w", path, err)
			}
			return v, nil
		}
	}
	return nil, fmt.Errorf("volatiledisk: all of %d nbd devices are in use", len(devices))
}

// pidFile is there while a device is connected.
func pidFile(path string) string { return "/sys/block/" + filepath.Base(path) + "/pid" }

func (v *Device) attach(d *Disk) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	kernel := pair[0]
	ours := os.NewFile(uintptr(pair[1]), "nbd")
	if v.device, err = os.OpenFile(v.Path, os.O_RDWR, 0); err != nil {
		unix.Close(kernel)
		ours.Close()
		return err
	}
	fd := int(v.device.Fd())
	for _, setting := range []struct {
		ioctl uint
		value int
	}{
		{nbdSetBlockSize, SectorSize},
		{nbdSetSizeBlocks, int(d.Size() / SectorSize)},
		{nbdSetFlags, TransmissionFlags},
		{nbdSetSock, kernel},
	} {
		if err := unix.IoctlSetInt(fd, setting.ioctl, setting.value); err != nil {
			unix.Close(kernel)
			ours.Close()
			v.device.Close()
			return fmt.Errorf("ioctl %#x: %w", setting.ioctl, err)
		}
	}
	unix.Close(kernel) // the kernel has it now
	v.ended.Go(func() {
		d.Serve(ours) // the client says what is wrong: its reads fail
		ours.Close()
	})
	v.ended.Go(func() { stayConnected(fd) })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(pidFile(v.Path)); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			v.Detach()
			return errors.New("the kernel does not connect")
		}
	}
}

// stayConnected lends the kernel a thread until the device is disconnected. A
// signal would end that: the Go runtime sends its threads signals to have them
// yield, and one that comes just as the call begins would take the disk away. So
// the thread takes none, and ends with the goroutine that is locked to it.
func stayConnected(fd int) {
	runtime.LockOSThread()
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i]--
	}
	unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil)
	unix.IoctlSetInt(fd, nbdDoIt, 0)
}

// Detach takes the device away. What is mounted on it must be unmounted before.
func (v *Device) Detach() error {
	fd := int(v.device.Fd())
	err := unix.IoctlSetInt(fd, nbdDisconnect, 0)
	if e := unix.IoctlSetInt(fd, nbdClearSock, 0); err == nil {
		err = e
	}
	v.ended.Wait()
	if e := v.device.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("volatiledisk: detaching %s: %w", v.Path, err)
	}
	return nil
}
