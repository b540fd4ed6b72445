package uplink

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"milepost/aggregate"
)

// DecodeOTLP appends the records of a request that Append wrote to dst, for
// tools and tests. It restores what the request has of them: the message is
// what stands before the last dot of the metric's name, and First, which OTLP
// has no place for, is NaN.
func DecodeOTLP(request []byte, dst []Record) ([]Record, error) {
	start := len(dst)
	err := eachField(request, func(field protowire.Number, _ uint64, resourceMetrics []byte) error {
		if field != requestResourceMetrics {
			return nil
		}
		var head Record
		return eachField(resourceMetrics, func(field protowire.Number, _ uint64, b []byte) error {
			switch field {
			case resourceMetricsResource:
				return decodeResource(b, &head)
			case resourceMetricsScope:
				return eachField(b, func(field protowire.Number, _ uint64, metric []byte) (err error) {
					if field == scopeMetricsMetric {
						dst, err = decodeMetric(metric, &head, dst)
					}
					return err
				})
			}
			return nil
		})
	})
	if err != nil {
		return dst[:start], fmt.Errorf("otlp request: %w", err)
	}
	return dst, nil
}

func decodeResource(resource []byte, head *Record) error {
	return eachField(resource, func(field protowire.Number, _ uint64, b []byte) (err error) {
		if field != resourceAttributes {
			return nil
		}
		key, text, _, err := decodeAttribute(b)
		switch {
		case err != nil:
		case key == otlpDevice:
			head.Device = text
		case key == otlpBoot:
			head.Boot, err = ParseBootID(text)
		}
		return err
	})
}

func decodeMetric(metric []byte, head *Record, dst []Record) ([]Record, error) {
	var name, unit string
	err := eachField(metric, func(field protowire.Number, _ uint64, b []byte) error {
		switch field {
		case metricName:
			name = string(b)
		case metricUnit:
			unit = string(b)
		case metricExponential:
			return eachField(b, func(field protowire.Number, _ uint64, point []byte) error {
				if field != exponentialPoint {
					return nil
				}
				r, err := decodePoint(point)
				r.Device, r.Boot = head.Device, head.Boot
				if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
					r.Group.Name, r.Series.Name = name[:dot], name[dot+1:]
				} else {
					r.Series.Name = name
				}
				r.Series.Unit = unit
				dst = append(dst, r)
				return err
			})
		}
		return nil
	})
	if err != nil {
		return dst, fmt.Errorf("metric %q: %w", name, err)
	}
	return dst, nil
}

func decodePoint(point []byte) (Record, error) {
	r, v := physicalRecord()
	v.First = math.NaN()
	h := &r.Summary.Histogram
	h.Scale = 0
	var flags uint64
	err := eachField(point, func(field protowire.Number, n uint64, b []byte) (err error) {
		switch field {
		case pointAttributes:
			key, text, number, err := decodeAttribute(b)
			if err != nil {
				return err
			}
			switch key {
			case otlpBus:
				r.Group.Bus = text
			case otlpID:
				id, err := strconv.ParseUint(text, 16, 32)
				r.Group.ID, r.Group.HasID, r.Group.Extended = uint32(id), true, len(text) == 8
				return err
			case otlpRevision:
				r.Revision = uint32(number)
			}
		case pointStart:
			r.Start = int64(n)
		case pointTime:
			r.Duration = int64(n) - r.Start
		case pointCount:
			r.Summary.Count = n
		case pointSum:
			v.Sum = math.Float64frombits(n)
		case pointScale:
			return setScale(h, protowire.DecodeZigZag(n))
		case pointZeroCount:
			h.Zero = n
		case pointPositive:
			h.Positive.Offset, h.Positive.Counts, err = decodeBuckets(b)
		case pointNegative:
			h.Negative.Offset, h.Negative.Counts, err = decodeBuckets(b)
		case pointMin:
			v.Min = math.Float64frombits(n)
		case pointMax:
			v.Max = math.Float64frombits(n)
		case pointFlags:
			flags = n
		case pointExemplar:
			return eachField(b, func(field protowire.Number, n uint64, b []byte) error {
				switch field {
				case exemplarDouble:
					v.Last = math.Float64frombits(n)
				case exemplarAttributes:
					key, text, number, err := decodeAttribute(b)
					switch key {
					case otlpSequence:
						r.Sequence = number
					case otlpClock:
						r.Clock, _ = aggregate.ParseClock(text)
					case otlpUptime:
						r.Uptime = int64(number)
					case otlpMoved:
						r.Moved = int64(number)
					}
					return err
				}
				return nil
			})
		}
		return err
	})
	if err != nil {
		return r, err
	}
	if r.Summary.Count == 0 && flags&noRecordedValue == 0 {
		return r, errors.New("a point of no samples without the flag NO_RECORDED_VALUE")
	}
	finishPhysical(&r, v)
	return r, nil
}

func decodeBuckets(message []byte) (offset int32, counts []uint64, err error) {
	err = eachField(message, func(field protowire.Number, n uint64, b []byte) (err error) {
		switch field {
		case bucketsOffset:
			offset = int32(protowire.DecodeZigZag(n))
		case bucketsCounts:
			counts, err = decodeCounts(b)
		}
		return err
	})
	return offset, counts, err
}

func decodeAttribute(message []byte) (key, text string, number uint64, err error) {
	err = eachField(message, func(field protowire.Number, _ uint64, b []byte) error {
		switch field {
		case attributeKey:
			key = string(b)
		case attributeValue:
			return eachField(b, func(field protowire.Number, n uint64, b []byte) error {
				switch field {
				case valueString:
					text = string(b)
				case valueInt:
					number = n
				}
				return nil
			})
		}
		return nil
	})
	return key, text, number, err
}
