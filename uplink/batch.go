package uplink

import (
	"encoding/binary"
	"math"

	"milepost/aggregate"
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

// Protobuf wire types.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

// lengthWidth is the width of the lengths that are filled in afterwards: up to
// 2^28-1 bytes.
const lengthWidth = 4

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

// appendSummary writes one summary. One whose samples were all equal is its
// count and the value: the rest follows from them.
func appendSummary(dst []byte, series int, kind aggregate.Kind, s *aggregate.Summary) []byte {
	dst = appendTag(dst, groupSummaryItem, wireBytes)
	dst, at := openShort(dst)
	if series != 0 {
		dst = binary.AppendUvarint(append(dst, summarySeries<<3|wireVarint), uint64(series))
	}
	dst = binary.AppendUvarint(append(dst, summaryCount<<3|wireVarint), s.Count)
	dst = appendZigzag(append(dst, summaryFirst<<3|wireVarint), s.First)
	if s.Min != s.Max {
		dst = appendZigzag(append(dst, summaryMin<<3|wireVarint), s.Min)
		dst = appendZigzag(append(dst, summaryMax<<3|wireVarint), s.Max)
		dst = appendZigzag(append(dst, summaryLast<<3|wireVarint), s.Last)
		if kind == aggregate.Float {
			dst = appendTag(dst, summaryTerms, wireBytes)
			dst = binary.AppendUvarint(dst, uint64(8*len(s.Sum.Terms)))
			for _, term := range s.Sum.Terms {
				dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(term))
			}
		} else {
			dst = appendZigzag(append(dst, summarySum<<3|wireVarint), int64(s.Sum.Low))
			if s.Sum.High != int64(s.Sum.Low)>>63 {
				dst = appendZigzag(append(dst, summarySumHigh<<3|wireVarint), s.Sum.High)
			}
		}
		h := &s.Histogram
		dst = appendZigzag(append(dst, summaryScale<<3|wireVarint), int64(h.Scale))
		if h.Zero != 0 {
			dst = binary.AppendUvarint(append(dst, summaryZero<<3|wireVarint), h.Zero)
		}
		dst = appendCounts(dst, summaryPosFirst, h.Positive.Offset, h.Positive.Counts)
		dst = appendCounts(dst, summaryNegFirst, h.Negative.Offset, h.Negative.Counts)
	}
	return closeShort(dst, at)
}

// appendCounts writes a sign's buckets as fields first and first+1.
func appendCounts(dst []byte, first int, offset int32, counts []uint64) []byte {
	if len(counts) == 0 {
		return dst
	}
	dst = appendZigzag(append(dst, byte(first<<3|wireVarint)), int64(offset))
	dst = append(dst, byte((first+1)<<3|wireBytes))
	dst, at := openShort(dst)
	for _, c := range counts {
		if c < 0x80 {
			dst = append(dst, byte(c))
		} else {
			dst = binary.AppendUvarint(dst, c)
		}
	}
	return closeShort(dst, at)
}

func appendTag(dst []byte, field, wire int) []byte {
	return append(dst, byte(field<<3|wire)) // all field numbers are below 16
}

func appendZigzag(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v)<<1^uint64(v>>63))
}

func appendString(dst []byte, field int, s string) []byte {
	if s == "" {
		return dst
	}
	dst = appendTag(dst, field, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendDouble(dst []byte, field int, v float64) []byte {
	if v == 0 && !math.Signbit(v) {
		return dst
	}
	dst = appendTag(dst, field, wireFixed64)
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// openMessage leaves room for a length, closeMessage fills it in.
func openMessage(dst []byte) ([]byte, int) {
	return append(dst, 0x80, 0x80, 0x80, 0), len(dst)
}

func closeMessage(dst []byte, at int) {
	n := len(dst) - at - lengthWidth
	dst[at] = byte(n) | 0x80
	dst[at+1] = byte(n>>7) | 0x80
	dst[at+2] = byte(n>>14) | 0x80
	dst[at+3] = byte(n >> 21)
}

// openShort leaves one byte: enough for nearly all summaries. closeShort makes
// room for more where it is not.
func openShort(dst []byte) ([]byte, int) { return append(dst, 0), len(dst) }

func closeShort(dst []byte, at int) []byte {
	n := len(dst) - at - 1
	if n < 0x80 {
		dst[at] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	width := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:width-1]...)
	copy(dst[at+width:], dst[at+1:at+1+n])
	copy(dst[at:], length[:width])
	return dst
}
