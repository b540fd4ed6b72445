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
	var offset int64
	for i, window := range windows {
		if dst, err = decodeWindow(window, sequence, &head, &offset, groups, &slab, dst); err != nil {
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
// and advances with each, unless the window has sequences of its own. First is the
// batch's. Offset is that of the clock of the last window that has one.
func decodeWindow(window []byte, first uint64, head *Record, offset *int64, groups []*aggregate.Group, slab *histogram.Slab, dst []Record) ([]Record, error) {
	head.Start, head.Duration, head.Revision = 0, 0, 0
	head.Clock, head.Uptime = aggregate.ClockUnknown, 0
	start, numbers := len(dst), []byte(nil)
	err := eachField(window, func(field protowire.Number, v uint64, b []byte) error {
		switch field {
		case windowStart:
			head.Start = protowire.DecodeZigZag(v)
		case windowDuration:
			head.Duration = int64(v)
		case windowRevision:
			head.Revision = uint32(v)
		case windowClock:
			// Of a quality that is not known yet nothing is known.
			if v <= uint64(aggregate.ClockSynchronized) {
				head.Clock = aggregate.Clock(v)
			}
		case windowOffset:
			*offset += protowire.DecodeZigZag(v)
		case windowNumbers:
			numbers = b
		case windowGroup:
			head.Group = nil
			return eachField(b, func(field protowire.Number, v uint64, b []byte) error {
				switch field {
				case groupSummaryGroup:
					if v >= uint64(len(groups)) {
						return fmt.Errorf("group %d of %d", v, len(groups))
					}
					head.Group = groups[v]
				case groupSummaryItems:
					if head.Group == nil {
						return errors.New("summaries before their group")
					}
					var err error
					dst, err = decodeSummaries(b, head, slab, dst)
					return err
				}
				return nil
			})
		}
		return nil
	})
	if head.Clock != aggregate.ClockUnknown {
		for i := range dst[start:] { // wherever the fields stood
			r := &dst[start+i]
			r.Clock, r.Uptime = head.Clock, r.Start-*offset
		}
	}
	if err == nil && numbers != nil {
		err = number(dst[start:], numbers, first)
	}
	return dst, err
}

// number gives records the sequences that a window's field says.
func number(records []Record, numbers []byte, first uint64) error {
	r := varints{rest: numbers}
	for len(r.rest) > 0 {
		sequence, n := first+r.next(), r.next()
		if r.err != nil {
			return r.err
		}
		if n > uint64(len(records)) {
			return fmt.Errorf("sequences for %d records more than there are", n-uint64(len(records)))
		}
		for i := range records[:n] {
			records[i].Sequence = sequence + uint64(i)
		}
		records = records[n:]
	}
	if len(records) > 0 {
		return fmt.Errorf("no sequences for the last %d records", len(records))
	}
	return nil
}

// decodeSummaries appends the records of a group in a window.
func decodeSummaries(items []byte, head *Record, slab *histogram.Slab, dst []Record) ([]Record, error) {
	r := varints{rest: items}
	next, count := uint64(0), uint64(0)
	for len(r.rest) > 0 {
		passed := r.next()
		varies := passed&1 != 0
		next += passed >> 1
		count += uint64(r.zigzag())
		first := int64(0)
		if count != 0 {
			first = r.zigzag()
		}
		if r.err != nil {
			return dst, r.err
		}
		if next >= uint64(len(head.Group.Series)) || passed>>1 > uint64(len(head.Group.Series)) {
			return dst, fmt.Errorf("series %d of the %d of %s", next, len(head.Group.Series), head.Group.Name)
		}
		dst = append(dst, *head)
		record := &dst[len(dst)-1]
		record.Series = &head.Group.Series[next]
		head.Sequence++
		next++
		if count == 0 {
			if varies {
				return dst, fmt.Errorf("%s.%s: a summary of no samples that differ", head.Group.Name, record.Series.Name)
			}
			record.Summary = aggregate.Summary{Absent: true, Histogram: histogram.New()}
			continue
		}
		if !varies {
			record.Summary.Constant(record.Series, first, count, slab)
			continue
		}
		s := &record.Summary
		s.Count, s.First = count, first
		s.Min = first - int64(r.next())
		s.Max = first + int64(r.next())
		s.Last = first + r.zigzag()
		r.sum(record.Series, s)
		r.histogram(&s.Histogram, slab)
		if r.err != nil {
			return dst, fmt.Errorf("%s.%s: %w", head.Group.Name, record.Series.Name, r.err)
		}
		if n := s.Histogram.Count(); n != count {
			return dst, fmt.Errorf("%s.%s: the histogram counts %d of %d samples", head.Group.Name, record.Series.Name, n, count)
		}
	}
	return dst, nil
}

// varints reads numbers one after the other. After an error they are 0.
type varints struct {
	rest []byte
	err  error
}

func (r *varints) next() uint64 {
	v, n := protowire.ConsumeVarint(r.rest)
	if n < 0 {
		r.fail(protowire.ParseError(n))
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *varints) zigzag() int64 { return protowire.DecodeZigZag(r.next()) }

func (r *varints) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

func (r *varints) sum(series *aggregate.Series, s *aggregate.Summary) {
	switch {
	case series.Kind == aggregate.Float:
		n := r.next()
		if n > uint64(len(r.rest)/8) {
			r.fail(errors.New("a sum of more terms than there are"))
			return
		}
		for range n {
			v, _ := protowire.ConsumeFixed64(r.rest)
			s.Sum.Terms = append(s.Sum.Terms, math.Float64frombits(v))
			r.rest = r.rest[8:]
		}
	case isNarrow(series):
		s.Sum.Low = uint64(r.zigzag()) + s.Count*uint64(s.First)
		s.Sum.High = int64(s.Sum.Low) >> 63
	default:
		s.Sum.Low = uint64(r.zigzag())
		s.Sum.High = r.zigzag()
	}
}

func (r *varints) histogram(h *histogram.Histogram, slab *histogram.Slab) {
	flags := r.next()
	if flags>>scaleShift > histogram.MaxScale-histogram.MinScale {
		r.fail(fmt.Errorf("a histogram %d scales too coarse", flags>>scaleShift))
		return
	}
	h.Scale = int8(histogram.MaxScale - int64(flags>>scaleShift))
	if flags&hasZero != 0 {
		h.Zero = r.next()
	}
	if flags&hasPositive != 0 {
		h.Positive = r.buckets(slab)
	}
	if flags&hasNegative != 0 {
		h.Negative = r.buckets(slab)
	}
}

func (r *varints) buckets(slab *histogram.Slab) (b histogram.Buckets) {
	b.Offset = int32(r.zigzag())
	n := r.next()
	if n > histogram.MaxBuckets {
		r.fail(errTooManyBuckets)
		return b
	}
	b.Counts = slab.Cut(int(n))
	for i := uint64(0); i < n && r.err == nil; {
		if v := r.next(); v != 0 {
			b.Counts[i] = v
			i++
			continue
		}
		run := r.next()
		if run == 0 || run > n-i {
			r.fail(errors.New("a run of empty buckets beyond the last one"))
		}
		i += run
	}
	return b
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
