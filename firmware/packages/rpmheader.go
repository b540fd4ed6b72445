package packages

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Types of values in RPM's headers.
const (
	rpmInt16      = 3
	rpmInt32      = 4
	rpmString     = 6
	rpmBinary     = 7
	rpmStrings    = 8
	rpmTranslated = 9
)

// rpmHeader is a header structure of RPM: tags with values.
type rpmHeader struct{ entries []rpmEntry }

type rpmEntry struct {
	tag, kind, count uint32
	data             []byte
}

func (h *rpmHeader) add(tag, kind uint32, count int, data []byte) {
	h.entries = append(h.entries, rpmEntry{tag, kind, uint32(count), data})
}

func (h *rpmHeader) text(tag uint32, s string) { h.add(tag, rpmString, 1, append([]byte(s), 0)) }

// translated is a text in the one language of tagI18NTable.
func (h *rpmHeader) translated(tag uint32, s string) {
	h.add(tag, rpmTranslated, 1, append([]byte(s), 0))
}

func (h *rpmHeader) texts(tag uint32, all ...string) {
	var data []byte
	for _, s := range all {
		data = append(append(data, s...), 0)
	}
	h.add(tag, rpmStrings, len(all), data)
}

func (h *rpmHeader) int32s(tag uint32, all ...uint32) {
	var data []byte
	for _, n := range all {
		data = binary.BigEndian.AppendUint32(data, n)
	}
	h.add(tag, rpmInt32, len(all), data)
}

func (h *rpmHeader) int16s(tag uint32, all ...uint16) {
	var data []byte
	for _, n := range all {
		data = binary.BigEndian.AppendUint16(data, n)
	}
	h.add(tag, rpmInt16, len(all), data)
}

func (h *rpmHeader) binary(tag uint32, data []byte) { h.add(tag, rpmBinary, len(data), data) }

// encode gives the header's bytes, all numbers big-endian:
//
//	8e ad e8 01 | 4 zero bytes | number of entries | bytes of data
//	entry, 16 bytes each: tag | type | offset into the data | count
//	data
//
// The first entry is the region: its tag says which, its data are the last 16
// bytes, an entry whose offset leads back over all entries. It marks what the
// digests cover.
func (h *rpmHeader) encode(region uint32) []byte {
	entries := slices.Clone(h.entries)
	slices.SortStableFunc(entries, func(a, b rpmEntry) int { return int(a.tag) - int(b.tag) })
	var index, data bytes.Buffer
	write := func(to *bytes.Buffer, numbers ...uint32) {
		for _, n := range numbers {
			to.Write(binary.BigEndian.AppendUint32(nil, n))
		}
	}
	for _, e := range entries {
		for data.Len()%alignment(e.kind) != 0 {
			data.WriteByte(0)
		}
		write(&index, e.tag, e.kind, uint32(data.Len()), e.count)
		data.Write(e.data)
	}
	const entrySize = 16
	trailer := uint32(data.Len())
	write(&data, region, rpmBinary, -uint32(entrySize*(len(entries)+1)), entrySize)

	out := bytes.NewBufferString("\x8e\xad\xe8\x01\x00\x00\x00\x00")
	write(out, uint32(len(entries)+1), uint32(data.Len()))
	write(out, region, rpmBinary, trailer, entrySize)
	out.Write(index.Bytes())
	out.Write(data.Bytes())
	return out.Bytes()
}

// alignment is where values of a type begin: at multiples of it.
func alignment(kind uint32) int {
	switch kind {
	case rpmInt16:
		return 2
	case rpmInt32:
		return 4
	}
	return 1
}
