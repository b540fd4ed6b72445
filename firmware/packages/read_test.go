package packages

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// These readers know of the formats only what their specifications say, so that
// the tests of the writers need no other program. .ci/packages asks the real ones.

func readAr(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	rest, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	if !ok {
		t.Fatalf("no ar archive: %q", data[:8])
	}
	members := make(map[string][]byte)
	for len(rest) > 0 {
		header := rest[:60]
		if string(header[58:]) != "`\n" {
			t.Fatalf("no header of a member: %q", header)
		}
		size, err := strconv.Atoi(strings.TrimSpace(string(header[48:58])))
		if err != nil {
			t.Fatal(err)
		}
		members[strings.TrimSpace(string(header[:16]))] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	return members
}

func gunzip(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// entry is a file of an archive.
type entry struct {
	name, link string
	mode       int64 // permissions
	body       string
}

func (e entry) String() string {
	return fmt.Sprintf("%s %o %q%s", e.name, e.mode, e.body, strings.TrimSuffix(" -> "+e.link, " -> "))
}

func readTarGz(t *testing.T, data []byte) (entries []entry) {
	t.Helper()
	archive := tar.NewReader(bytes.NewReader(gunzip(t, data)))
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "root" || h.Gname != "root" || !h.ModTime.Equal(sampleTime) {
			t.Errorf("%s belongs to %s:%s (%d:%d), of %s", h.Name, h.Uname, h.Gname, h.Uid, h.Gid, h.ModTime)
		}
		body, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{h.Name, h.Linkname, h.Mode, string(body)})
	}
}

func names(entries []entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.name)
	}
	return all
}

// readCpio reads an archive in the new ASCII format.
func readCpio(t *testing.T, data []byte) (entries []entry) {
	t.Helper()
	for at := 0; ; {
		if string(data[at:at+6]) != "070701" {
			t.Fatalf("no header at %d: %q", at, data[at:at+6])
		}
		field := func(i int) int64 {
			n, err := strconv.ParseInt(string(data[at+6+8*i:at+14+8*i]), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		mode, size, nameSize := field(1), int(field(6)), int(field(11))
		name := string(data[at+110 : at+110+nameSize-1])
		if name == "TRAILER!!!" {
			return entries
		}
		begin := (at + 110 + nameSize + 3) &^ 3
		entries = append(entries, entry{name: name, mode: mode, body: string(data[begin : begin+size])})
		at = (begin + size + 3) &^ 3
	}
}

// rpmValue is a value of a header: its kind, how many, and the bytes from where it
// begins to the end of the data.
type rpmValue struct {
	kind, count uint32
	data        []byte
}

func (v rpmValue) strings() []string {
	return strings.Split(string(v.data), "\x00")[:v.count]
}

func (v rpmValue) int32(i int) uint32 { return binary.BigEndian.Uint32(v.data[4*i:]) }

// readRPMHeader reads a header and returns its length, too.
func readRPMHeader(t *testing.T, data []byte, region uint32) (map[uint32]rpmValue, int) {
	t.Helper()
	if string(data[:4]) != "\x8e\xad\xe8\x01" {
		t.Fatalf("no header: %x", data[:4])
	}
	count, size := int(binary.BigEndian.Uint32(data[8:])), int(binary.BigEndian.Uint32(data[12:]))
	store := data[16+16*count:][:size]
	values := make(map[uint32]rpmValue)
	last := uint32(0)
	for i := range count {
		e := data[16+16*i:]
		tag, kind, offset, n := binary.BigEndian.Uint32(e), binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])
		if i > 0 && tag <= last {
			t.Errorf("tag %d stands behind %d: rpm looks for tags in their order", tag, last)
		}
		if i == 0 {
			back := int32(binary.BigEndian.Uint32(store[offset+8:]))
			if tag != region || binary.BigEndian.Uint32(store[offset:]) != region || int(back) != -16*count {
				t.Errorf("the region %d leads back %d bytes, not over all %d entries", tag, back, count)
			}
		} else {
			last = tag
		}
		if kind == rpmInt32 && offset%4 != 0 || kind == rpmInt16 && offset%2 != 0 {
			t.Errorf("tag %d is not aligned: %d", tag, offset)
		}
		values[tag] = rpmValue{kind, n, store[offset:]}
	}
	return values, 16 + 16*count + size
}
