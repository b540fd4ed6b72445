package http

import (
	"bufio"
	"bytes"
	nethttp "net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"milepost/uplink"
)

// FuzzOffsets reads answers of v2.
func FuzzOffsets(f *testing.F) {
	f.Add([]byte(`{"offsets":[{"partition":0,"offset":5},{"error_code":50003,"error":"x"},{"partition":0,"offset":6}],"key_schema_id":null}`))
	f.Add([]byte(`{"offsets":[{"error_code":500,"message":"larger than the max message size"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := readOffsets(bytes.NewReader(text), 3)
		checkAnswer(t, &a, err, 3)
	})
}

// FuzzReports reads answers of v3.
func FuzzReports(f *testing.F) {
	f.Add([]byte(`{"error_code":200,"offset":1}{"error_code":42901,"message":"m","resume_after_ms":9000000000000000000}` + "\n" + `{"error_code":400}`))
	f.Add([]byte(`{"offset":0}{"offset":1}{"offset":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := readReports(bytes.NewReader(text), 3)
		checkAnswer(t, &a, err, 3)
	})
}

// checkAnswer wants a verdict on each record, and a word for each that is not
// accepted.
func checkAnswer(t *testing.T, a *answer, err error, n int) {
	if err != nil {
		return
	}
	if a.verdicts != nil && len(a.verdicts) != n {
		t.Fatalf("%d verdicts on %d records", len(a.verdicts), n)
	}
	for _, v := range a.verdicts {
		if v == refused && a.refusal == "" || v == pending && a.failure == "" {
			t.Fatalf("verdict %d has no reason: %+v", v, a)
		}
	}
	if a.after < 0 || a.after > uplink.MaxRetryAfter {
		t.Fatalf("come again after %v", a.after)
	}
}

func FuzzPartialSuccess(f *testing.F) {
	f.Add([]byte("\x0a\x04\x08\x03\x12\x00"), false)
	f.Add([]byte(`{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"no"}}`), true)
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		g := generic{encoding: uplink.OTLP}
		contentType := "application/x-protobuf"
		if isJSON {
			contentType = "application/json; charset=utf-8"
		}
		a, err := g.answer(bytes.NewReader(text), contentType, 10)
		if err != nil || a.dropped < 0 || a.dropped > 10 {
			t.Fatalf("dropped %d of 10, %v", a.dropped, err)
		}
	})
}

func FuzzCluster(f *testing.F) {
	f.Add([]byte(`{"data":[{"cluster_id":"a"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if id, err := readCluster(bufio.NewReader(bytes.NewReader(text))); err == nil && id == "" {
			t.Fatal("no error and no cluster")
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"error_code":40401,"message":"Topic not found."}`), "application/json")
	f.Add([]byte(`{"error":{"code":1},"detail":"x"}`), "application/problem+json")
	f.Add([]byte("\x08\x03\x12\x03bad"), "application/x-protobuf")
	f.Add([]byte("<html><h1>502"), "text/html")
	f.Fuzz(func(t *testing.T, text []byte, contentType string) {
		m := message(text, contentType)
		if len(m) > maxMessage+4 || strings.ContainsAny(m, "\n\r\x1b") || !utf8.ValidString(m) {
			t.Fatalf("message %q", m)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		d := retryAfter(nethttp.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(1_780_000_000, 0))
		if d < 0 || d > uplink.MaxRetryAfter {
			t.Fatalf("after %v", d)
		}
	})
}
