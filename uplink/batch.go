package uplink

import (
	"encoding/binary"
	"math"
	"slices"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
)

// A batch is what the spool holds as one entry: the summaries of one or more
// windows, in the raw domain, with the description of their series once. It is
// the protobuf message milepost.v1.Batch (see docs/wire-format.md and
// schema/milepost.proto); each of its summaries is one Record.
//
// Messages within it carry their lengths in fixed-width varints (with
// continuation bits that would not be needed), which protobuf allows, so that
// nothing has to be measured or moved while it is written.

// Field numbers of milepost.v1.Batch and what it consists of.
const (
	batchDevice   = 1
	batchBoot     = 2
	batchSequence = 3
	batchGroup    = 4
	batchWindow   = 5

	groupBus      = 1
	groupID       = 2
	groupHasID    = 3
	groupExtended = 4
	groupName     = 5
	groupSeries   = 6

	seriesName   = 1
	seriesUnit   = 2
	seriesKind   = 3
	seriesBits   = 4
	seriesFactor = 5
	seriesOffset = 6

	windowStart    = 1
	windowDuration = 2
	windowRevision = 3
	windowGroup    = 4

	groupSummaryGroup = 1
	groupSummaryItem  = 2

	summarySeries   = 1
	summaryCount    = 2
	summaryFirst    = 3
	summaryMin      = 4
	summaryMax      = 5
	summaryLast     = 6
	summarySum      = 7
	summarySumHigh  = 8
	summaryTerms    = 9
	summaryScale    = 10
	summaryZero     = 11
	summaryPosFirst = 12
	summaryPos      = 13
	summaryNegFirst = 14
	summaryNeg      = 15
)

// BatchEncoder collects windows to batches. It is not safe for concurrent use.
type BatchEncoder struct {
	device string
	boot   BootID

	sequence uint64 // of the next record
	records  int    // in the open batch
	windows  []byte // the open batch's windows, encoded
	groups   []byte // and its groups
	numbers  map[*aggregate.Group]int
	order    []*aggregate.Group // groups in the order of their numbers
	out      []byte
}

// NewBatchEncoder makes an encoder that numbers its records from sequence on
// (at least 1).
func NewBatchEncoder(device string, boot BootID, sequence uint64) *BatchEncoder {
	return &BatchEncoder{device: device, boot: boot, sequence: max(1, sequence), numbers: make(map[*aggregate.Group]int)}
}

// Sequence is the number that the next record will get.
func (e *BatchEncoder) Sequence() uint64 { return e.sequence }

// Records is the number of records in the open batch.
func (e *BatchEncoder) Records() int { return e.records }

// Size is about the number of bytes of the open batch.
func (e *BatchEncoder) Size() int { return len(e.windows) + len(e.groups) }

// Add appends a window to the open batch and returns the number of its records.
func (e *BatchEncoder) Add(w *aggregate.Window) int {
	before := e.records
	dst := appendTag(e.windows, batchWindow, wireBytes)
	dst, windowAt := openMessage(dst)
	dst = appendTag(dst, windowStart, wireVarint)
	dst = appendZigzag(dst, w.Start)
	dst = appendTag(dst, windowDuration, wireVarint)
	dst = binary.AppendUvarint(dst, uint64(w.Duration))
	if w.Revision != 0 {
		dst = appendTag(dst, windowRevision, wireVarint)
		dst = binary.AppendUvarint(dst, uint64(w.Revision))
	}
	next := 0 // the number of the group if it stands where it stood in the window before
	for i := range w.Groups {
		g := &w.Groups[i]
		number := next
		if next >= len(e.order) || e.order[next] != g.Group {
			number = e.number(g.Group)
		}
		next = number + 1
		dst = appendTag(dst, windowGroup, wireBytes)
		var groupAt int
		dst, groupAt = openMessage(dst)
		dst = appendTag(dst, groupSummaryGroup, wireVarint)
		dst = binary.AppendUvarint(dst, uint64(number))
		for j := range g.Summaries {
			if s := &g.Summaries[j]; s.Count != 0 {
				dst = appendSummary(dst, j, g.Group.Series[j].Kind, s)
				e.records++
			}
		}
		closeMessage(dst, groupAt)
	}
	closeMessage(dst, windowAt)
	e.windows = dst
	n := e.records - before
	e.sequence += uint64(n)
	return n
}

// number finds or makes the number of a group in the open batch.
func (e *BatchEncoder) number(g *aggregate.Group) int {
	if n, ok := e.numbers[g]; ok {
		return n
	}
	n := len(e.order)
	e.numbers[g] = n
	e.order = append(e.order, g)
	e.groups = appendGroup(e.groups, g)
	return n
}

// Take closes the open batch and returns its bytes, which are valid until the
// next call. Nil if there is none.
func (e *BatchEncoder) Take() []byte {
	if e.records == 0 {
		e.windows = e.windows[:0]
		return nil
	}
	dst := appendString(e.out[:0], batchDevice, e.device)
	dst = appendTag(dst, batchBoot, wireBytes)
	dst = append(append(dst, byte(len(e.boot))), e.boot[:]...)
	dst = appendTag(dst, batchSequence, wireVarint)
	dst = binary.AppendUvarint(dst, e.sequence-uint64(e.records))
	dst = append(dst, e.groups...)
	dst = append(dst, e.windows...)
	e.out = dst
	e.records = 0
	e.windows, e.groups = e.windows[:0], e.groups[:0]
	clear(e.numbers)
	e.order = e.order[:0]
	return dst
}

