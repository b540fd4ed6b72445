package uplink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
)

// Field numbers of milepost.v1.Record, of its Histogram and of Records
// (schema/milepost.proto).
const (
	recordDevice    = 1
	recordBoot      = 2
	recordSequence  = 3
	recordStart     = 4
	recordDuration  = 5
	recordBus       = 6
	recordID        = 7
	recordMessage   = 8
	recordSignal    = 9
	recordUnit      = 10
	recordCount     = 11
	recordMin       = 12
	recordMax       = 13
	recordSum       = 14
	recordHistogram = 15
	recordFirst     = 16
	recordLast      = 17
	recordExtended  = 18
	recordRevision  = 19
	recordClock     = 20
	recordUptime    = 21
	recordMoved     = 22

	histogramScale    = 1
	histogramZero     = 2
	histogramPosFirst = 3
	histogramPos      = 4
	histogramNegFirst = 5
	histogramNeg      = 6

	recordsItem = 1
)

// AppendProtobuf appends the record as a message milepost.v1.Record. It
// allocates nothing but what dst lacks.
func AppendProtobuf(dst []byte, r *Record) []byte {
	dst = appendText(dst, recordDevice, r.Device)
	dst = append(appendTag(dst, recordBoot, wireBytes), byte(len(r.Boot)))
	dst = append(dst, r.Boot[:]...)
	dst = appendUint(dst, recordSequence, r.Sequence)
	dst = appendFixed(dst, recordStart, uint64(r.Start))
	dst = appendUint(dst, recordDuration, uint64(r.Duration))
	dst = appendText(dst, recordBus, r.Group.Bus)
	if r.Group.HasID { // optional: present even if 0
		dst = binary.AppendUvarint(appendTag(dst, recordID, wireVarint), uint64(r.Group.ID))
	}
	dst = appendText(dst, recordMessage, r.Group.Name)
	dst = appendText(dst, recordSignal, r.Series.Name)
	dst = appendText(dst, recordUnit, r.Series.Unit)
	// Present even if 0: a record that was cut short has none.
	dst = binary.AppendUvarint(appendTag(dst, recordCount, wireVarint), r.Summary.Count)
	if r.Summary.Count != 0 {
		v := r.Value()
		dst = appendDouble(dst, recordMin, v.Min)
		dst = appendDouble(dst, recordMax, v.Max)
		dst = appendDouble(dst, recordSum, v.Sum)
		dst = appendTag(dst, recordHistogram, wireBytes)
		var at int
		dst, at = openShort(dst)
		dst = closeShort(appendHistogram(dst, &r.Summary.Histogram), at)
		dst = appendWideDouble(dst, recordFirst, v.First)
		dst = appendWideDouble(dst, recordLast, v.Last)
	}
	if r.Group.Extended {
		dst = append(protowire.AppendTag(dst, recordExtended, wireVarint), 1)
	}
	if r.Revision != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, recordRevision, wireVarint), uint64(r.Revision))
	}
	if r.Clock != aggregate.ClockUnknown {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, recordClock, wireVarint), uint64(r.Clock))
		dst = appendZigzag(protowire.AppendTag(dst, recordUptime, wireVarint), r.Uptime) // optional
		if r.Moved != 0 {
			dst = appendZigzag(protowire.AppendTag(dst, recordMoved, wireVarint), r.Moved)
		}
	}
	return dst
}

// appendRecordsItem appends a record as a field of milepost.v1.Records.
func appendRecordsItem(dst []byte, r *Record) []byte {
	dst, at := openShort(appendTag(dst, recordsItem, wireBytes))
	return closeShort(AppendProtobuf(dst, r), at)
}

func appendHistogram(dst []byte, h *histogram.Histogram) []byte {
	if h.Scale != 0 {
		dst = appendZigzag(appendTag(dst, histogramScale, wireVarint), int64(h.Scale))
	}
	dst = appendUint(dst, histogramZero, h.Zero)
	dst = appendCounts(dst, histogramPosFirst, h.Positive.Offset, h.Positive.Counts)
	return appendCounts(dst, histogramNegFirst, h.Negative.Offset, h.Negative.Counts)
}

// appendText is appendString for text from outside: readers of protobuf refuse a
// whole message for one byte that is not UTF-8.
func appendText(dst []byte, field int, s string) []byte {
	return appendString(dst, field, validUTF8(s))
}

// validUTF8 replaces what is not UTF-8.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func appendUint(dst []byte, field int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.AppendUvarint(appendTag(dst, field, wireVarint), v)
}

func appendFixed(dst []byte, field int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, wireFixed64), v)
}

// appendWideDouble is appendDouble for field numbers above 15.
func appendWideDouble(dst []byte, field protowire.Number, v float64) []byte {
	if v == 0 && !math.Signbit(v) {
		return dst
	}
	return protowire.AppendFixed64(protowire.AppendTag(dst, field, wireFixed64), math.Float64bits(v))
}

