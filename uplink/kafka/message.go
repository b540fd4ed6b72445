package kafka

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"milepost/uplink"
)

// outbox makes messages of records, in chunks of memory that are used again as soon
// as all of their messages have arrived. So what is sent at once may be of any
// size.
type outbox struct {
	encoding  uplink.Encoding
	constant  []kgo.RecordHeader // headers that all messages have
	maxBuffer int

	chunks chunks
	d      *delivery // whose messages are made
	chunk  *chunk    // that they go to, nil if there is none
	now    time.Time

	// Parts of messages that are the same for many.
	device, boot []byte
	bootID       uplink.BootID
}

const (
	// maxRequest keeps an OTLP message well below the usual limit.
	maxRequest = 512 << 10
	// batchOverhead is more than what Kafka's format adds to a message alone in its
	// batch: 61 bytes, some varints, key and headers but for the constant ones.
	batchOverhead = 256
)

// format sets what does not change from message to message.
func (b *outbox) format(o Options) {
	b.encoding, b.maxBuffer = o.Encoding, o.MaxBuffered
	b.chunks.limit(o.MaxBuffered)
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

// begin begins with the messages of a delivery.
func (b *outbox) begin(d *delivery) {
	b.d, b.now = d, time.Now()
	b.chunks.used = 0
}

// room sees to it that there is a chunk with room. It waits for messages to arrive
// where there can be no more chunks, and returns false when ctx is done first.
func (b *outbox) room(ctx context.Context) bool {
	if b.chunk != nil && b.chunk.full() {
		b.end()
	}
	if b.chunk == nil {
		b.chunk = b.chunks.take(ctx)
		if b.chunk == nil {
			return false
		}
		b.chunk.begin(b.d)
	}
	return true
}

// end says that no more messages go to the chunk.
func (b *outbox) end() {
	if b.chunk != nil {
		b.chunk.release()
		b.chunk = nil
	}
}

// add makes the next message, of records[i] and, in an encoding that takes several,
// of those up to records[end]. It returns nil and 0 if records[i] alone is larger
// than limit. There has to be room.
func (b *outbox) add(records []uplink.Record, i, end int, topic string, frame []byte, limit int) (m *kgo.Record, n int) {
	r, c := &records[i], b.chunk
	if r.Device != string(b.device) {
		b.device = []byte(r.Device)
	}
	if b.boot == nil || r.Boot != b.bootID {
		b.boot, b.bootID = r.Boot.AppendString(nil), r.Boot
	}
	limit = min(limit, b.maxBuffer) - batchOverhead - len(b.device)
	// Where the buffer has to move, messages before keep the old one.
	start := len(c.buffer)
	buf := strconv.AppendUint(c.buffer, r.Sequence, 10)
	seq := len(buf)
	n = 1
	if b.encoding == uplink.OTLP {
		buf, n = b.encoding.AppendUpTo(buf, records[i:end], min(limit, maxRequest))
	} else if buf = b.encoding.AppendOne(append(buf, frame...), r); len(buf)-seq > limit {
		n = 0
	}
	if n == 0 {
		c.buffer = buf[:start]
		return nil, 0
	}
	c.buffer = buf

	first := len(c.headers)
	c.headers = append(c.headers,
		kgo.RecordHeader{Key: "boot", Value: b.boot},
		kgo.RecordHeader{Key: "seq", Value: buf[start:seq:seq]})
	c.headers = append(c.headers, b.constant...)
	m = c.add(i)
	*m = kgo.Record{
		Key:       b.device,
		Value:     buf[seq:len(buf):len(buf)],
		Headers:   c.headers[first:len(c.headers):len(c.headers)],
		Timestamp: b.now, // else the client asks for the time with each message
		Topic:     topic,
	}
	return m, n
}
