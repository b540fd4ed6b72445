package kafka

import (
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"milepost/uplink"
)

// outbox makes messages of records, in memory that it uses again and again.
type outbox struct {
	encoding  uplink.Encoding
	constant  []kgo.RecordHeader // headers that all messages have
	maxBuffer int

	buffer  []byte // what the messages refer to
	records []kgo.Record
	headers []kgo.RecordHeader
	firsts  []int // of each message: the position of its first record
	made    time.Time
}

const (
	// maxRequest keeps an OTLP message well below the usual limit.
	maxRequest = 512 << 10
	// batchOverhead is more than what Kafka's format adds to a message alone in its
	// batch: 61 bytes, some varints, the names of the headers.
	batchOverhead = 256
	// maxKept is the largest buffer that is kept for the next time, in bytes.
	maxKept = 8 << 20
)

// format sets what does not change from message to message.
func (b *outbox) format(o Options) {
	b.encoding, b.maxBuffer = o.Encoding, o.MaxBuffered
	if o.NoFormatHeaders {
		return
	}
	contentType, schema := "application/json", "milepost.v1.Record"
	switch o.Encoding {
	case uplink.Protobuf:
		contentType = "application/x-protobuf"
		if o.Registry.URL != "" { // what parses it as protobuf has to pass over the frame first
			contentType = "application/x-protobuf; framing=confluent"
		}
	case uplink.OTLP:
		contentType = "application/x-protobuf"
		schema = "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest"
	}
	b.constant = []kgo.RecordHeader{{Key: "content-type", Value: []byte(contentType)}, {Key: "schema", Value: []byte(schema)}}
}

// reset makes room for the messages of n records; what was made before must not be
// in use any more.
func (b *outbox) reset(n int) {
	headers := 2 + len(b.constant)
	if cap(b.records) < n {
		b.records, b.headers = make([]kgo.Record, n), make([]kgo.RecordHeader, headers*n)
	}
	if cap(b.buffer) > maxKept {
		b.buffer = nil
	}
	b.buffer, b.firsts, b.made = b.buffer[:0], b.firsts[:0], time.Now()
	b.records, b.headers = b.records[:n], b.headers[:headers*n]
}

// add makes the next message, of records[i] and, in an encoding that takes several,
// of those up to records[end]. It returns nil and 0 if records[i] alone is larger
// than limit.
func (b *outbox) add(records []uplink.Record, i, end int, topic string, frame []byte, limit int) (m *kgo.Record, n int) {
	r := &records[i]
	// Where the buffer has to move, messages before keep the old one.
	start := len(b.buffer)
	buf := append(b.buffer, r.Device...)
	key := len(buf)
	buf = r.Boot.AppendString(buf)
	boot := len(buf)
	buf = strconv.AppendUint(buf, r.Sequence, 10)
	seq := len(buf)
	limit = min(limit, b.maxBuffer) - batchOverhead - (seq - start)
	n = 1
	if b.encoding == uplink.OTLP {
		buf, n = b.encoding.AppendUpTo(buf, records[i:end], min(limit, maxRequest))
	} else if buf = b.encoding.AppendOne(append(buf, frame...), r); len(buf)-seq > limit {
		n = 0
	}
	if n == 0 {
		return nil, 0
	}
	b.buffer = buf

	at := len(b.firsts)
	b.firsts = append(b.firsts, i)
	width := 2 + len(b.constant)
	headers := b.headers[at*width : (at+1)*width : (at+1)*width]
	headers[0] = kgo.RecordHeader{Key: "boot", Value: buf[key:boot:boot]}
	headers[1] = kgo.RecordHeader{Key: "seq", Value: buf[boot:seq:seq]}
	copy(headers[2:], b.constant)
	m = &b.records[at]
	*m = kgo.Record{
		Key:       buf[start:key:key],
		Value:     buf[seq:len(buf):len(buf)],
		Headers:   headers,
		Timestamp: b.made, // else the client asks for the time with each message
		Topic:     topic,
	}
	return m, n
}

// first is the position of the first record that is in one of the messages.
func (b *outbox) first(messages []*kgo.Record) int {
	in := make(map[*kgo.Record]bool, len(messages))
	for _, m := range messages {
		in[m] = true
	}
	for i, first := range b.firsts {
		if in[&b.records[i]] {
			return first
		}
	}
	return 0
}
