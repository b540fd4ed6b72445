package httpserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"slices"
	"strconv"

	"milepost/uplink"
)

// code of a record: what the fault says, or why it is refused; 0 if it is taken.
func (s *Server) code(i, n int, r *uplink.Record, f *Fault) (code int, why string) {
	to := f.To
	if to == 0 {
		to = n
	}
	if f.Code != 0 && f.From <= i && i < to {
		return f.Code, fmt.Sprintf("record %d fails", i)
	}
	if why := s.refuses(r); why != "" {
		return -1, why
	}
	return 0, ""
}

func (s *Server) knows(topic string) bool {
	return s.o.Topics == nil || slices.Contains(s.o.Topics, topic)
}

// takeV2 answers as Confluent's proxy does: for each record its offset or why
// there is none.
func (s *Server) takeV2(topic, contentType string, body []byte, f *Fault) (taken []uplink.Record, _ result) {
	if !s.knows(topic) {
		return nil, failure(40401, "Topic not found.").with(nethttp.StatusNotFound)
	}
	var request struct {
		Records []struct{ Key, Value json.RawMessage }
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields() // as the proxy does
	if err := d.Decode(&request); err != nil {
		return nil, failure(422, "%v", err).with(422)
	}
	type offset struct {
		Partition *int    `json:"partition"`
		Offset    *int    `json:"offset"`
		ErrorCode *int    `json:"error_code"`
		Error     *string `json:"error"`
	}
	var answer struct {
		Offsets []offset `json:"offsets"`
	}
	for i, message := range request.Records {
		record, err := decodeV2(contentType, message.Key, message.Value)
		if err != nil {
			return nil, failure(42203, "record %d: %v", i, err).with(422)
		}
		code, why := s.code(i, len(request.Records), &record, f)
		switch code {
		case 0:
			at, zero := len(s.records)+len(taken), 0
			taken = append(taken, record)
			answer.Offsets = append(answer.Offsets, offset{Partition: &zero, Offset: &at})
			continue
		case -1:
			code = 50002
		}
		answer.Offsets = append(answer.Offsets, offset{ErrorCode: &code, Error: &why})
	}
	text, _ := json.Marshal(answer)
	return taken, result{nethttp.StatusOK, "application/vnd.kafka.v2+json", text}
}

func (r result) with(status int) result {
	r.status = status
	return r
}

func decodeV2(contentType string, key, value json.RawMessage) (r uplink.Record, err error) {
	var name string
	if err := json.Unmarshal(key, &name); err != nil {
		return r, err
	}
	switch contentType {
	case "application/vnd.kafka.json.v2+json":
		r, err = uplink.DecodeJSON(value)
	case "application/vnd.kafka.binary.v2+json":
		var message []byte
		if err := json.Unmarshal(value, &message); err != nil {
			return r, err
		}
		if r, err = uplink.DecodeRecord(message); err == nil {
			var b []byte
			b, err = base64.StdEncoding.DecodeString(name)
			name = string(b)
		}
	default:
		err = fmt.Errorf("content type %q", contentType)
	}
	if err == nil && name != r.Device {
		err = fmt.Errorf("key %q of a record of %q", name, r.Device)
	}
	return r, err
}

// data is a key or a value in v3.
type data struct {
	Type string
	Data json.RawMessage
}

// takeV3 reads objects one by one and reports on each in the same order.
func (s *Server) takeV3(cluster, topic string, body []byte, f *Fault) (taken []uplink.Record, _ result) {
	if !s.knows(topic) || s.o.Clusters != nil && !slices.Contains(s.o.Clusters, cluster) {
		return nil, failure(404, "This server does not host this topic-partition.")
	}
	var out bytes.Buffer
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	n := bytes.Count(body, []byte(`{"key":`))
	for i := 0; ; i++ {
		var message struct {
			Key     data
			Headers []struct {
				Name  string
				Value []byte
			}
			Value data
		}
		err := d.Decode(&message)
		if err == io.EOF {
			return taken, result{nethttp.StatusOK, "application/json", out.Bytes()}
		}
		var record uplink.Record
		if err == nil {
			headers := make(map[string]string)
			for _, h := range message.Headers {
				headers[h.Name] = string(h.Value)
			}
			record, err = decodeV3(message.Key, message.Value, headers)
		}
		if err != nil {
			json.NewEncoder(&out).Encode(map[string]any{"error_code": 400, "message": err.Error()})
			return taken, result{nethttp.StatusOK, "application/json", out.Bytes()}
		}
		code, why := s.code(i, n, &record, f)
		switch code {
		case 0:
			json.NewEncoder(&out).Encode(map[string]any{"error_code": 200, "cluster_id": cluster, "topic_name": topic, "partition_id": 0, "offset": len(s.records) + len(taken),
				"timestamp": "2026-01-01T00:00:00Z", "key": map[string]any{"type": message.Key.Type, "size": 6}, "value": map[string]any{"type": message.Value.Type, "size": 600}})
			taken = append(taken, record)
			continue
		case -1:
			code = 40002
		}
		json.NewEncoder(&out).Encode(map[string]any{"error_code": code, "message": why})
	}
}

func decodeV3(key, value data, headers map[string]string) (r uplink.Record, err error) {
	var name []byte
	if key.Type != "BINARY" || json.Unmarshal(key.Data, &name) != nil {
		return r, errors.New("the key is not binary")
	}
	switch value.Type {
	case "JSON":
		r, err = uplink.DecodeJSON(value.Data)
	case "BINARY":
		var message []byte
		if err := json.Unmarshal(value.Data, &message); err != nil {
			return r, err
		}
		r, err = uplink.DecodeRecord(message)
	default:
		err = fmt.Errorf("type %q", value.Type)
	}
	if err == nil && (string(name) != r.Device || headers["boot"] != r.Boot.String() || headers["seq"] != strconv.FormatUint(r.Sequence, 10)) {
		err = fmt.Errorf("key %q and headers %v of record %s", name, headers, r.Key())
	}
	return r, err
}
