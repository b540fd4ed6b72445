package update

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"milepost/cmd/internal/slots"
)

// block is a partition of the kernel.
type block struct {
	*os.File
	size int64
	// direct reads past the page cache, into page, which is aligned as that needs.
	direct *os.File
	page   []byte
}

// openPartition opens a partition for writing. What is mounted is refused by the
// kernel: whatever the state says, a system that runs is not overwritten.
func openPartition(path string) (*block, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("%w: it is mounted, and so not the slot that may be written", err)
	}
	if err != nil {
		return nil, err
	}
	p := &block{File: file}
	p.size, err = file.Seek(0, io.SeekEnd)
	if err == nil {
		p.direct, err = os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
		if errors.Is(err, unix.EINVAL) { // a file in memory, which stands for a partition
			p.direct, err = os.Open(path)
		}
	}
	if err == nil {
		p.page, err = unix.Mmap(-1, 0, chunkSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func (p *block) Size() int64 { return p.size }

// ReadMedium reads up to a chunk, at a multiple of 4096.
func (p *block) ReadMedium(body []byte, offset int64) error {
	aligned := (len(body) + 4095) &^ 4095
	if n, err := p.direct.ReadAt(p.page[:aligned], offset); n < len(body) {
		return err
	}
	copy(body, p.page)
	return nil
}

// Close closes the files. What was not synced may be lost.
func (p *block) Close() error {
	if p.page != nil {
		unix.Munmap(p.page)
	}
	if p.direct != nil {
		p.direct.Close()
	}
	return p.File.Close()
}

// Machine is the device that runs, with its disk.
type Machine struct {
	Booted *slots.Booted
	disk   *os.File
	lock   *os.File
}

// LockFile is held while the boot state is changed.
const LockFile = "/run/milepost-update.lock"

// OpenMachine opens the disk of the device, as the stage has named it. With write,
// it takes a lock against others who do.
func OpenMachine(bootedFile, lockFile string, write bool) (*Machine, error) {
	booted, err := slots.ReadBooted(bootedFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: this machine was not started from an image of milepost's, whose initramfs writes it; packages are updated with apt, dnf or opkg", err)
	}
	if err != nil {
		return nil, err
	}
	m := &Machine{Booted: booted}
	mode := os.O_RDONLY
	if write {
		mode = os.O_RDWR
		if m.lock, err = lock(lockFile); err != nil {
			return nil, err
		}
	}
	if m.disk, err = os.OpenFile(booted.Disk, mode, 0); err != nil {
		m.Close()
		return nil, fmt.Errorf("%w: this needs root", err)
	}
	return m, nil
}

func lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: this needs root", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another update is under way (%s: %w)", path, err)
	}
	return file, nil
}

// State reads the boot state, see slots.Read.
func (m *Machine) State() (slots.State, error) { return slots.Read(m.disk) }

// SetState makes a boot state durable.
func (m *Machine) SetState(s slots.State) error {
	_, err := slots.Write(m.disk, s)
	return err
}

// Target opens what an update writes to. Call close when it is done.
func (m *Machine) Target() (t Target, close func() error, err error) {
	partition, err := openPartition(m.Booted.Partition(m.Booted.Started.Other()))
	if err != nil {
		return Target{}, nil, err
	}
	return Target{State: m.disk, Running: m.Booted.Started, Partition: partition}, partition.Close, nil
}

// Close gives the disk and the lock back.
func (m *Machine) Close() error {
	var err error
	if m.disk != nil {
		err = m.disk.Close()
	}
	if m.lock != nil {
		m.lock.Close()
	}
	return err
}

// KernelRelease is that of the running kernel, as uname -r says it.
func KernelRelease() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	release, _, _ := strings.Cut(string(name.Release[:]), "\x00")
	return release, nil
}
