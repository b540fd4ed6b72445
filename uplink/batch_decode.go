package uplink

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
)

// BatchDecoder reads what BatchEncoder wrote. Its records share the
// descriptions of their series from batch to batch. It is not safe for
// concurrent use.
type BatchDecoder struct {
	groups map[string]*aggregate.Group // by their encoding
}

// Decode appends the records of a batch to dst. Unknown fields are passed over.
// The records stay valid; they do not refer to payload.
func (d *BatchDecoder) Decode(payload []byte, dst []Record) ([]Record, error) {
	var (
		head     Record
		groups   []*aggregate.Group
		windows  [][]byte
		sequence uint64
	)
	err := eachField(payload, func(field protowire.Number, v uint64, b []byte) error {
		switch field {
		case batchDevice:
			head.Device = string(b)
		case batchBoot:
			if copy(head.Boot[:], b) != len(head.Boot) || len(b) != len(head.Boot) {
				return fmt.Errorf("boot ID of %d bytes, not 16", len(b))
			}
		case batchSequence:
			sequence = v
		case batchGroup:
			g, err := d.group(b)
			if err != nil {
				return fmt.Errorf("group %d: %w", len(groups), err)
			}
			groups = append(groups, g)
		case batchWindow:
			windows = append(windows, b)
		}
		return nil
	})
	if err != nil {
		return dst, fmt.Errorf("batch: %w", err)
	}
	var slab histogram.Slab // not the decoder's: the records stay valid
	start := len(dst)
	head.Sequence = sequence
	for i, window := range windows {
		if dst, err = decodeWindow(window, &head, groups, &slab, dst); err != nil {
			return dst[:start], fmt.Errorf("batch from record %d on: window %d: %w", sequence, i, err)
		}
	}
	return dst, nil
}

