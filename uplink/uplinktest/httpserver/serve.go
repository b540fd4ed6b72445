package httpserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	nethttp "net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"milepost/uplink"
)

// silent keeps the server's complaints about broken connections to itself.
var silent = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

// result is an answer.
type result struct {
	status      int
	contentType string
	body        []byte
}

func failure(status int, format string, args ...any) result {
	body, _ := json.Marshal(map[string]any{"error_code": status, "message": fmt.Sprintf(format, args...)})
	return result{status, "application/json", body}
}

func (s *Server) serve(w nethttp.ResponseWriter, r *nethttp.Request) {
	note := Request{Method: r.Method, Path: r.URL.EscapedPath(), Proto: r.Proto, Header: r.Header.Clone()}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, note)
	}()
	if refused := s.authenticate(r); refused != nil {
		note.Status = refused.status
		write(w, *refused, Fault{})
		return
	}
	if r.Method == nethttp.MethodGet && strings.HasSuffix(r.URL.Path, "/v3/clusters") {
		note.Status = nethttp.StatusOK
		write(w, s.clusters(), Fault{})
		return
	}
	if r.Method != nethttp.MethodPost {
		note.Status = nethttp.StatusMethodNotAllowed
		write(w, failure(note.Status, "POST only"), Fault{})
		return
	}
	f := s.fault()
	answer := s.post(r, &f, &note)
	switch {
	case f.Hang:
		<-r.Context().Done()
		panic(nethttp.ErrAbortHandler)
	case f.Drop:
		panic(nethttp.ErrAbortHandler)
	}
	note.Status = answer.status
	write(w, answer, f)
}

func (s *Server) authenticate(r *nethttp.Request) *result {
	user, password, _ := r.BasicAuth()
	ok := true
	if s.o.Token != "" {
		ok = r.Header.Get("Authorization") == "Bearer "+s.o.Token
	} else if s.o.Username != "" {
		ok = user == s.o.Username && password == s.o.Password
	}
	if ok {
		return nil
	}
	// Some servers repeat what they got.
	refused := failure(nethttp.StatusUnauthorized, "not authorized: %q", r.Header.Get("Authorization"))
	return &refused
}

func (s *Server) clusters() result {
	ids := s.o.Clusters
	if ids == nil {
		ids = []string{"lkc-1"}
	}
	type cluster struct {
		Kind string `json:"kind"`
		ID   string `json:"cluster_id"`
	}
	list := struct {
		Kind string    `json:"kind"`
		Data []cluster `json:"data"`
	}{Kind: "KafkaClusterList"}
	for _, id := range ids {
		list.Data = append(list.Data, cluster{"KafkaCluster", id})
	}
	body, _ := json.Marshal(list)
	return result{nethttp.StatusOK, "application/json", body}
}

func (s *Server) fault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return Fault{}
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return f
}

// post takes the records of a request, unless it has to fail.
func (s *Server) post(r *nethttp.Request, f *Fault, note *Request) result {
	if s.o.MaxBody > 0 && r.ContentLength > s.o.MaxBody {
		return failure(nethttp.StatusRequestEntityTooLarge, "a body of %d bytes", r.ContentLength)
	}
	failed := result{f.Status, "text/plain", []byte(f.Body)}
	if strings.HasPrefix(strings.TrimSpace(f.Body), "{") {
		failed.contentType = "application/json"
	}
	if f.Early {
		return failed
	}
	body, err := s.readBody(r)
	if err != nil {
		if r.Context().Err() != nil {
			panic(nethttp.ErrAbortHandler) // the client has gone
		}
		return failure(nethttp.StatusBadRequest, "%v", err)
	}
	if f.Status != 0 && !f.Take || (f.Drop || f.Hang) && !f.Take {
		return failed
	}
	key := r.Header.Get("Idempotency-Key")
	if key != "" {
		key = r.URL.Path + " " + key
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.answers[key]; ok && s.o.Deduplicate {
		return before
	}
	records, answer := s.take(r, body, f)
	note.Records = len(records)
	s.records = append(s.records, records...)
	if key != "" && answer.status == nethttp.StatusOK && f.Code == 0 {
		s.answers[key] = answer
	}
	if f.Status != 0 {
		return failed
	}
	return answer
}

func (s *Server) readBody(r *nethttp.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || s.o.Plain {
		return body, err
	}
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "":
		return body, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return io.ReadAll(z)
	default:
		return nil, fmt.Errorf("content encoding %q", encoding)
	}
}

