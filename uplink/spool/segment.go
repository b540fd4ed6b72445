package spool

import (
	"bytes"
	"fmt"
	"io"
)

// Span is a range of indexes, both ends included.
type Span struct{ From, To uint64 }

// Len is the number of indexes in the range.
func (s Span) Len() uint64 { return s.To - s.From + 1 }

// damage is a stretch of a segment that holds no readable record.
type damage struct {
	offset, end int64
	cause       string
}

// segment is what scanSegment found in the bytes of one segment.
type segment struct {
	entries uint64
	last    uint64 // the last readable index, base-1 if there is none
	end     int64  // where the last readable record ends
	lost    []Span // indexes before last that are not readable
	damage  []damage
	// seen is the highest index that can be made out, in unreadable bytes too:
	// it was given to an entry once, whatever became of it.
	seen uint64
	// groups is how many entries tidwall/wal counts in it; -1 where it could not
	// open it.
	groups int
	times  timeRange // of its groups
	table  thinned   // of a thinned chapter
}

// reach moves last up to an index: what is between is lost, unless it was
// thinned.
func (s *segment) reach(index uint64) {
	s.lost = s.table.without(s.lost, Span{s.last + 1, index})
	s.last = index
}

// lostTo returns what is not readable up to an index, behind last as well.
func (s *segment) lostTo(index uint64) []Span {
	if s.last >= index {
		return s.lost
	}
	return s.table.without(s.lost, Span{s.last + 1, index})
}

// scanSegment reads all records of a segment whose first index is base, up to
// the index limit, and passes them to visit, if there is one, until that
// returns false. After damage it looks for the next whole record, so one bad
// byte costs one entry. Records beyond limit are superseded by a later chapter
// and no damage.
func scanSegment(data []byte, base, limit uint64, visit func(offset int64, rec record) bool) (found segment) {
	found = segment{last: base - 1, seen: base - 1}
	// Looking for a record costs a checksum a candidate. Real damage has few;
	// the allowance bounds what bytes made for the purpose can cost.
	allowance := 16*int64(len(data)) + 1<<20
	groupEnd, torn := 0, false // of tidwall/wal's last entry
	defer func() {
		// What was thinned behind the last entry is accounted for.
		if n := len(found.table.spans); n > 0 && found.table.spans[n-1].From <= found.last+1 {
			found.last = min(limit, max(found.last, found.table.spans[n-1].To))
			found.seen = max(found.seen, found.last)
		}
		if torn || len(found.damage) > 0 || groupEnd != len(data) {
			found.groups = -1
		}
	}()
	for offset := 0; offset < len(data); {
		rec, size, v := parseRecord(data[offset:])
		if v == whole && rec.index > limit {
			break
		}
		if v == whole && offset == groupEnd {
			found.groups++
			groupEnd = offset + size + max(0, rec.group)
		} else {
			torn = torn || rec.group >= 0 || offset+size > groupEnd
		}
		if v == whole && rec.group >= 0 && rec.index > found.last {
			found.seen = max(found.seen, rec.index)
			found.times.add(rec.times)
			offset += size
			found.end = int64(offset)
			continue
		}
		if v == whole && rec.table && found.last == base-1 {
			if found.table, rec.cause = parseTable(rec.payload, base); rec.cause != "" {
				found.damage = append(found.damage, damage{int64(offset), int64(offset + size), rec.cause})
			}
			offset += size
			found.end = int64(offset)
			continue
		}
		if v == whole && rec.index > found.last && !rec.table {
			if rec.index > found.last+1 {
				found.reach(rec.index - 1)
			}
			found.last, found.seen = rec.index, max(found.seen, rec.index)
			if rec.cause != "" {
				found.lost = append(found.lost, Span{rec.index, rec.index})
				found.damage = append(found.damage, damage{int64(offset), int64(offset + size), rec.cause})
			} else {
				found.entries++
				if visit != nil && !visit(int64(offset), rec) {
					return found
				}
			}
			offset += size
			found.end = int64(offset)
			continue
		}
		next := 0
		if v == whole {
			rec.cause = fmt.Sprintf("the record with index %d stands where %d or more is due", rec.index, found.last+1)
			next = offset + size
		} else {
			if rec.index == found.seen+1 && rec.index <= limit {
				found.seen = rec.index
			}
			if size > 0 && offset+size < len(data) {
				// The length may be right and only the rest damaged.
				if rec, _, v := parseRecord(data[offset+size:]); v == whole || rec.index != 0 {
					next = offset + size
				}
			}
		}
		if next == 0 {
			next = findRecord(data, offset+1, found.last, limit, &allowance)
		}
		found.damage = append(found.damage, damage{int64(offset), int64(next), rec.cause})
		offset = next
	}
	return found
}

