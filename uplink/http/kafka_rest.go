package http

import (
	"encoding/base64"
	"io"
	nethttp "net/http"
	"net/url"
	"strconv"
	"strings"

	"milepost/uplink"
)

// restTopic is the topic of the REST proxies' forms.
type restTopic string

func (t restTopic) perDevice() bool { return strings.Contains(string(t), device) }

// of is the topic of a device. What a topic cannot have becomes an underscore.
func (t restTopic) of(name string) string {
	clean := []byte(name)
	for i, c := range clean {
		if !isTopicByte(c) {
			clean[i] = '_'
		}
	}
	topic := strings.ReplaceAll(string(t), device, string(clean))
	return url.PathEscape(topic[:min(len(topic), maxTopic)])
}

// answerSize leaves room for a report a record: proxies write some 60 (v2) to
// 350 bytes (v3) of it.
func (t restTopic) answerSize(n int) int64 { return maxAnswer + int64(n)<<10 }

// restV2 is POST /topics/{topic}: one object with all records. Its json form
// embeds keys as JSON too, so that the key of a message is the device in
// quotation marks; there are no headers.
//
//	{"records":[{"key":"van-17","value":{…}},…]}              json
//	{"records":[{"key":"dmFuLTE3","value":"CgZ2YW4tMTc…"},…]} binary, base64
type restV2 struct {
	restTopic
	base     string // path that the proxy's own are appended to, escaped
	encoding uplink.Encoding
	scratch  []byte
}

func (f *restV2) header(h nethttp.Header) {
	embedded := "json"
	if f.encoding == uplink.Protobuf {
		embedded = "binary"
	}
	h.Set("Content-Type", "application/vnd.kafka."+embedded+".v2+json")
	h.Set("Accept", "application/vnd.kafka.v2+json, application/json")
}

func (f *restV2) path(name string) string { return f.base + "/topics/" + f.of(name) }

func (f *restV2) encode(dst []byte, records []uplink.Record, maxBytes int) ([]byte, int) {
	return appendUpTo(dst, `{"records":[`, ",", "]}", records, maxBytes, f.appendRecord)
}

func (f *restV2) appendRecord(dst []byte, r *uplink.Record) []byte {
	dst = append(dst, `{"key":`...)
	if f.encoding == uplink.Protobuf {
		dst = appendBase64(dst, []byte(r.Device))
		dst = append(dst, `,"value":`...)
		f.scratch = uplink.AppendProtobuf(f.scratch[:0], r)
		dst = appendBase64(dst, f.scratch)
	} else {
		dst = uplink.AppendJSONString(dst, r.Device)
		dst = uplink.AppendJSON(append(dst, `,"value":`...), r)
	}
	return append(dst, '}')
}

func (f *restV2) streams() bool { return false }

func (f *restV2) answer(body io.Reader, _ string, n int) (answer, error) {
	return readOffsets(body, n)
}

// restV3 is POST /v3/clusters/{cluster}/topics/{topic}/records: an object a
// record, one after the other, and as many reports in the answer. Keys and
// headers of the messages are those that package kafka gives them.
//
//	{"key":{"type":"BINARY","data":"dmFuLTE3"},
//	 "headers":[{"name":"boot","value":"…"},{"name":"seq","value":"…"}],
//	 "value":{"type":"JSON","data":{…}}}
type restV3 struct {
	restTopic
	base, cluster string // escaped; cluster is empty while it is unknown
	encoding      uplink.Encoding
	scratch       []byte
}

func (f *restV3) header(h nethttp.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json")
}

func (f *restV3) path(name string) string {
	return f.base + "/v3/clusters/" + f.cluster + "/topics/" + f.of(name) + "/records"
}

func (f *restV3) encode(dst []byte, records []uplink.Record, maxBytes int) ([]byte, int) {
	return appendUpTo(dst, "", "\n", "\n", records, maxBytes, f.appendRecord)
}

func (f *restV3) appendRecord(dst []byte, r *uplink.Record) []byte {
	dst = appendBase64(append(dst, `{"key":{"type":"BINARY","data":`...), []byte(r.Device))
	f.scratch = r.Boot.AppendString(f.scratch[:0])
	dst = appendBase64(append(dst, `},"headers":[{"name":"boot","value":`...), f.scratch)
	f.scratch = strconv.AppendUint(f.scratch[:0], r.Sequence, 10)
	dst = appendBase64(append(dst, `},{"name":"seq","value":`...), f.scratch)
	if f.encoding == uplink.Protobuf {
		f.scratch = uplink.AppendProtobuf(f.scratch[:0], r)
		dst = appendBase64(append(dst, `}],"value":{"type":"BINARY","data":`...), f.scratch)
	} else {
		dst = uplink.AppendJSON(append(dst, `}],"value":{"type":"JSON","data":`...), r)
	}
	return append(dst, "}}"...)
}

func (f *restV3) streams() bool { return true }

func (f *restV3) answer(body io.Reader, _ string, n int) (answer, error) {
	return readReports(body, n)
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}