// DecodeRecord reads a message milepost.v1.Record. The record's series holds
// physical values: it is a Float series of factor 1, alone in its group. Unknown
// fields are passed over.
func DecodeRecord(message []byte) (Record, error) {
	r, v := physicalRecord()
	counted := false
	err := eachField(message, func(field protowire.Number, n uint64, b []byte) error {
		switch field {
		case recordDevice:
			r.Device = string(b)
		case recordBoot:
			if copy(r.Boot[:], b) != len(r.Boot) || len(b) != len(r.Boot) {
				return fmt.Errorf("boot ID of %d bytes, not 16", len(b))
			}
		case recordSequence:
			r.Sequence = n
		case recordStart:
			r.Start = int64(n)
		case recordDuration:
			r.Duration = int64(n)
		case recordBus:
			r.Group.Bus = string(b)
		case recordID:
			r.Group.ID, r.Group.HasID = uint32(n), true
		case recordMessage:
			r.Group.Name = string(b)
		case recordSignal:
			r.Series.Name = string(b)
		case recordUnit:
			r.Series.Unit = string(b)
		case recordCount:
			r.Summary.Count, counted = n, true
		case recordMin:
			v.Min = math.Float64frombits(n)
		case recordMax:
			v.Max = math.Float64frombits(n)
		case recordSum:
			v.Sum = math.Float64frombits(n)
		case recordFirst:
			v.First = math.Float64frombits(n)
		case recordLast:
			v.Last = math.Float64frombits(n)
		case recordHistogram:
			return decodeHistogram(b, &r.Summary.Histogram)
		case recordExtended:
			r.Group.Extended = n != 0
		case recordRevision:
			r.Revision = uint32(n)
		case recordClock:
			if n <= uint64(aggregate.ClockSynchronized) {
				r.Clock = aggregate.Clock(n)
			}
		case recordUptime:
			r.Uptime = protowire.DecodeZigZag(n)
		case recordMoved:
			r.Moved = protowire.DecodeZigZag(n)
		}
		return nil
	})
	if err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	if !counted {
		return Record{}, errors.New("record: no count: not a record, or one that was cut short")
	}
	finishPhysical(&r, v)
	return r, nil
}

// DecodeRecords appends the records of a message milepost.v1.Records to dst.
func DecodeRecords(message []byte, dst []Record) ([]Record, error) {
	start := len(dst)
	err := eachField(message, func(field protowire.Number, _ uint64, b []byte) error {
		if field != recordsItem {
			return nil
		}
		r, err := DecodeRecord(b)
		dst = append(dst, r)
		return err
	})
	if err != nil {
		return dst[:start], fmt.Errorf("records: %w", err)
	}
	return dst, nil
}

func decodeHistogram(message []byte, h *histogram.Histogram) error {
	h.Scale = 0 // the default of the field
	err := eachField(message, func(field protowire.Number, n uint64, b []byte) (err error) {
		switch field {
		case histogramScale:
			return setScale(h, protowire.DecodeZigZag(n))
		case histogramZero:
			h.Zero = n
		case histogramPosFirst:
			h.Positive.Offset = int32(protowire.DecodeZigZag(n))
		case histogramPos:
			h.Positive.Counts, err = decodeCounts(b)
		case histogramNegFirst:
			h.Negative.Offset = int32(protowire.DecodeZigZag(n))
		case histogramNeg:
			h.Negative.Counts, err = decodeCounts(b)
		}
		return err
	})
	for _, b := range []*histogram.Buckets{&h.Positive, &h.Negative} {
		if len(b.Counts) == 0 { // an offset of nothing says nothing
			b.Offset = 0
		}
	}
	return err
}

func setScale(h *histogram.Histogram, scale int64) error {
	if scale < histogram.MinScale || scale > histogram.MaxScale {
		return fmt.Errorf("histogram of scale %d", scale)
	}
	h.Scale = int8(scale)
	return nil
}

// physicalRecord makes a record for values that are physical already; the
// values are zero until they are read.
func physicalRecord() (Record, *aggregate.Value) {
	group := &aggregate.Group{Series: []aggregate.Series{{Kind: aggregate.Float, Bits: 64, Factor: 1}}}
	return Record{
		Group:   group,
		Series:  &group.Series[0],
		Summary: aggregate.Summary{Histogram: histogram.New()},
	}, new(aggregate.Value)
}

// finishPhysical puts the values into a record that is otherwise complete.
func finishPhysical(r *Record, v *aggregate.Value) {
	if r.Clock == aggregate.ClockUnknown {
		r.Uptime, r.Moved = 0, 0 // of a quality that is not known yet
	}
	s := &r.Summary
	if s.Count == 0 {
		*s = aggregate.Summary{Absent: true, Histogram: histogram.New()}
		return
	}
	s.Min, s.Max = int64(math.Float64bits(v.Min)), int64(math.Float64bits(v.Max))
	s.First, s.Last = int64(math.Float64bits(v.First)), int64(math.Float64bits(v.Last))
	s.Sum.Terms = []float64{v.Sum}
}
