package uplink

import "fmt"

// Encoding is a form in which records go over the wire; docs/wire-format.md
// specifies them.
type Encoding uint8

const (
	// JSON: one flat object a record.
	JSON Encoding = iota
	// Protobuf: messages milepost.v1.Record (schema/milepost.proto).
	Protobuf
	// OTLP: OpenTelemetry metrics, an ExportMetricsServiceRequest in protobuf
	// whose points are exponential histograms.
	OTLP
	// CSV: one row a record, for files. It has neither the records' keys nor
	// histograms.
	CSV
)

var encodingNames = [...]string{JSON: "json", Protobuf: "protobuf", OTLP: "otlp", CSV: "csv"}

// String is the encoding's name in configurations.
func (e Encoding) String() string {
	if int(e) < len(encodingNames) {
		return encodingNames[e]
	}
	return fmt.Sprintf("Encoding(%d)", uint8(e))
}

// ParseEncoding is the inverse of String.
func ParseEncoding(name string) (Encoding, error) {
	for e, n := range encodingNames {
		if n == name {
			return Encoding(e), nil
		}
	}
	return 0, fmt.Errorf("unknown encoding %q: use json, protobuf, otlp or csv", name)
}

// ContentType is the media type of what Append gives.
func (e Encoding) ContentType() string {
	switch e {
	case JSON:
		return "application/x-ndjson"
	case CSV:
		return "text/csv"
	}
	return "application/x-protobuf"
}

// Append appends records as one payload: a line each for JSON and CSV (without
// CSVHeader), a message Records for Protobuf, one request for OTLP. Payloads of
// the same encoding may be joined: the whole is a payload again.
func (e Encoding) Append(dst []byte, records []Record) []byte {
	switch e {
	case OTLP:
		return appendOTLP(dst, records)
	case Protobuf:
		for i := range records {
			dst = appendRecordsItem(dst, &records[i])
		}
	default:
		for i := range records {
			dst = append(e.AppendOne(dst, &records[i]), '\n')
		}
	}
	return dst
}

// AppendOne appends a payload that is a single record: an object or a row
// without a line's end, a message Record, a request of one point.
func (e Encoding) AppendOne(dst []byte, r *Record) []byte {
	switch e {
	case Protobuf:
		return AppendProtobuf(dst, r)
	case OTLP:
		return appendOTLP(dst, []Record{*r})
	case CSV:
		return AppendCSV(dst, r)
	}
	return AppendJSON(dst, r)
}

// AppendUpTo appends as many of the records as make a payload of at most
// maxBytes and returns their number, which is 0 only if the first one alone is
// too large.
func (e Encoding) AppendUpTo(dst []byte, records []Record, maxBytes int) (payload []byte, n int) {
	start := len(dst)
	if e == OTLP {
		// Not from all of them: a payload of 4 KB out of 5,000 records would be paid
		// for with the encoding of the 5,000.
		for n = min(len(records), maxBytes/leastOTLP+1); n > 0; {
			dst = appendOTLP(dst[:start], records[:n])
			size := len(dst) - start
			if size <= maxBytes {
				return dst, n
			}
			if n == 1 {
				break
			}
			n = max(1, min(n-1, int(int64(n)*int64(maxBytes)/int64(size))))
		}
		return dst[:start], 0
	}
	for n = range records {
		before := len(dst)
		if dst = e.Append(dst, records[n:n+1]); len(dst)-start > maxBytes {
			return dst[:before], n
		}
	}
	return dst, len(records)
}
