package slots

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf8"
)

// Where the two copies are on the disk, in bytes: sectors 16 and 24, between the
// partition table and the first partition. They lie 4096 bytes apart and each alone
// in its 4096 bytes, which is what disks write whole or not at all.
const (
	FirstOffset  = 16 * 512
	SecondOffset = 24 * 512
	SectorSize   = 512
)

// Limits of the texts, in bytes. Longer ones are cut off.
const (
	MaxVersion = 63
	MaxReason  = 200
)

// A sector, little endian:
//
//	  0  magic "mpslots\n"
//	  8  u16  format version, 1
//	 10  u8   active slot: 1 A, 2 B
//	 11  u8   slot on trial: 0 none, 1 A, 2 B
//	 12  u8   tries left
//	 13  u8   outcome of the last trial: 0 none, 1 kept, 2 rolled back, 3 fell back
//	 14  u8   bit 0: A is whole; bit 1: B is whole
//	 15  u8   length of the reason
//	 16  u64  sequence
//	 24  u8   length of the version in A, then up to 63 bytes
//	 88  u8   length of the version in B, then up to 63 bytes
//	152       the reason, up to 200 bytes
//	352       zeros
//	508  u32  CRC-32C of bytes 0 to 507
//
// The stage of an image is never updated, so what a later milepost writes must be
// understood by the stage of today: the format version stays 1, and what is added
// goes into the zeros, which this version ignores.
const (
	magic         = "mpslots\n"
	formatVersion = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Device is a disk, or a file that stands for one. *os.File is one.
type Device interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when what was written survives a power cut.
	Sync() error
}

// ErrNoState says that neither sector has ever been written: a new image.
var ErrNoState = errors.New("there is no boot state yet")

// Read reads the newest valid copy. With an error, which says what is wrong with
// each copy, the state is still the one to go on with: that of the other copy, or
// of a new image if neither is valid.
func Read(d io.ReaderAt) (State, error) {
	first, second := readSector(d, FirstOffset), readSector(d, SecondOffset)
	if first.err != nil && second.err != nil {
		if errors.Is(first.err, ErrNoState) && errors.Is(second.err, ErrNoState) {
			return New(), nil
		}
		return New(), fmt.Errorf("no valid copy of the boot state, taken for a new image: %w; %w", first.err, second.err)
	}
	newest, other := newer(first, second)
	if errors.Is(other.err, ErrNoState) { // after the first write
		return newest.state, nil
	}
	return newest.state, other.err
}

// Write makes a state durable, as the successor of what is on the disk, whatever
// the sequence in it. It overwrites the copy that is older or damaged. After an
// error either the old state or the new one is in force.
func Write(d Device, s State) (State, error) {
	first, second := readSector(d, FirstOffset), readSector(d, SecondOffset)
	s.Sequence = 1
	offset := int64(FirstOffset)
	if first.err == nil || second.err == nil {
		newest, other := newer(first, second)
		s.Sequence = newest.state.Sequence + 1
		offset = other.offset
	}
	sector := s.encode()
	if _, err := d.WriteAt(sector[:], offset); err != nil {
		return s, fmt.Errorf("writing the boot state at byte %d: %w", offset, err)
	}
	if err := d.Sync(); err != nil {
		return s, fmt.Errorf("making the boot state at byte %d durable: %w", offset, err)
	}
	return s, nil
}

// sector is what was found at one of the two offsets.
type sector struct {
	offset int64
	state  State
	err    error
}

// newer orders two sectors of which at least one is valid.
func newer(a, b sector) (newest, other sector) {
	if a.err != nil || b.err == nil && b.state.Sequence > a.state.Sequence {
		return b, a
	}
	return a, b
}

func readSector(d io.ReaderAt, offset int64) sector {
	var body [SectorSize]byte
	if _, err := d.ReadAt(body[:], offset); err != nil {
		return sector{offset: offset, err: fmt.Errorf("boot state at byte %d: %w", offset, err)}
	}
	s, err := decode(&body)
	if err != nil {
		err = fmt.Errorf("boot state at byte %d: %w", offset, err)
	}
	return sector{offset, s, err}
}

func (s State) encode() (b [SectorSize]byte) {
	le := binary.LittleEndian
	copy(b[0:], magic)
	le.PutUint16(b[8:], formatVersion)
	b[10], b[11], b[12], b[13] = byte(s.Active), byte(s.Trial), s.TriesLeft, byte(s.Outcome)
	for i, system := range s.Systems {
		if system.Whole {
			b[14] |= 1 << i
		}
		field := b[24+64*i:][:64]
		field[0] = byte(copy(field[1:], cut(system.Version, MaxVersion)))
	}
	b[15] = byte(copy(b[152:][:MaxReason], cut(s.Reason, MaxReason)))
	le.PutUint64(b[16:], s.Sequence)
	le.PutUint32(b[508:], crc32.Checksum(b[:508], castagnoli))
	return b
}

func decode(b *[SectorSize]byte) (State, error) {
	le := binary.LittleEndian
	if *b == [SectorSize]byte{} {
		return State{}, ErrNoState
	}
	if string(b[:8]) != magic {
		return State{}, errors.New("damaged: the magic bytes are missing")
	}
	if le.Uint32(b[508:]) != crc32.Checksum(b[:508], castagnoli) {
		return State{}, errors.New("damaged: the checksum is wrong")
	}
	if v := le.Uint16(b[8:]); v != formatVersion {
		return State{}, fmt.Errorf("format version %d is not known, %d is", v, formatVersion)
	}
	s := State{
		Sequence: le.Uint64(b[16:]),
		Active:   Slot(b[10]), Trial: Slot(b[11]), TriesLeft: b[12],
		Outcome: Outcome(b[13]),
	}
	if !s.Active.valid() || s.Trial != None && s.Trial != s.Active.Other() || s.Outcome > FellBack ||
		b[15] > MaxReason || b[24] > MaxVersion || b[88] > MaxVersion {
		return State{}, fmt.Errorf("makes no sense: slot %d active, %d on trial, outcome %d", b[10], b[11], b[13])
	}
	for i := range s.Systems {
		field := b[24+64*i:][:64]
		s.Systems[i] = System{Whole: b[14]&(1<<i) != 0, Version: cut(string(field[1:][:field[0]]), MaxVersion)}
	}
	s.Reason = cut(string(b[152:][:b[15]]), MaxReason)
	return s, nil
}

// cut shortens a text to a line of at most n bytes, and not within a character.
func cut(text string, n int) string {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
