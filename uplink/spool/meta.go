package spool

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// The file meta says what the directory is. It is written once, and again when
// the spool gets a later version.
//
//	┌────────────┬─────────┬──────────┬───────────┬──────────┐
//	│ "msspool\n"│ version │    ID    │  created  │ CRC-32C  │
//	│  8 bytes   │   u32   │ 16 bytes │ i64, ns   │   u32    │
//	└────────────┴─────────┴──────────┴───────────┴──────────┘
//
// In all versions the file begins with the magic bytes and the version, and
// ends with the checksum of all that stands before it.
const (
	metaMagic     = "msspool\n"
	formatVersion = 3
	// plainVersion is what a spool has that was never thinned: an older program
	// can go on with it.
	plainVersion = 2
	metaBytes    = 8 + 4 + 16 + 8 + 4
)

// ErrNewer says that a newer milepost wrote the spool. Nothing is changed then.
var ErrNewer = errors.New("made by a newer milepost")

type meta struct {
	version uint32 // as it is on disk; 0 if it is not
	id      [16]byte
	created time.Time
}

func newMeta() meta {
	m := meta{created: time.Now()}
	rand.Read(m.id[:])
	return m
}

func (m meta) encode(version uint32) []byte {
	b := append(make([]byte, 0, metaBytes), metaMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = append(b, m.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.created.UnixNano()))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readMeta reads the file meta. The error is fs.ErrNotExist, ErrNewer,
// errDamaged or the disk's.
func readMeta(fsys fileSystem, name string) (meta, error) {
	b, err := readFile(fsys, name, 1<<20)
	if err != nil {
		return meta{}, err
	}
	body := len(b) - 4
	if body < 12 || string(b[:8]) != metaMagic || crc32.Checksum(b[:body], castagnoli) != binary.LittleEndian.Uint32(b[body:]) {
		return meta{}, fmt.Errorf("%s: %w", name, errDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > formatVersion {
		return meta{}, fmt.Errorf("%s: format version %d, this program knows up to %d: %w; upgrade it, or give it its own spool directory", name, v, formatVersion, ErrNewer)
	}
	if len(b) != metaBytes || binary.LittleEndian.Uint32(b[8:]) == 0 {
		return meta{}, fmt.Errorf("%s: %w", name, errDamaged)
	}
	m := meta{version: binary.LittleEndian.Uint32(b[8:]), created: time.Unix(0, int64(binary.LittleEndian.Uint64(b[28:])))}
	copy(m.id[:], b[12:])
	return m, nil
}
