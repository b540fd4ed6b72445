package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync"
	"time"
)

// handed are the indexes of the entries that a cursor may have returned. What a
// reader has seen, and may have sent on without knowing whether it arrived, is
// never thinned: it would come again under the same key and be something else.
//
// The file of that name has them too, and more rather than less: an index is in
// it, durably, before its entry is returned for the first time. It is written in
// steps ahead of need, so that a reader who goes through all entries costs few
// writes. What it has too much costs only that less can be thinned after a
// crash. It is a sequence of spans,
//
//	┌─────────────┬────────────┬──────────┐
//	│ first index │ last index │ CRC-32C  │
//	│    u64      │    u64     │   u32    │
//	└─────────────┴────────────┴──────────┘
//
// and ends with the file, with zeros, or with a span that breaks off. Anything
// else in it means that nobody knows what was returned: then all there is counts
// as returned.
type handed struct {
	fs   fileSystem
	name string

	// spans are guarded by Spool.mu.
	spans []Span

	mu     sync.Mutex // held by who writes the file; taken while Spool.mu is not held
	marked []Span     // what the file has; guarded by both: changed with both held
	file   file
	at     int64 // where the next span goes in it
	size   int64 // of the file
	ahead  uint64
	last   time.Time // of the last write
	failed error
}

const (
	handedSpan = 20
	// handedBytes is how much room in the file is taken at once, so that a full
	// disk is no obstacle.
	handedBytes = 64 << 10
	// maxHanded is how many spans are kept apart.
	maxHanded = 1 << 14

	minAhead, maxAhead = 16, 4096
)

// addSpan adds a span to spans that ascend and are apart. With more than most of
// them, the first two become one, with what is between.
func addSpan(spans []Span, add Span, most int) []Span {
	i := len(spans)
	for i > 0 && spans[i-1].To+1 >= add.From {
		i--
	}
	j := i
	for j < len(spans) && spans[j].From <= add.To+1 {
		add = Span{min(add.From, spans[j].From), max(add.To, spans[j].To)}
		j++
	}
	spans = slices.Replace(spans, i, j, add)
	if len(spans) > most {
		spans[1].From = spans[0].From
		spans = slices.Delete(spans, 0, 1)
	}
	return spans
}

// overlaps reports whether any index of a span is in spans.
func overlaps(spans []Span, span Span) bool {
	i, _ := slices.BinarySearchFunc(spans, span.From, func(s Span, index uint64) int {
		if s.To < index {
			return -1
		}
		return 1
	})
	return i < len(spans) && spans[i].From <= span.To
}

// load reads the file; until is the highest index that there may be.
func (h *handed) load(until uint64) (cause error) {
	data, err := readFile(h.fs, h.name, math.MaxInt32)
	for at := 0; err == nil && at < len(data); at += handedSpan {
		b := data[at:min(at+handedSpan, len(data))]
		var s Span
		if len(b) == handedSpan {
			s = Span{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		}
		if len(b) == handedSpan && crc32.Checksum(b[:16], castagnoli) == binary.LittleEndian.Uint32(b[16:]) && s.From <= s.To && s.From > 0 {
			h.spans = addSpan(h.spans, s, maxHanded)
			continue
		}
		if rest := data[min(at+handedSpan, len(data)):]; slices.ContainsFunc(rest, func(c byte) bool { return c != 0 }) {
			err = errDamaged
		}
		break
	}
	if err != nil && until > 0 {
		h.spans = []Span{{1, until}}
	}
	h.marked = slices.Clone(h.spans)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// rewrite writes the file anew with the given spans.
func (h *handed) rewrite(spans []Span) error {
	size := (len(spans)*handedSpan/handedBytes + 1) * handedBytes
	b := make([]byte, 0, size)
	for _, s := range spans {
		b = appendHanded(b, s)
	}
	h.close()
	if err := writeFile(h.fs, h.name, b[:size]); err != nil {
		return err
	}
	h.at, h.size = int64(len(b)), int64(size)
	return nil
}

func appendHanded(b []byte, s Span) []byte {
	at := len(b)
	b = appendNumbers(b, s.From, s.To)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

func (h *handed) close() {
	if h.file != nil {
		h.file.Close()
		h.file = nil
	}
}

// put appends a span to the file, durably.
func (h *handed) put(s Span) (err error) {
	if h.file == nil {
		if h.file, err = h.fs.OpenFile(h.name, os.O_RDWR, 0); err != nil {
			h.file = nil
			return err
		}
	}
	if _, err = h.file.WriteAt(appendHanded(nil, s), h.at); err == nil {
		err = h.file.Sync()
	}
	if err != nil {
		h.close() // The same place is written again, by a fresh handle.
		return err
	}
	h.at += handedSpan
	return nil
}

// handLocked notes that an entry is about to be returned. It reports false if
// the file must say so first, see hand.
func (s *Spool) handLocked(index uint64) bool {
	h := s.handed
	if h == nil {
		return true
	}
	if !overlaps(h.spans, Span{index, index}) {
		h.spans = addSpan(h.spans, Span{index, index}, maxHanded)
	}
	return overlaps(h.marked, Span{index, index})
}

// hand makes durable that an entry may have been returned. Where that fails the
// entry is returned all the same, as delivery comes first: nothing is thinned
// then until it has been made good.
func (s *Spool) hand(index uint64) {
	h := s.handed
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	s.mu.Lock()
	known := overlaps(h.marked, Span{index, index})
	inRow := index > 1 && overlaps(h.marked, Span{index - 1, index - 1})
	// All that the file has stays in it: of what is returned meanwhile it may be
	// why that needs no write.
	spans := slices.Clone(h.marked)
	for _, span := range h.spans {
		spans = addSpan(spans, span, maxHanded)
	}
	s.mu.Unlock()
	if known {
		return
	}
	span := Span{index, index}
	if inRow {
		// Who reads fast marks more at once.
		if h.ahead = max(minAhead, h.ahead/2); now.Sub(h.last) < time.Second {
			h.ahead = min(4*h.ahead, maxAhead)
		}
		span.To += h.ahead - 1
	}
	h.last = now
	var err error
	whole := h.failed != nil || h.at+handedSpan > h.size
	if whole {
		spans = addSpan(spans, span, maxHanded)
		err = h.rewrite(spans)
	} else {
		err = h.put(span)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.counters.syncErrors++
		h.at, h.size = 0, 0
		if h.failed == nil {
			s.log.Warn("it cannot be noted which entries were read: nothing is thinned until it can", "dir", s.dir, "error", err)
		}
	} else {
		s.counters.syncs++
		if whole {
			h.marked = spans
		}
		h.marked = addSpan(h.marked, span, maxHanded)
	}
	h.failed = err
}

// settleHanded writes the file as exact as it can be, and forgets what was
// removed.
func (s *Spool) settleHanded() error {
	h := s.handed
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	oldest := s.oldestLocked()
	gone := 0
	for gone < len(h.spans) && h.spans[gone].To < oldest {
		gone++
	}
	h.spans = slices.Delete(h.spans, 0, gone)
	spans := slices.Clone(h.spans)
	same := h.failed == nil && h.size > 0 && slices.Equal(spans, h.marked)
	h.marked = slices.Clone(spans) // What is returned from here on waits in hand, for h.mu.
	s.mu.Unlock()
	if same {
		return nil
	}
	h.failed = h.rewrite(spans)
	return h.failed
}
