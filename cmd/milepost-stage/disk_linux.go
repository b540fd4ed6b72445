package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// disk is the one that the image is on.
type disk struct{ path string }

// diskTimeout is how long the disk may take to appear: USB disks take seconds.
const diskTimeout = time.Minute

// findDisk waits for the disk with a signature, and for its partitions.
func (s *stage) findDisk(signature uint32) (*disk, error) {
	var seen []string
	for begin := time.Now(); time.Since(begin) < diskTimeout; time.Sleep(20 * time.Millisecond) {
		names, err := filepath.Glob("/sys/block/*")
		if err != nil {
			return nil, err
		}
		seen = seen[:0]
		for _, name := range names {
			d := &disk{"/dev/" + filepath.Base(name)}
			table, err := d.table()
			if err != nil {
				continue // no medium, or still being born
			}
			if !slices.Contains(seen, d.path) {
				seen = append(seen, d.path)
			}
			if found, ok := table.signature(); !ok || found != signature {
				continue
			}
			if _, err := os.Stat(d.partition(4)); err == nil {
				return d, nil
			}
		}
	}
	return nil, fmt.Errorf("in %v no disk with signature %08x has come; there are %q: is the driver in the initramfs?", diskTimeout, signature, seen)
}

// partition is the device of a partition, by its number from 1.
func (d *disk) partition(number int) string { return partitionName(d.path, number) }

func (d *disk) table() (*partitionTable, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := new(partitionTable)
	_, err = f.ReadAt(t[:], 0)
	return t, err
}

// growPartition makes the data partition as large as the disk, once: its file
// system grows later, while it is in use (milepost-data-grow.service). A power cut
// leaves the old table or the new one, as a sector is written whole or not at all;
// both describe the same data.
func (s *stage) growPartition() error {
	f, err := os.OpenFile(s.disk.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	t := new(partitionTable)
	if _, err := f.ReadAt(t[:], 0); err != nil {
		return err
	}
	if !t.grow(3, end/sectorSize) {
		return nil
	}
	if _, err := f.WriteAt(t[:], 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := rereadPartitions(f); err != nil {
		return fmt.Errorf("the kernel takes the new table at the next start only: %w", err)
	}
	s.say("the data partition now reaches the end of the disk, %d MiB", end>>20)
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(s.disk.partition(4)); err == nil {
			return nil
		}
	}
	return errors.New("the partitions do not come back")
}

// rereadPartitions has the kernel read the table. It refuses while somebody looks
// at a partition, as it does itself when the disk is new.
func rereadPartitions(f *os.File) (err error) {
	for range 50 {
		if err = unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0); !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// loadModules loads the kernel's modules in the order of a list.
func (s *stage) loadModules(list string) {
	text, err := os.ReadFile(list)
	s.try("the list of modules", err)
	for file := range strings.Lines(string(text)) {
		s.try("loading "+strings.TrimSpace(file), loadModule(strings.TrimSpace(file)))
	}
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(file, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	// A driver for what is not there says so; it is one of several that may be.
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != nil && err != unix.EEXIST && err != unix.ENODEV {
		return err
	}
	return nil
}

// feeding is how long the stage keeps the board's watchdog quiet at most: a stage
// that hangs for longer is ended by it.
const feeding = 3 * time.Minute

// feedWatchdog starts the watchdog, if there is one, and feeds it until the system
// takes over, which has to open it again before the time is up.
func (s *stage) feedWatchdog() {
	f, err := os.OpenFile("/dev/watchdog0", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		s.try("the watchdog", err)
		return
	}
	// What the hardware can't wait for it refuses, and keeps its own time.
	_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, 30)
	go func() {
		for begin := time.Now(); time.Since(begin) < feeding; time.Sleep(2 * time.Second) {
			if _, err := f.Write([]byte{0}); err != nil {
				return
			}
		}
	}()
}
