package http

import (
	"errors"
	"io"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"milepost/uplink"
)

// form is how requests and answers look.
type form interface {
	// header sets what depends on the form.
	header(h nethttp.Header)
	// path is what stands in place of the URL's path, escaped.
	path(device string) string
	// perDevice reports whether that depends on the device.
	perDevice() bool
	// encode appends a body with as many of the records as fit into maxBytes and
	// returns their number, which is 0 only if the first one alone is too large.
	encode(dst []byte, records []uplink.Record, maxBytes int) (body []byte, n int)
	// answer reads what a server says that has taken a request of n records (a
	// status of 2xx).
	answer(body io.Reader, contentType string, n int) (answer, error)
	// answerSize limits that, in bytes.
	answerSize(n int) int64
	// streams reports whether the server may begin to answer before it has the
	// whole request.
	streams() bool
}

// verdict is what became of a record.
type verdict uint8

const (
	accepted verdict = iota
	refused          // for good: it is poison
	pending          // it has to be sent again
)

// answer is what became of the records of a request.
type answer struct {
	verdicts []verdict // nil: all are accepted
	refusal  string    // what was said of the first refused one
	failure  string    // what was said of the first pending one
	after    time.Duration
	// dropped counts records that the server has dropped without saying which.
	dropped int
	remark  string // why
}

// maxAnswer limits an answer whose size does not depend on the request's.
const maxAnswer = 64 << 10

// generic posts payloads as package uplink encodes them.
type generic struct {
	encoding uplink.Encoding
	array    bool
	template string
}

func (g *generic) header(h nethttp.Header) {
	contentType := g.encoding.ContentType()
	if g.array {
		contentType = "application/json"
	}
	h.Set("Content-Type", contentType)
	if g.encoding == uplink.OTLP {
		h.Set("Accept", contentType)
	}
}

func (g *generic) path(name string) string {
	return strings.ReplaceAll(g.template, url.PathEscape(device), url.PathEscape(name))
}

func (g *generic) perDevice() bool { return strings.Contains(g.template, url.PathEscape(device)) }

func (g *generic) encode(dst []byte, records []uplink.Record, maxBytes int) ([]byte, int) {
	if !g.array {
		return g.encoding.AppendUpTo(dst, records, maxBytes)
	}
	return appendUpTo(dst, "[", ",", "]", records, maxBytes, uplink.AppendJSON)
}

// appendUpTo writes open, as many records as fit with a separator between them,
// and end.
func appendUpTo(dst []byte, open, separator, end string, records []uplink.Record, maxBytes int, one func([]byte, *uplink.Record) []byte) (body []byte, n int) {
	start := len(dst)
	dst = append(dst, open...)
	for n = range records {
		before := len(dst)
		if n > 0 {
			dst = append(dst, separator...)
		}
		if dst = one(dst, &records[n]); len(dst)-start+len(end) > maxBytes {
			if n == 0 {
				return dst[:start], 0
			}
			return append(dst[:before], end...), n
		}
	}
	return append(dst, end...), len(records)
}

func (g *generic) answerSize(int) int64 { return maxAnswer }

func (g *generic) streams() bool { return false }

func (g *generic) answer(body io.Reader, contentType string, n int) (answer, error) {
	if g.encoding != uplink.OTLP {
		return answer{}, nil
	}
	text, err := io.ReadAll(body)
	if errors.Is(err, errTooLong) { // and no OpenTelemetry answer
		return answer{}, nil
	}
	if err != nil {
		return answer{}, err
	}
	rejected, message, err := decodePartialSuccess(text, contentType)
	if err != nil {
		// What it says of the status is what counts; many servers say nothing else.
		return answer{}, nil
	}
	if rejected == 0 {
		return answer{}, nil
	}
	return answer{dropped: int(min(rejected, uint64(n))), remark: shorten(message)}, nil
}
