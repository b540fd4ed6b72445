package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"milepost/cmd/internal/slots"
)

// Partition is where a system goes, or a model of it.
type Partition interface {
	io.WriterAt
	// Sync returns when what was written survives a power cut.
	Sync() error
	// ReadMedium reads what the disk has, past the memory of the kernel. It may need
	// offsets that are multiples of 4096.
	ReadMedium(p []byte, offset int64) error
	Size() int64 // bytes
}

// Target is what an update writes to.
type Target struct {
	State     slots.Device
	Running   slots.Slot // what runs is never written
	Partition Partition  // that of the other slot
}

// syncEvery is how many chunks are written before they are made durable: what
// waits in memory stays small, and the progress is a true one.
const syncEvery = 8

// Ready says why an update cannot begin, if it cannot: what runs must be what a
// power cut would start again, or the slot that is written could be started.
func Ready(s slots.State, running slots.Slot) error {
	switch {
	case s.Trial != slots.None && s.Trial == running:
		return errors.New("this system is on trial itself: wait until `milepost update status` says that it is kept, or say `milepost update keep`")
	case s.Trial != slots.None:
		return fmt.Errorf("version %s waits in slot %v for its trial: restart, and see what comes of it", s.System(s.Trial).Version, s.Trial)
	case s.Active != running:
		return fmt.Errorf("slot %v runs, but slot %v is the one that starts: restart first", running, s.Active)
	}
	return nil
}

// Apply writes a bundle's payload to the slot that does not run, and has it tried
// at the next start. After an error what runs stays what starts; the other slot is
// then empty, if something was written.
//
// The order of the writes is what makes every power cut harmless. While the slot is
// written, the state says that it is empty, so nothing starts it. The first bytes,
// with the file system's superblock, come last: should the state be lost
// altogether, half a system does not even mount. The trial is set when all is
// durable and was read back.
func Apply(ctx context.Context, b *Bundle, t Target, progress func(done int64)) error {
	state, _ := slots.Read(t.State) // the next start would go by it, too; what is damaged is mended by the first write
	if err := Ready(state, t.Running); err != nil {
		return err
	}
	if size := t.Partition.Size(); b.Manifest.Size > size {
		return fmt.Errorf("the payload has %d bytes, and the slot has room for %d: flash a new image", b.Manifest.Size, size)
	}
	slot := t.Running.Other()
	state, err := slots.Write(t.State, state.Empty(slot))
	if err != nil {
		return err
	}
	if err := write(ctx, b, t.Partition, progress); err != nil {
		return err
	}
	_, err = slots.Write(t.State, state.Try(slot, b.Manifest.Version, 1))
	return err
}

// head is the part of the payload that is written last: the superblock is in it,
// and a disk writes it whole or not at all.
const head = 4096

// write writes the payload, makes it durable and reads it back.
func write(ctx context.Context, b *Bundle, p Partition, progress func(int64)) error {
	chunk, err := b.Next()
	if err != nil {
		return err
	}
	first := bytes.Clone(chunk[:min(len(chunk), head)])
	if err := durably(p, make([]byte, len(first)), 0); err != nil {
		return err
	}
	chunk = chunk[len(first):]
	done := int64(len(first))
	for n := 1; err == nil; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := p.WriteAt(chunk, done); err != nil {
			return fmt.Errorf("byte %d of the slot: %w", done, err)
		}
		done += int64(len(chunk))
		if n%syncEvery == 0 {
			if err := p.Sync(); err != nil {
				return fmt.Errorf("making the slot durable up to byte %d: %w", done, err)
			}
		}
		progress(done)
		chunk, err = b.Next()
	}
	if err != io.EOF {
		return err
	}
	if err := p.Sync(); err != nil {
		return fmt.Errorf("making the slot durable: %w", err)
	}
	for i := len(b.Manifest.Chunks) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i == 0 {
			if err := durably(p, first, 0); err != nil {
				return err
			}
		}
		if err := b.reread(p, i); err != nil {
			return err
		}
	}
	return nil
}

func durably(p Partition, body []byte, offset int64) error {
	if _, err := p.WriteAt(body, offset); err != nil {
		return fmt.Errorf("byte %d of the slot: %w", offset, err)
	}
	if err := p.Sync(); err != nil {
		return fmt.Errorf("making byte %d of the slot durable: %w", offset, err)
	}
	return nil
}

// reread checks that the disk has a chunk of the payload.
func (b *Bundle) reread(p Partition, i int) error {
	offset := int64(i) * chunkSize
	chunk := b.buf[:min(b.Manifest.Size-offset, chunkSize)]
	if err := p.ReadMedium(chunk, offset); err != nil {
		return fmt.Errorf("reading back byte %d of the slot: %w", offset, err)
	}
	sum := sha256.Sum256(chunk)
	if hex.EncodeToString(sum[:]) != strings.ToLower(b.Manifest.Chunks[i]) {
		return fmt.Errorf("bytes %d to %d of the slot are not what was written to them: the disk is worn out or lies; the system that runs is untouched", offset, offset+int64(len(chunk))-1)
	}
	return nil
}

// Verify reads a whole bundle without writing anything.
func (b *Bundle) Verify(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := b.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