// findRecord returns where the next whole record with an index above last and
// up to limit begins, at offset or behind it, or len(data) if there is none.
func findRecord(data []byte, offset int, last, limit uint64, allowance *int64) int {
	pattern := []byte{magic0, magic1}
	for at := offset; at < len(data); at++ {
		i := bytes.Index(data[at:], pattern)
		if i < 0 {
			break
		}
		at += i
		// The length in front of the magic bytes has one to four bytes, all but
		// the last with the high bit set.
		for n := 1; n <= maxLength && at-n >= offset; n++ {
			start := at - n
			if n > 1 && data[start]&0x80 == 0 || data[at-1]&0x80 != 0 {
				continue
			}
			rec, size, v := parseRecord(data[start:])
			if v != partial {
				*allowance -= int64(size)
			}
			if v == whole && rec.index > last && rec.index <= limit && !rec.table {
				return start
			}
			if *allowance < 0 {
				return len(data)
			}
		}
	}
	return len(data)
}

// segmentReader reads the records of a segment one after another through a
// window that slides over the file: a few pages, or one record if that is
// larger. Not safe for concurrent use.
type segmentReader struct {
	file   file
	offset int64 // of window in the file
	window []byte
	buffer []byte
}

// windowBytes is how much a segmentReader reads at a time.
const windowBytes = 128 << 10

// maxIdleBuffer is the largest buffer that is kept for the next entries after
// one very large one.
const maxIdleBuffer = 1 << 20

func (r *segmentReader) open(f file) {
	r.close()
	r.file, r.offset, r.window = f, 0, nil
}

func (r *segmentReader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
	if cap(r.buffer) > maxIdleBuffer {
		r.buffer = nil
	}
}

// next returns the next record of the segment, whose first size bytes are
// written. The payload is valid until the next call. The error io.EOF comes
// exactly at size; errDamaged, where the bytes are no whole record (the reader
// then stays where it is); any other error is the disk's.
func (r *segmentReader) next(size int64) (record, error) {
	for {
		left := size - r.offset
		if left <= 0 {
			return record{}, io.EOF
		}
		rec, n, v := parseRecord(r.window)
		switch {
		case v == whole:
			r.offset += int64(n)
			r.window = r.window[n:]
			if rec.group < 0 && !rec.table {
				return rec, nil
			}
			continue
		case v == bad, int64(n) > left:
			return rec, errDamaged
		}
		if err := r.fill(int(min(left, int64(max(n, windowBytes))))); err != nil {
			return record{}, err
		}
	}
}

// fill makes the window n bytes long; n is more than it has.
func (r *segmentReader) fill(n int) error {
	if cap(r.buffer) < n {
		grown := make([]byte, max(n, windowBytes))
		copy(grown, r.window)
		r.buffer = grown
	} else {
		copy(r.buffer[:n], r.window)
	}
	have := len(r.window)
	got, err := r.file.ReadAt(r.buffer[have:n], r.offset+int64(have))
	r.window = r.buffer[:have+got]
	if have+got == n {
		return nil
	}
	if err == io.EOF {
		// The file is shorter than what was written to it.
		return errDamaged
	}
	return err
}

// readSegment reads the first size bytes of a segment, or all of it if size is
// negative. Where the disk refuses to read, the bytes are zero: they fail their
// checksums, and what stands around them is still found.
func readSegment(f file, size int64) ([]byte, error) {
	if size < 0 {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		size = info.Size()
	}
	if size != int64(int(size)) {
		return nil, fmt.Errorf("%d bytes are too many for a segment", size)
	}
	data := make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if err == nil || err == io.EOF {
		return data[:n], nil
	}
	const page = 4096
	for at := n - n%page; at < len(data); at += page {
		part := data[at:min(at+page, len(data))]
		if got, err := f.ReadAt(part, int64(at)); err == io.EOF {
			return data[:at+got], nil
		} else if err != nil {
			clear(part)
		}
	}
	return data, nil
}