func appendGroup(dst []byte, g *aggregate.Group) []byte {
	dst = appendTag(dst, batchGroup, wireBytes)
	dst, at := openMessage(dst)
	dst = appendString(dst, groupBus, g.Bus)
	if g.HasID {
		dst = append(appendTag(dst, groupHasID, wireVarint), 1)
		dst = appendTag(dst, groupID, wireVarint)
		dst = binary.AppendUvarint(dst, uint64(g.ID))
	}
	if g.Extended {
		dst = append(appendTag(dst, groupExtended, wireVarint), 1)
	}
	dst = appendString(dst, groupName, g.Name)
	for i := range g.Series {
		s := &g.Series[i]
		dst = appendTag(dst, groupSeries, wireBytes)
		var seriesAt int
		dst, seriesAt = openMessage(dst)
		dst = appendString(dst, seriesName, s.Name)
		dst = appendString(dst, seriesUnit, s.Unit)
		if s.Kind != 0 {
			dst = append(appendTag(dst, seriesKind, wireVarint), byte(s.Kind))
		}
		if s.Bits != 0 {
			dst = binary.AppendUvarint(appendTag(dst, seriesBits, wireVarint), uint64(s.Bits))
		}
		dst = appendDouble(dst, seriesFactor, s.Factor)
		dst = appendDouble(dst, seriesOffset, s.Offset)
		closeMessage(dst, seriesAt)
	}
	closeMessage(dst, at)
	return dst
}

// maxSummary is more than any encoded summary takes, but for the terms of a
// Float series' sum.
const maxSummary = 16*11 + 2*(histogram.MaxBuckets*10+16)

// appendSummary writes one summary. One whose samples were all equal is its
// count and the value: the rest follows from them.
//
// It is the encoder's inner loop: room is made once, and the bytes are then
// stored by index.
func appendSummary(dst []byte, series int, kind aggregate.Kind, s *aggregate.Summary) []byte {
	if need := maxSummary + 8*len(s.Sum.Terms); cap(dst)-len(dst) < need {
		dst = slices.Grow(dst, max(need, cap(dst)))
	}
	at := len(dst)
	b := dst[:cap(dst)]
	b[at] = groupSummaryItem<<3 | wireBytes
	i := at + 2 // the length takes one byte, or is moved
	if series != 0 {
		b[i] = summarySeries<<3 | wireVarint
		i = putUvarint(b, i+1, uint64(series))
	}
	b[i] = summaryCount<<3 | wireVarint
	i = putUvarint(b, i+1, s.Count)
	b[i] = summaryFirst<<3 | wireVarint
	i = putUvarint(b, i+1, zigzag(s.First))
	if s.Min != s.Max {
		b[i] = summaryMin<<3 | wireVarint
		i = putUvarint(b, i+1, zigzag(s.Min))
		b[i] = summaryMax<<3 | wireVarint
		i = putUvarint(b, i+1, zigzag(s.Max))
		b[i] = summaryLast<<3 | wireVarint
		i = putUvarint(b, i+1, zigzag(s.Last))
		if kind == aggregate.Float {
			b[i] = summaryTerms<<3 | wireBytes
			i = putUvarint(b, i+1, uint64(8*len(s.Sum.Terms)))
			for _, term := range s.Sum.Terms {
				binary.LittleEndian.PutUint64(b[i:], math.Float64bits(term))
				i += 8
			}
		} else {
			b[i] = summarySum<<3 | wireVarint
			i = putUvarint(b, i+1, zigzag(int64(s.Sum.Low)))
			if s.Sum.High != int64(s.Sum.Low)>>63 {
				b[i] = summarySumHigh<<3 | wireVarint
				i = putUvarint(b, i+1, zigzag(s.Sum.High))
			}
		}
		h := &s.Histogram
		b[i] = summaryScale<<3 | wireVarint
		i = putUvarint(b, i+1, zigzag(int64(h.Scale)))
		if h.Zero != 0 {
			b[i] = summaryZero<<3 | wireVarint
			i = putUvarint(b, i+1, h.Zero)
		}
		if len(h.Positive.Counts) > 0 {
			i = putBuckets(b, i, summaryPosFirst, &h.Positive)
		}
		if len(h.Negative.Counts) > 0 {
			i = putBuckets(b, i, summaryNegFirst, &h.Negative)
		}
	}
	return b[:putLength(b, at+1, i)]
}

// putBuckets writes a sign's buckets as fields first and first+1. A bucket is
// its count; empty ones in a row are a 0 and how many there are.
func putBuckets(b []byte, i, first int, buckets *histogram.Buckets) int {
	b[i] = byte(first<<3 | wireVarint)
	i = putUvarint(b, i+1, zigzag(int64(buckets.Offset)))
	b[i] = byte((first+1)<<3 | wireBytes)
	at := i + 1
	i = at + 1
	counts := buckets.Counts
	for n := 0; n < len(counts); {
		c := counts[n]
		n++
		if c != 0 {
			i = putUvarint(b, i, c)
			continue
		}
		start := n - 1
		for n < len(counts) && counts[n] == 0 {
			n++
		}
		b[i] = 0
		i = putUvarint(b, i+1, uint64(n-start))
	}
	return putLength(b, at, i)
}
