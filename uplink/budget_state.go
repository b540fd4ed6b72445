package uplink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// What a Budget stores, little-endian:
//
//	┌───────────┬─────────┬───────────┬───────────┬─────────┬───────────┬──────────────┐
//	│ version 1 │   day   │ day used  │ undated   │  month  │ used      │ undated      │
//	│    u32    │   u32   │    u64    │    u64    │   u32   │    u64    │     u64      │
//	└───────────┴─────────┴───────────┴───────────┴─────────┴───────────┴──────────────┘
//
// The labels are decimal: 20260131 is a day, 20260100 a month, 0 none.
const (
	budgetVersion = 1
	budgetBytes   = 4 + 2*(4+8+8)
)

// store makes what is used up durable, ahead with a block more than it is. The
// caller holds the mutex.
func (b *Budget) store(ahead bool) {
	if b.o.Store == nil {
		return
	}
	value := binary.LittleEndian.AppendUint32(make([]byte, 0, budgetBytes), budgetVersion)
	for _, p := range []*period{&b.day, &b.month} {
		used := p.used
		if ahead && p.limit > 0 {
			used += max(p.limit/1000, 1)
		}
		value = binary.LittleEndian.AppendUint32(value, p.label)
		value = binary.LittleEndian.AppendUint64(value, used)
		value = binary.LittleEndian.AppendUint64(value, p.undated)
		p.stored = used + p.undated // also if it fails: the next try comes with the next block
	}
	b.err = b.o.Store.Store(value)
}

// decode takes over a stored value. The caller holds the mutex, or is alone.
func (b *Budget) decode(value []byte) error {
	if len(value) < 4 {
		return fmt.Errorf("budget: %d bytes are no state of it", len(value))
	}
	switch v := binary.LittleEndian.Uint32(value); {
	case v > budgetVersion:
		b.o.Store = nil // it is left as it is
		return fmt.Errorf("budget: its state is of version %d, which a newer milepost wrote; it is left alone, and what is used up is counted anew", v)
	case v != budgetVersion || len(value) < budgetBytes:
		return fmt.Errorf("budget: its state (%d bytes, version %d) is none", len(value), v)
	}
	value = value[4:]
	for _, p := range []*period{&b.day, &b.month} {
		p.label = binary.LittleEndian.Uint32(value)
		p.used = binary.LittleEndian.Uint64(value[4:])
		p.undated = binary.LittleEndian.Uint64(value[12:])
		p.stored = p.used + p.undated
		value = value[20:]
	}
	return nil
}

// BudgetFile is a BudgetStore in a file, which is overwritten in place: two
// copies, a page each, are written in turn, so that a power cut costs the newer
// one at most.
//
//	┌──────────┬───────────┬──────┬─────────┬────────────┐
//	│ "mbud"   │  write    │  n   │  value  │  CRC-32C   │ twice, at 0 and at 4096
//	│ 4 bytes  │   u64     │ u32  │ n bytes │    u32     │ write counts up
//	└──────────┴───────────┴──────┴─────────┴────────────┘
//
// The checksum covers what stands before it. It is not safe for concurrent use.
type BudgetFile struct {
	path  string
	write uint64
}

const (
	budgetMagic  = "mbud"
	budgetHeader = 4 + 8 + 4
	budgetPage   = 4096
	maxBudget    = 64 // bytes of a value
)

// NewBudgetFile makes a BudgetStore of the file at path, which need not be there
// yet.
func NewBudgetFile(path string) *BudgetFile { return &BudgetFile{path: path} }

// Load implements BudgetStore. A file of which neither copy is whole is an error
// that Store makes good.
func (b *BudgetFile) Load() ([]byte, error) {
	file, err := os.Open(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, 2*budgetPage))
	if err != nil {
		return nil, err
	}
	var value []byte
	for at := 0; at < len(data); at += budgetPage {
		if v, write, ok := parseBudget(data[at:min(at+budgetPage, len(data))]); ok && write >= b.write {
			value, b.write = v, write
		}
	}
	if value == nil {
		return nil, fmt.Errorf("%s: neither copy is whole; what was used up is counted anew", b.path)
	}
	return value, nil
}

func parseBudget(b []byte) (value []byte, write uint64, ok bool) {
	if len(b) < budgetHeader+4 || string(b[:4]) != budgetMagic {
		return nil, 0, false
	}
	n := binary.LittleEndian.Uint32(b[12:])
	if n > maxBudget || int(n) > len(b)-budgetHeader-4 {
		return nil, 0, false
	}
	end := budgetHeader + int(n)
	sum := crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli))
	if binary.LittleEndian.Uint32(b[end:]) != sum {
		return nil, 0, false
	}
	return b[budgetHeader:end], binary.LittleEndian.Uint64(b[4:]), true
}

// Store implements BudgetStore.
func (b *BudgetFile) Store(value []byte) (err error) {
	if len(value) > maxBudget {
		return fmt.Errorf("%s: a value of %d bytes is too long, %d are allowed", b.path, len(value), maxBudget)
	}
	file, err := os.OpenFile(b.path, os.O_RDWR, 0)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		file, err = os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o640)
	}
	if err != nil {
		return err
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	write := b.write + 1
	data := append([]byte(nil), budgetMagic...)
	data = binary.LittleEndian.AppendUint64(data, write)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(value)))
	data = append(data, value...)
	data = binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	if _, err := file.WriteAt(data, int64(write%2)*budgetPage); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	b.write = write
	if made {
		// Some systems cannot sync a folder; the file is then found or not.
		if dir, err := os.Open(filepath.Dir(b.path)); err == nil {
			dir.Sync()
			dir.Close()
		}
	}
	return nil
}