func (d *BatchDecoder) group(encoded []byte) (*aggregate.Group, error) {
	if g, ok := d.groups[string(encoded)]; ok {
		return g, nil
	}
	g := new(aggregate.Group)
	err := eachField(encoded, func(field protowire.Number, v uint64, b []byte) error {
		switch field {
		case groupBus:
			g.Bus = string(b)
		case groupID:
			g.ID = uint32(v)
		case groupHasID:
			g.HasID = v != 0
		case groupExtended:
			g.Extended = v != 0
		case groupName:
			g.Name = string(b)
		case groupSeries:
			var s aggregate.Series
			err := eachField(b, func(field protowire.Number, v uint64, b []byte) error {
				switch field {
				case seriesName:
					s.Name = string(b)
				case seriesUnit:
					s.Unit = string(b)
				case seriesKind:
					if v > uint64(aggregate.Float) {
						return fmt.Errorf("series %q is of the unknown kind %d", s.Name, v)
					}
					s.Kind = aggregate.Kind(v)
				case seriesBits:
					s.Bits = uint8(v)
				case seriesFactor:
					s.Factor = math.Float64frombits(v)
				case seriesOffset:
					s.Offset = math.Float64frombits(v)
				}
				return nil
			})
			g.Series = append(g.Series, s)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if d.groups == nil || len(d.groups) > 1<<16 {
		d.groups = make(map[string]*aggregate.Group)
	}
	d.groups[string(encoded)] = g
	return g, nil
}

// decodeWindow appends a window's records; head is the first record's identity
// and advances with each.
func decodeWindow(window []byte, head *Record, groups []*aggregate.Group, slab *histogram.Slab, dst []Record) ([]Record, error) {
	head.Start, head.Duration, head.Revision = 0, 0, 0
	err := eachField(window, func(field protowire.Number, v uint64, b []byte) error {
		switch field {
		case windowStart:
			head.Start = protowire.DecodeZigZag(v)
		case windowDuration:
			head.Duration = int64(v)
		case windowRevision:
			head.Revision = uint32(v)
		case windowGroup:
			head.Group = nil
			return eachField(b, func(field protowire.Number, v uint64, b []byte) error {
				switch field {
				case groupSummaryGroup:
					if v >= uint64(len(groups)) {
						return fmt.Errorf("group %d of %d", v, len(groups))
					}
					head.Group = groups[v]
				case groupSummaryItem:
					if head.Group == nil {
						return errors.New("a summary before its group")
					}
					dst = append(dst, *head)
					head.Sequence++
					return decodeSummary(b, &dst[len(dst)-1], slab)
				}
				return nil
			})
		}
		return nil
	})
	return dst, err
}

func decodeSummary(encoded []byte, r *Record, slab *histogram.Slab) error {
	var (
		series uint64
		varies bool
		s      = aggregate.Summary{Histogram: histogram.New()}
	)
	high, highSet := int64(0), false
	err := eachField(encoded, func(field protowire.Number, v uint64, b []byte) error {
		switch field {
		case summarySeries:
			series = v
		case summaryCount:
			s.Count = v
		case summaryFirst:
			s.First = protowire.DecodeZigZag(v)
		case summaryMin:
			s.Min, varies = protowire.DecodeZigZag(v), true
		case summaryMax:
			s.Max = protowire.DecodeZigZag(v)
		case summaryLast:
			s.Last = protowire.DecodeZigZag(v)
		case summarySum:
			s.Sum.Low = uint64(protowire.DecodeZigZag(v))
		case summarySumHigh:
			high, highSet = protowire.DecodeZigZag(v), true
		case summaryTerms:
			for ; len(b) >= 8; b = b[8:] {
				v, _ := protowire.ConsumeFixed64(b)
				s.Sum.Terms = append(s.Sum.Terms, math.Float64frombits(v))
			}
		case summaryScale:
			scale := protowire.DecodeZigZag(v)
			if scale < histogram.MinScale || scale > histogram.MaxScale {
				return fmt.Errorf("histogram of scale %d", scale)
			}
			s.Histogram.Scale = int8(scale)
		case summaryZero:
			s.Histogram.Zero = v
		case summaryPosFirst:
			s.Histogram.Positive.Offset = int32(protowire.DecodeZigZag(v))
		case summaryNegFirst:
			s.Histogram.Negative.Offset = int32(protowire.DecodeZigZag(v))
		case summaryPos, summaryNeg:
			counts, err := decodeRuns(b, slab)
			if field == summaryPos {
				s.Histogram.Positive.Counts = counts
			} else {
				s.Histogram.Negative.Counts = counts
			}
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if series >= uint64(len(r.Group.Series)) {
		return fmt.Errorf("series %d of the %d of %s", series, len(r.Group.Series), r.Group.Name)
	}
	r.Series = &r.Group.Series[series]
	if s.Count == 0 {
		return fmt.Errorf("%s.%s: a summary of no samples", r.Group.Name, r.Series.Name)
	}
	if !varies {
		r.Summary.Constant(r.Series, s.First, s.Count, slab)
		return nil
	}
	if highSet {
		s.Sum.High = high
	} else {
		s.Sum.High = int64(s.Sum.Low) >> 63
	}
	if n := s.Histogram.Count(); n != s.Count {
		return fmt.Errorf("%s.%s: the histogram counts %d of %d samples", r.Group.Name, r.Series.Name, n, s.Count)
	}
	r.Summary = s
	return nil
}

// decodeRuns reads a sign's counts, in which a 0 is followed by the number of
// empty buckets that it stands for.
func decodeRuns(b []byte, slab *histogram.Slab) ([]uint64, error) {
	var counts [histogram.MaxBuckets]uint64
	used := 0
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, fmt.Errorf("histogram: %w", protowire.ParseError(n))
		}
		b = b[n:]
		run := uint64(1)
		if v == 0 {
			if run, n = protowire.ConsumeVarint(b); n < 0 {
				return nil, fmt.Errorf("histogram: %w", protowire.ParseError(n))
			}
			b = b[n:]
		}
		if run > uint64(len(counts)-used) {
			return nil, errTooManyBuckets
		}
		counts[used] = v
		used += int(run)
	}
	cut := slab.Cut(used)
	copy(cut, counts[:])
	return cut, nil
}

var errTooManyBuckets = fmt.Errorf("histogram of more than %d buckets", histogram.MaxBuckets)

// decodeCounts reads packed counts.
func decodeCounts(b []byte) ([]uint64, error) {
	var counts []uint64
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, fmt.Errorf("histogram: %w", protowire.ParseError(n))
		}
		if len(counts) == histogram.MaxBuckets {
			return nil, errTooManyBuckets
		}
		counts, b = append(counts, v), b[n:]
	}
	return counts, nil
}

// eachField calls f for every field of a message: with the value of a varint or
// a 64-bit field, or with the bytes of a length-delimited one.
func eachField(message []byte, f func(field protowire.Number, v uint64, b []byte) error) error {
	for rest := message; len(rest) > 0; {
		field, wire, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return fmt.Errorf("at byte %d: %w", len(message)-len(rest), protowire.ParseError(n))
		}
		rest = rest[n:]
		var v uint64
		var b []byte
		switch wire {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(rest)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(rest)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(rest)
		default:
			n = protowire.ConsumeFieldValue(field, wire, rest)
		}
		if n < 0 {
			return fmt.Errorf("field %d at byte %d: %w", field, len(message)-len(rest), protowire.ParseError(n))
		}
		if err := f(field, v, b); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
