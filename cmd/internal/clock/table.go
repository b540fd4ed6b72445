package clock

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"milepost/aggregate"
	"milepost/uplink"
)

// table is what was learnt of the last boots, the most recent one at the end. Its
// file is text, for people too, and is written anew beside and renamed, so that a
// power cut leaves the old one or the new one:
//
//	milepost clock 1
//	BOOT-ID QUALITY OFFSET ERROR          one line a boot; nanoseconds
//	crc32c DIGITS                         of all before it
//
// The offset is the right time less the boot clock. Boots of which nothing is
// learnt have no line.
type table struct {
	boots []bootOffset
}

type bootOffset struct {
	boot   uplink.BootID
	learnt Learnt
}

const (
	tableName    = "milepost clock "
	tableVersion = "1"
	// maxBoots is more than a vehicle starts while it is out of reach: a month of
	// twenty drives a day, in 50 KiB.
	maxBoots     = 600
	maxTableSize = 1 << 20
)

// errNewer says that a table was written by a newer program.
var errNewer = errors.New("it was written by a newer milepost, and is left as it is")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// find returns what was learnt of a boot.
func (t *table) find(boot uplink.BootID) (Learnt, bool) {
	for i := len(t.boots) - 1; i >= 0; i-- {
		if t.boots[i].boot == boot {
			return t.boots[i].learnt, true
		}
	}
	return Learnt{}, false
}

// set keeps what was learnt of a boot, and reports whether that is new.
func (t *table) set(boot uplink.BootID, l Learnt) bool {
	if old, ok := t.find(boot); ok && old == l {
		return false
	}
	t.boots = slices.DeleteFunc(t.boots, func(b bootOffset) bool { return b.boot == boot })
	t.boots = append(t.boots, bootOffset{boot, l})
	if n := len(t.boots) - maxBoots; n > 0 {
		t.boots = slices.Delete(t.boots, 0, n)
	}
	return true
}

// encode writes the table as its file.
func (t *table) encode() []byte {
	out := []byte(tableName + tableVersion + "\n")
	for _, b := range t.boots {
		out = fmt.Appendf(out, "%v %v %d %d\n", b.boot, b.learnt.Clock, b.learnt.Offset, int64(b.learnt.Error))
	}
	return fmt.Appendf(out, "crc32c %08x\n", crc32.Checksum(out, castagnoli))
}

// parseTable is the inverse of encode.
func parseTable(text []byte) (t table, err error) {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	version, ours := strings.CutPrefix(string(first), tableName)
	if _, err := strconv.ParseUint(version, 10, 31); !ours || err != nil {
		return t, fmt.Errorf("line 1 is not %q", tableName+tableVersion)
	}
	if version != tableVersion {
		return t, errNewer
	}
	end := bytes.LastIndex(text, []byte("crc32c "))
	if end < 0 || string(text[end:]) != fmt.Sprintf("crc32c %08x\n", crc32.Checksum(text[:end], castagnoli)) {
		return t, errors.New("its checksum is wrong")
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(text[:end]), "\n"), "\n")[1:] {
		b, err := parseBoot(line)
		if err != nil {
			return table{}, fmt.Errorf("line %d: %w", i+2, err)
		}
		t.set(b.boot, b.learnt)
	}
	return t, nil
}

func parseBoot(line string) (b bootOffset, err error) {
	words := strings.Split(line, " ")
	if len(words) != 4 {
		return b, fmt.Errorf("%d words, not 4", len(words))
	}
	var errs [3]error
	var known bool
	var wrong int64
	b.boot, errs[0] = uplink.ParseBootID(words[0])
	b.learnt.Clock, known = aggregate.ParseClock(words[1])
	b.learnt.Offset, errs[1] = strconv.ParseInt(words[2], 10, 64)
	wrong, errs[2] = strconv.ParseInt(words[3], 10, 64)
	b.learnt.Error = time.Duration(wrong)
	if !known {
		err = fmt.Errorf("unknown quality %q", words[1])
	}
	return b, errors.Join(err, errors.Join(errs[:]...))
}

// loadTable reads the file. One that is damaged is put aside.
func loadTable(path string) (t table, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return t, err
	}
	if info.Size() > maxTableSize {
		err = fmt.Errorf("it has %d bytes, more than a table of boots", info.Size())
	} else {
		var text []byte
		if text, err = os.ReadFile(path); err != nil {
			return t, err
		}
		t, err = parseTable(text)
	}
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, errNewer):
		return t, fmt.Errorf("%s: %w", path, err)
	}
	aside := path + ".damaged"
	if e := os.Rename(path, aside); e != nil {
		return t, fmt.Errorf("%s: %w (and it cannot be put aside: %w)", path, err, e)
	}
	return t, fmt.Errorf("%s: %w; it is kept as %s", path, err, aside)
}

// save writes an encoded table durably.
func saveTable(path string, text []byte) (err error) {
	beside := path + ".new"
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return err
	}
	// Some systems cannot sync a folder; after a power cut it is then the old table.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		dir.Sync()
		dir.Close()
	}
	return nil
}
