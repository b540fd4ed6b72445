package image

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	sectorSize = 512
	mib        = 1 << 20
	// alignment of partitions: no erase block of a card is shared by two.
	alignment = 4 * mib
)

// Layout is how the disk is divided: a partition table, the boot state behind it
// (cmd/internal/slots), and four partitions from 4 MiB on.
//
//	p1  FAT32  what starts the board, and what its owner puts there
//	p2  system A
//	p3  system B, empty in a new image
//	p4  data; the first start makes it as large as the disk allows
type Layout struct {
	Boot   Span
	A, B   Span
	Data   Span
	Signed uint32 // the disk's signature, by which the stage knows it
}

// Span is a part of the disk, in bytes.
type Span struct{ Offset, Size int64 }

// End is the first byte behind it.
func (s Span) End() int64 { return s.Offset + s.Size }

// Size is that of the image.
func (l *Layout) Size() int64 { return l.Data.End() }

// newLayout divides a disk. Sizes are in MiB.
func newLayout(boot, system, data int) Layout {
	var l Layout
	next := int64(alignment)
	take := func(size int) Span {
		s := Span{next, (int64(size)*mib + alignment - 1) / alignment * alignment}
		next = s.End()
		return s
	}
	l.Boot, l.A, l.B, l.Data = take(boot), take(system), take(system), take(data)
	return l
}

// Types of partitions.
const (
	typeFAT32 = 0x0c // with LBA
	typeLinux = 0x83
)

// partitionTable is the first sector of the disk (UEFI specification, section
// 5.2.1, legacy MBR):
//
//	440  u32  signature of the disk
//	446       four entries of 16 bytes: 0x80 for the active one, first sector as
//	          cylinder, head and sector, type, last sector likewise, u32 first
//	          sector, u32 number of sectors
//	510       0x55 0xaa
//
// Nothing looks at cylinders any more: they are the greatest that there are.
func (l *Layout) partitionTable() ([]byte, error) {
	le := binary.LittleEndian
	sector := make([]byte, sectorSize)
	le.PutUint32(sector[440:], l.Signed)
	for i, p := range []struct {
		Span
		kind byte
	}{{l.Boot, typeFAT32}, {l.A, typeLinux}, {l.B, typeLinux}, {l.Data, typeLinux}} {
		first, count := p.Offset/sectorSize, p.Size/sectorSize
		if first+count > 1<<32-1 {
			return nil, errors.New("the partition table reaches 2 TiB and no further")
		}
		entry := sector[446+16*i:][:16]
		if i == 0 {
			entry[0] = 0x80
		}
		copy(entry[1:4], "\xfe\xff\xff")
		entry[4] = p.kind
		copy(entry[5:8], "\xfe\xff\xff")
		le.PutUint32(entry[8:], uint32(first))
		le.PutUint32(entry[12:], uint32(count))
	}
	sector[510], sector[511] = 0x55, 0xaa
	return sector, nil
}

// fits says whether something has its place.
func (s Span) fits(what string, size int64) error {
	if size > s.Size {
		return fmt.Errorf("%s has %d MiB, and its partition %d", what, (size+mib-1)/mib, s.Size/mib)
	}
	return nil
}
