package http

import (
	"testing"

	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/httpserver"
)

// TestAcknowledged: what is remembered is forgotten when its group is done with,
// and cannot grow without bound.
func TestAcknowledged(t *testing.T) {
	var a acknowledged
	records := uplinktest.Records(1, 10)
	marked := make([]bool, len(records))
	marked[3], marked[7] = true, true
	a.remember(records, marked)
	for i := range records {
		if a.has(&records[i]) != marked[i] {
			t.Errorf("record %d: %t", i, a.has(&records[i]))
		}
	}
	other := uplinktest.Records(4, 1)
	other[0].Device = "van-18"
	if a.has(&other[0]) {
		t.Error("another device's record is taken for one that was acknowledged")
	}
	a.forget(records[:5])
	if a.has(&records[3]) || !a.has(&records[7]) {
		t.Error("the wrong ones were forgotten")
	}
	a.forget(records)
	if a.keys != nil {
		t.Errorf("%d keys are left", len(a.keys))
	}
	for i := range uint64(2*maxAcknowledged/1000 + 1) {
		a.remember(uplinktest.Records(1+1000*i, 1000), allTrue[:])
	}
	if len(a.keys) > maxAcknowledged {
		t.Errorf("%d keys are remembered", len(a.keys))
	}
}

// TestNothingIsRemembered after a group that came through in two parts.
func TestNothingIsRemembered(t *testing.T) {
	server, err := httpserver.Start(httpserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	sink, err := New(Options{URL: server.URL(), Form: KafkaRESTv2})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	server.Fail(httpserver.Fault{Code: 50003, From: 6})
	if err := sink.Send(t.Context(), uplinktest.Records(1, 10)); err == nil || len(sink.acked.keys) != 6 {
		t.Fatalf("%v, %d keys are remembered, want 6", err, len(sink.acked.keys))
	}
	if err := sink.Send(t.Context(), uplinktest.Records(1, 10)); err != nil || len(sink.acked.keys) != 0 {
		t.Fatalf("%v, %d keys are remembered, want none", err, len(sink.acked.keys))
	}
}

var allTrue = func() (b [1000]bool) {
	for i := range b {
		b[i] = true
	}
	return b
}()
