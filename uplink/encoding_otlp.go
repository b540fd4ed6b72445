package uplink

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
)

// Field numbers of the messages of opentelemetry-proto v1 (stable): packages
// opentelemetry.proto.collector.metrics.v1, metrics.v1, resource.v1, common.v1.
const (
	requestResourceMetrics = 1 // ExportMetricsServiceRequest

	resourceMetricsResource = 1 // ResourceMetrics
	resourceMetricsScope    = 2

	resourceAttributes = 1 // Resource

	scopeMetricsScope  = 1 // ScopeMetrics
	scopeMetricsMetric = 2

	scopeName = 1 // InstrumentationScope

	metricName        = 1 // Metric
	metricUnit        = 3
	metricExponential = 10

	exponentialPoint       = 1 // ExponentialHistogram
	exponentialTemporality = 2
	temporalityDelta       = 1 // AggregationTemporality

	pointAttributes = 1 // ExponentialHistogramDataPoint
	pointStart      = 2
	pointTime       = 3
	pointCount      = 4
	pointSum        = 5
	pointScale      = 6
	pointZeroCount  = 7
	pointPositive   = 8
	pointNegative   = 9
	pointFlags      = 10
	pointExemplar   = 11
	pointMin        = 12
	pointMax        = 13

	noRecordedValue = 1 // DataPointFlags

	bucketsOffset = 1 // ExponentialHistogramDataPoint.Buckets
	bucketsCounts = 2

	exemplarTime       = 2 // Exemplar
	exemplarDouble     = 3
	exemplarAttributes = 7

	attributeKey   = 1 // KeyValue
	attributeValue = 2

	valueString = 1 // AnyValue
	valueInt    = 3
)

// Names of attributes and of the scope in an OTLP request.
const (
	otlpScope    = "milepost"
	otlpService  = "service.name"
	otlpDevice   = "milepost.device"
	otlpBoot     = "milepost.boot"
	otlpBus      = "bus"
	otlpID       = "id"
	otlpRevision = "milepost.revision"
	otlpSequence = "milepost.seq"
	otlpClock    = "milepost.clock"
	otlpUptime   = "milepost.uptime_nano"
	otlpMoved    = "milepost.moved_nano"
)

// appendOTLP appends the records as one ExportMetricsServiceRequest: a resource
// for each run of records of one device and boot, in it a metric for each
// series, in it a point for each record.
//
// A record's sequence is not an attribute of its point, where it would start a
// new time series with every point, but of the point's exemplar, which holds
// the last value; and so is what is known of its clock. A series without samples
// is a point with the flag NO_RECORDED_VALUE.
func appendOTLP(dst []byte, records []Record) []byte {
	for len(records) > 0 {
		n := 1
		for n < len(records) && records[n].Device == records[0].Device && records[n].Boot == records[0].Boot {
			n++
		}
		dst = appendTag(dst, requestResourceMetrics, wireBytes)
		var at int
		dst, at = openMessage(dst)
		dst = appendResourceMetrics(dst, records[:n])
		closeMessage(dst, at)
		records = records[n:]
	}
	return dst
}

func appendResourceMetrics(dst []byte, records []Record) []byte {
	dst, at := openShort(appendTag(dst, resourceMetricsResource, wireBytes))
	dst = appendAttribute(dst, resourceAttributes, otlpService, "milepost")
	dst = appendAttribute(dst, resourceAttributes, otlpDevice, records[0].Device)
	var boot [36]byte
	dst = appendAttribute(dst, resourceAttributes, otlpBoot, string(records[0].Boot.AppendString(boot[:0])))
	dst = closeShort(dst, at)

	dst, scopeAt := openMessage(appendTag(dst, resourceMetricsScope, wireBytes))
	dst, at = openShort(appendTag(dst, scopeMetricsScope, wireBytes))
	dst = closeShort(appendString(dst, scopeName, otlpScope), at)

	// The records of a series are chained by their positions: next[i] is the one
	// after record i.
	next := make([]int, len(records))
	last := make(map[*aggregate.Series]int)
	first := make([]bool, len(records))
	for i := range records {
		if before, ok := last[records[i].Series]; ok {
			next[before] = i
		} else {
			first[i] = true
		}
		last[records[i].Series] = i
	}
	for i := range records {
		if first[i] {
			dst = appendMetric(dst, records, i, next)
		}
	}
	closeMessage(dst, scopeAt)
	return dst
}

