package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
)

// A slot file keeps a small value that is overwritten often, in place, so that
// a full disk is no obstacle and flash is spared: two slots, a page each, are
// written in turn. A power cut can cost the slot being written, never both.
//
//	 0                        4096
//	┌────────────────────────┬────────────────────────┐
//	│ slot of odd writes     │ slot of even writes    │
//	└────────────────────────┴────────────────────────┘
//	┌──────────┬──────┬─────────┬─────────┬────────────┐
//	│ "mslt"   │  n   │  write  │  value  │  CRC-32C   │   n: u32, bytes in value
//	│ 4 bytes  │ u32  │   u64   │ n bytes │    u32     │   write: u64, counts up
//	└──────────┴──────┴─────────┴─────────┴────────────┘
//
// The checksum covers all that stands before it. The slot with the highest
// write number counts.
const (
	slotMagic  = "mslt"
	slotPage   = 4096
	slotHeader = 16
	maxValue   = slotPage - slotHeader - 4
)

// slotFile writes a slot file, which is opened, or made, when that is first
// needed. Not safe for concurrent use.
type slotFile struct {
	fs    fileSystem
	name  string
	file  file
	write uint64 // number of the last write
	buf   []byte
}

// errDamaged says that bytes on disk are not what was written.
var errDamaged = errors.New("damaged")

// readSlots returns the newest value in a slot file. The error is
// fs.ErrNotExist, errDamaged or the disk's.
func readSlots(fsys fileSystem, name string) (value []byte, write uint64, err error) {
	data, err := readFile(fsys, name, 2*slotPage)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		data, err = readFile(fsys, name, 2*slotPage) // Much hangs on it.
	}
	if err != nil {
		return nil, 0, err
	}
	for at := 0; at < len(data); at += slotPage {
		v, n, ok := parseSlot(data[at:min(at+slotPage, len(data))])
		if ok && n > write {
			value, write = v, n
		}
	}
	if write == 0 {
		return nil, 0, fmt.Errorf("%s: neither slot has the right checksum: %w", name, errDamaged)
	}
	return value, write, nil
}

func parseSlot(b []byte) (value []byte, write uint64, ok bool) {
	if len(b) < slotHeader+4 || string(b[:4]) != slotMagic {
		return nil, 0, false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > maxValue || int(n) > len(b)-slotHeader-4 {
		return nil, 0, false
	}
	end := slotHeader + int(n)
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, 0, false
	}
	return b[slotHeader:end], binary.LittleEndian.Uint64(b[8:]), true
}

// put writes a value durably.
func (s *slotFile) put(value []byte) error {
	write := s.write + 1
	b := append(s.buf[:0], slotMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = binary.LittleEndian.AppendUint64(b, write)
	b = append(b, value...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	s.buf = b
	at := int64(1-write%2) * slotPage
	if s.file == nil {
		f, err := s.fs.OpenFile(s.name, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			// Both pages now, so that a disk that is full later is no obstacle; and
			// whole or not at all, or it would look damaged.
			pages := make([]byte, 2*slotPage)
			copy(pages[at:], b)
			if err = writeFile(s.fs, s.name, pages); err == nil {
				s.write = write
			}
			return err
		}
		if err != nil {
			return err
		}
		s.file = f
	}
	_, err := s.file.WriteAt(b, at)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// The same slot is written again, by a fresh handle: the other is whole.
		s.close()
		return err
	}
	s.write = write
	return nil
}

func (s *slotFile) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// fields reads and writes the numbers in a value.
type fields struct {
	b  []byte
	ok bool
}

func (f *fields) uint64() uint64 {
	if len(f.b) < 8 {
		f.ok = false
		return 0
	}
	v := binary.LittleEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

// valueVersion is the version that a value begins with.
func valueVersion(value []byte) uint64 {
	f := fields{b: value, ok: true}
	return f.uint64()
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}
