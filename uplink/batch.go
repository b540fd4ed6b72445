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
//
// The summaries of a group are one field of bytes, varints without tags. A
// varint is that of protobuf, a zigzag one its sint64; differences are modulo
// 2^64, so that nothing overflows. For each series that has samples:
//
//	varint   twice the number of series passed over since the last one,
//	         plus 1 if the samples were not all the same
//	zigzag   count less the count before it in the field (the first: less 0)
//	zigzag   first
//
// (a count of 0 marks a series that has no samples any more; its first is not
// written) and, where the samples were not all the same:
//
//	varint   first less min
//	varint   max less first
//	zigzag   last less first
//	         the sum, of an Integer series of 1 to 32 bits:
//	zigzag     sum less count times first
//	         of other integers:
//	zigzag     its low 64 bits
//	zigzag     its high 64 bits
//	         of a Float series:
//	varint     the number of terms
//	fixed64    each term
//	varint   8 times how many scales the histogram is coarser than MaxScale,
//	         plus 1 if there are zeroes, 2 positive, 4 negative values
//	varint   the number of zeroes, if any
//	         for the positive and then for the negative values, if any:
//	zigzag     the number of the first bucket
//	varint     the number of buckets
//	varint     the count of each bucket, but a 0 is followed by the number of
//	           empty buckets in a row that it stands for

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
	windowClock    = 5
	windowOffset   = 6
	windowNumbers  = 15

	groupSummaryGroup = 1
	groupSummaryItems = 2
)