func appendMetric(dst []byte, records []Record, i int, next []int) []byte {
	r := &records[i]
	dst, metricAt := openMessage(appendTag(dst, scopeMetricsMetric, wireBytes))
	dst, at := openShort(appendTag(dst, metricName, wireBytes))
	if r.Group.Name != "" {
		dst = append(append(dst, validUTF8(r.Group.Name)...), '.')
	}
	dst = closeShort(append(dst, validUTF8(r.Series.Name)...), at)
	dst = appendText(dst, metricUnit, r.Series.Unit)

	dst, dataAt := openMessage(appendTag(dst, metricExponential, wireBytes))
	for more := true; more; i, more = next[i], next[i] != 0 {
		dst, at = openShort(appendTag(dst, exponentialPoint, wireBytes))
		dst = closeShort(appendPoint(dst, &records[i]), at)
	}
	dst = append(appendTag(dst, exponentialTemporality, wireVarint), temporalityDelta)
	closeMessage(dst, dataAt)
	closeMessage(dst, metricAt)
	return dst
}

// leastOTLP is less than any record takes: its two times, a count and the exemplar.
const leastOTLP = 32

func appendPoint(dst []byte, r *Record) []byte {
	absent := r.Summary.Count == 0
	v := aggregate.Value{Last: math.NaN()}
	if !absent {
		v = r.Value()
	}
	h := &r.Summary.Histogram
	dst = appendAttribute(dst, pointAttributes, otlpBus, r.Group.Bus)
	if r.Group.HasID {
		var id [8]byte
		dst = appendAttribute(dst, pointAttributes, otlpID, string(r.AppendID(id[:0])))
	}
	if r.Revision > 0 { // else it would replace the window's regular point
		dst = appendIntAttribute(dst, pointAttributes, otlpRevision, uint64(r.Revision))
	}
	dst = appendFixed(dst, pointStart, uint64(r.Start))
	dst = appendFixed(dst, pointTime, uint64(r.Start+r.Duration))
	dst = appendFixed(dst, pointCount, r.Summary.Count)
	if !absent {
		dst = appendPresentDouble(dst, pointSum, v.Sum)
	}
	if h.Scale != 0 {
		dst = appendZigzag(appendTag(dst, pointScale, wireVarint), int64(h.Scale))
	}
	dst = appendFixed(dst, pointZeroCount, h.Zero)
	dst = appendBuckets(dst, pointPositive, &h.Positive)
	dst = appendBuckets(dst, pointNegative, &h.Negative)
	if absent {
		dst = append(appendTag(dst, pointFlags, wireVarint), noRecordedValue)
	}
	dst, at := openShort(appendTag(dst, pointExemplar, wireBytes))
	dst = appendFixed(dst, exemplarTime, uint64(r.Start+r.Duration))
	dst = appendPresentDouble(dst, exemplarDouble, v.Last)
	dst = appendIntAttribute(dst, exemplarAttributes, otlpSequence, r.Sequence)
	if r.Clock != aggregate.ClockUnknown {
		dst = appendAttribute(dst, exemplarAttributes, otlpClock, r.Clock.String())
		dst = appendIntAttribute(dst, exemplarAttributes, otlpUptime, uint64(r.Uptime))
		if r.Moved != 0 {
			dst = appendIntAttribute(dst, exemplarAttributes, otlpMoved, uint64(r.Moved))
		}
	}
	dst = closeShort(dst, at)
	if absent {
		return dst
	}
	dst = appendPresentDouble(dst, pointMin, v.Min)
	return appendPresentDouble(dst, pointMax, v.Max)
}

func appendBuckets(dst []byte, field int, b *histogram.Buckets) []byte {
	if len(b.Counts) == 0 {
		return dst
	}
	dst, at := openShort(appendTag(dst, field, wireBytes))
	dst = appendCounts(dst, bucketsOffset, b.Offset, b.Counts)
	return closeShort(dst, at)
}

// appendPresentDouble writes an optional double, 0 included.
func appendPresentDouble(dst []byte, field int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, wireFixed64), math.Float64bits(v))
}

func appendAttribute(dst []byte, field int, key, value string) []byte {
	value = validUTF8(value)
	dst, at := openShort(appendTag(dst, field, wireBytes))
	dst = appendString(dst, attributeKey, key)
	dst, valueAt := openShort(appendTag(dst, attributeValue, wireBytes))
	dst = append(protowire.AppendVarint(appendTag(dst, valueString, wireBytes), uint64(len(value))), value...)
	return closeShort(closeShort(dst, valueAt), at)
}

func appendIntAttribute(dst []byte, field int, key string, value uint64) []byte {
	dst, at := openShort(appendTag(dst, field, wireBytes))
	dst = appendString(dst, attributeKey, key)
	dst, valueAt := openShort(appendTag(dst, attributeValue, wireBytes))
	dst = protowire.AppendVarint(appendTag(dst, valueInt, wireVarint), value)
	return closeShort(closeShort(dst, valueAt), at)
}
