package uplink_test

import (
	"errors"
	"testing"
	"time"

	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
)

// TestFromSpool forwards from a real spool, through a restart with something
// unacknowledged.
func TestFromSpool(t *testing.T) {
	dir := t.TempDir()
	records := uplinktest.Records(1, 600)
	open := func() (*spool.Spool, *spool.Cursor) {
		s, err := spool.Open(dir, spool.Options{Sync: spool.SyncNever})
		if err != nil {
			t.Fatal(err)
		}
		cursor, err := s.Cursor("memory", spool.Oldest)
		if err != nil {
			t.Fatal(err)
		}
		return s, cursor
	}
	s, cursor := open()
	for i := 0; i < len(records); i += 6 {
		if _, err := s.Append(uplink.Protobuf.Append(nil, records[i:i+6])); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	sink := &uplinktest.FlakySink{Partial: 20, Fail: func(call int, _ []uplink.Record) error {
		if call > 3 {
			return errors.New("link down")
		}
		return nil
	}}
	o := uplink.ForwarderOptions{Decode: uplink.DecodeRecords, MaxRecords: 90, GiveUp: time.Nanosecond}
	first := uplink.NewForwarder(cursor, sink, o)
	if err := first.Run(t.Context()); err == nil {
		t.Fatal("Run over a link that is down returned nil")
	}
	balance(t, first.Stats())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, cursor = open()
	defer s.Close()
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	sink.Fail = func(int, []uplink.Record) error { return nil }
	second := uplink.NewForwarder(cursor, sink, o)
	if err := second.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	delivered(t, sink, records)
	balance(t, second.Stats())
	if got, want := second.Stats().Sent, uint64(600-3*90); got != want {
		t.Errorf("after the restart %d records were sent, want %d", got, want)
	}
}