// BatchEncoder collects windows to batches. It is not safe for concurrent use.
type BatchEncoder struct {
	device string
	boot   BootID

	sequence uint64 // of the next record
	offset   int64  // of the open batch's last window that has one
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
func (e *BatchEncoder) Add(w *aggregate.Window) int { return e.AddNumbered(w, nil) }

// AddNumbered is Add with the sequences that the window's records get, where they
// do not follow the one before: one for each record, ascending, none of them below
// that of the batch's first.
func (e *BatchEncoder) AddNumbered(w *aggregate.Window, numbers []uint64) int {
	before := e.records
	dst := appendTag(e.windows, batchWindow, wireBytes)
	dst, windowAt := openMessage(dst)
	if len(numbers) > 0 {
		dst = appendNumbers(dst, numbers, e.sequence-uint64(before))
	}
	dst = appendTag(dst, windowStart, wireVarint)
	dst = appendZigzag(dst, w.Start)
	dst = appendTag(dst, windowDuration, wireVarint)
	dst = binary.AppendUvarint(dst, uint64(w.Duration))
	if w.Revision != 0 {
		dst = appendTag(dst, windowRevision, wireVarint)
		dst = binary.AppendUvarint(dst, uint64(w.Revision))
	}
	if w.Clock != aggregate.ClockUnknown {
		dst = append(appendTag(dst, windowClock, wireVarint), byte(w.Clock))
		if w.ClockOffset != e.offset {
			dst = appendZigzag(appendTag(dst, windowOffset, wireVarint), w.ClockOffset-e.offset)
			e.offset = w.ClockOffset
		}
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
		dst = appendTag(dst, groupSummaryItems, wireBytes)
		var itemsAt int
		dst, itemsAt = openMessage(dst)
		passed, count := uint64(0), uint64(0)
		for j := range g.Summaries {
			s := &g.Summaries[j]
			if s.Count == 0 && !s.Absent {
				passed++
				continue
			}
			dst = appendSummary(dst, passed, count, &g.Group.Series[j], s)
			passed, count = 0, s.Count
			e.records++
		}
		closeMessage(dst, itemsAt)
		closeMessage(dst, groupAt)
	}
	closeMessage(dst, windowAt)
	e.windows = dst
	n := e.records - before
	e.sequence += uint64(n)
	return n
}

// appendNumbers writes the field that says which sequences a window's records
// have: for each run of them its first, less base, and its length.
func appendNumbers(dst []byte, numbers []uint64, base uint64) []byte {
	dst = appendTag(dst, windowNumbers, wireBytes)
	dst, at := openMessage(dst)
	for i := 0; i < len(numbers); {
		run := i + 1
		for run < len(numbers) && numbers[run] == numbers[run-1]+1 {
			run++
		}
		dst = binary.AppendUvarint(dst, numbers[i]-base)
		dst = binary.AppendUvarint(dst, uint64(run-i))
		i = run
	}
	closeMessage(dst, at)
	return dst
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
		e.windows, e.offset = e.windows[:0], 0
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
	e.records, e.offset = 0, 0
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
const maxSummary = 16*10 + 2*(histogram.MaxBuckets*10+20)

// Flags of a histogram.
const (
	hasZero     = 1
	hasPositive = 2
	hasNegative = 4
	scaleShift  = 3
)

// appendSummary writes one summary; passed series without samples and a summary
// with before samples precede it. One whose samples were all equal is its count
// and the value: the rest follows from them.
//
// It is the encoder's inner loop: room is made once, and the bytes are then
// stored by index.
func appendSummary(dst []byte, passed, before uint64, series *aggregate.Series, s *aggregate.Summary) []byte {
	if need := maxSummary + 8*len(s.Sum.Terms); cap(dst)-len(dst) < need {
		dst = slices.Grow(dst, max(need, cap(dst)))
	}
	b := dst[:cap(dst)]
	varies := uint64(0)
	if s.Min != s.Max && s.Count != 0 {
		varies = 1
	}
	i := putUvarint(b, len(dst), passed<<1|varies)
	i = putUvarint(b, i, zigzag(int64(s.Count-before)))
	if s.Count == 0 {
		return b[:i]
	}
	i = putUvarint(b, i, zigzag(s.First))
	if varies == 0 {
		return b[:i]
	}
	i = putUvarint(b, i, uint64(s.First-s.Min))
	i = putUvarint(b, i, uint64(s.Max-s.First))
	i = putUvarint(b, i, zigzag(s.Last-s.First))
	switch {
	case series.Kind == aggregate.Float:
		i = putUvarint(b, i, uint64(len(s.Sum.Terms)))
		for _, term := range s.Sum.Terms {
			binary.LittleEndian.PutUint64(b[i:], math.Float64bits(term))
			i += 8
		}
	case isNarrow(series):
		i = putUvarint(b, i, zigzag(int64(s.Sum.Low-s.Count*uint64(s.First))))
	default:
		i = putUvarint(b, i, zigzag(int64(s.Sum.Low)))
		i = putUvarint(b, i, zigzag(s.Sum.High))
	}
	h := &s.Histogram
	flags := uint64(histogram.MaxScale-int64(h.Scale)) << scaleShift
	if h.Zero != 0 {
		flags |= hasZero
	}
	if len(h.Positive.Counts) > 0 {
		flags |= hasPositive
	}
	if len(h.Negative.Counts) > 0 {
		flags |= hasNegative
	}
	i = putUvarint(b, i, flags)
	if flags&hasZero != 0 {
		i = putUvarint(b, i, h.Zero)
	}
	if flags&hasPositive != 0 {
		i = putBuckets(b, i, &h.Positive)
	}
	if flags&hasNegative != 0 {
		i = putBuckets(b, i, &h.Negative)
	}
	return b[:i]
}

// isNarrow reports whether a series' sums fit in 64 bits.
func isNarrow(s *aggregate.Series) bool {
	return s.Kind == aggregate.Integer && 0 < s.Bits && s.Bits <= 32
}

func putBuckets(b []byte, i int, buckets *histogram.Buckets) int {
	counts := buckets.Counts
	i = putUvarint(b, i, zigzag(int64(buckets.Offset)))
	i = putUvarint(b, i, uint64(len(counts)))
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
	return i
}