// take decodes the records of a request and sorts out which it takes. The caller
// holds the mutex.
func (s *Server) take(r *nethttp.Request, body []byte, f *Fault) ([]uplink.Record, result) {
	path := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for i := range path {
		path[i], _ = url.PathUnescape(path[i]) // which is what it was parsed from
	}
	contentType := r.Header.Get("Content-Type")
	switch n := len(path); {
	case n >= 2 && path[n-2] == "topics":
		return s.takeV2(path[n-1], contentType, body, f)
	case n >= 6 && path[n-6] == "v3" && path[n-1] == "records":
		return s.takeV3(path[n-4], path[n-2], body, f)
	case contentType == "application/x-protobuf" && n >= 2 && path[n-2] == "v1" && path[n-1] == "metrics":
		return s.takeOTLP(body)
	}
	records, err := decodeBatch(contentType, body)
	if err != nil {
		return nil, failure(nethttp.StatusBadRequest, "%v", err)
	}
	for i := range records {
		if why := s.refuses(&records[i]); why != "" {
			return nil, failure(nethttp.StatusBadRequest, "%s", why)
		}
	}
	return records, result{nethttp.StatusOK, "application/json", []byte("{}")}
}

func (s *Server) refuses(r *uplink.Record) string {
	if s.o.Refuse == nil {
		return ""
	}
	return s.o.Refuse(r)
}

func decodeBatch(contentType string, body []byte) (records []uplink.Record, err error) {
	switch contentType {
	case "application/x-protobuf":
		return uplink.DecodeRecords(body, nil)
	case "application/json":
		var objects []json.RawMessage
		if err := json.Unmarshal(body, &objects); err != nil {
			return nil, err
		}
		for _, object := range objects {
			record, err := uplink.DecodeJSON(object)
			if err != nil {
				return nil, err
			}
			records = append(records, record)
		}
		return records, nil
	case "application/x-ndjson":
		for line := range bytes.Lines(body) {
			record, err := uplink.DecodeJSON(line)
			if err != nil {
				return nil, err
			}
			records = append(records, record)
		}
		return records, nil
	}
	return nil, fmt.Errorf("content type %q", contentType)
}

func (s *Server) takeOTLP(body []byte) ([]uplink.Record, result) {
	records, err := uplink.DecodeOTLP(body, nil)
	if err != nil {
		return nil, result{nethttp.StatusBadRequest, "application/x-protobuf", appendBytes(nil, 2, []byte(err.Error()))}
	}
	slices.SortFunc(records, func(a, b uplink.Record) int {
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
	var taken []uplink.Record
	for i := range records {
		why := s.refuses(&records[i])
		switch {
		case why == "":
			taken = append(taken, records[i])
		case !s.o.DropPoints:
			return nil, result{nethttp.StatusBadRequest, "application/x-protobuf", appendBytes(nil, 2, []byte(why))}
		}
	}
	ok := result{nethttp.StatusOK, "application/x-protobuf", nil}
	if dropped := len(records) - len(taken); dropped > 0 {
		partial := appendBytes([]byte{1 << 3, byte(min(dropped, 127))}, 2, []byte("out of range"))
		ok.body = appendBytes(nil, 1, partial)
	}
	return taken, ok
}

// appendBytes appends a field of a protobuf message, of less than 128 bytes.
func appendBytes(dst []byte, field byte, b []byte) []byte {
	b = b[:min(len(b), 127)]
	return append(append(dst, field<<3|2, byte(len(b))), b...)
}

func write(w nethttp.ResponseWriter, answer result, f Fault) {
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", answer.contentType)
	w.WriteHeader(answer.status)
	switch {
	case f.Truncate:
		w.Write(answer.body[:len(answer.body)/2])
		nethttp.NewResponseController(w).Flush()
		panic(nethttp.ErrAbortHandler)
	case f.Drip > 0:
		for i := range answer.body {
			if _, err := w.Write(answer.body[i : i+1]); err != nil {
				return
			}
			nethttp.NewResponseController(w).Flush()
			time.Sleep(f.Drip)
		}
	default:
		w.Write(answer.body)
	}
}
