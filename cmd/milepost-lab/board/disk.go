package board

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"milepost/firmware/debian"
	"milepost/uplink/uplinktest/volatiledisk"
)

// NewDisk makes a data disk of so many bytes with an empty ext4 on it. Its cache
// is volatile: see Board.CutPower.
func NewDisk(ctx context.Context, size int64, opts volatiledisk.Options) (*volatiledisk.Disk, error) {
	program, err := debian.FindProgram("mke2fs", "e2fsprogs")
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	dir, err := os.MkdirTemp("", "milepost-disk-")
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "image")
	err = os.WriteFile(file, nil, 0o600)
	if err == nil {
		err = os.Truncate(file, size)
	}
	if err == nil {
		// Everything is written now: what the kernel would write later, at its
		// leisure, would be in the way of the test.
		err = debian.Run(ctx, program, "-q", "-t", "ext4", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", file)
	}
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	image, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	return volatiledisk.New(image, opts)
}

// diskArguments are QEMU's for a disk behind a socket. Write-back is what has the
// guest's flushes arrive at the disk, and nothing else be one.
func diskArguments(path string) []string {
	return []string{
		"-drive", "file=nbd+unix:///?socket=" + path + ",format=raw,if=none,id=data,cache=writeback",
		"-device", "virtio-blk-device,drive=data",
	}
}

// serveDisk serves a disk until the listener is closed.
func serveDisk(l net.Listener, disk *volatiledisk.Disk, serving *sync.WaitGroup, messages io.Writer) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		serving.Go(func() {
			defer conn.Close()
			err := disk.Negotiate(conn)
			if err == nil {
				err = disk.Serve(conn)
			}
			// QEMU that is killed just leaves.
			if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				fmt.Fprintf(messages, "the disk's client: %v\n", err)
			}
		})
	}
}

// followDisk takes the board's power away when the disk's is gone: there is one
// switch for both. So a cut that waits for a request (volatiledisk.Disk.CutAfter)
// comes in the middle of what the guest does.
func followDisk(disk *volatiledisk.Disk, e *emulator) {
	select {
	case <-disk.Gone():
		e.cmd.Process.Kill()
	case <-e.ended:
	}
}

// CutPower cuts the power of disk and board at once, without any warning. Of what
// the guest has written and not flushed the disk keeps a part that depends on the
// seed. The disk's Restart gives one for the next board.
func (b *Board) CutPower(seed uint64) (volatiledisk.CutReport, error) {
	if b.opts.Disk == nil {
		return volatiledisk.CutReport{}, errors.New("board: there is no data disk")
	}
	report := b.opts.Disk.Cut(seed)
	b.Stop()
	return report, nil
}

// MountData mounts the data disk at control.DataDir, with options of mount(8) for
// ext4.
func (b *Board) MountData(ctx context.Context, options string) error {
	return b.call(ctx, "MountData", options, nil)
}
