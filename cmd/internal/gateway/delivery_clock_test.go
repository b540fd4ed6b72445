package gateway

import (
	"context"
	"path/filepath"
	"testing"

	"milepost/aggregate"
	"milepost/cmd/internal/clock"
	"milepost/cmd/internal/config"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// collecting keeps what it is sent.
type collecting struct{ records []uplink.Record }

func (s *collecting) Send(_ context.Context, records []uplink.Record) error {
	s.records = append(s.records, records...)
	return nil
}

func (*collecting) Close() error { return nil }

// TestDeliveryRedates: what was stored with the clock in 1970 is delivered with
// the right time, of each class, beside what had it already; the spool keeps it as
// it was. The clock is this machine's.
func TestDeliveryRedates(t *testing.T) {
	dir := t.TempDir()
	c, err := clock.Open(clock.Options{Boot: uplink.BootID{1}, Table: filepath.Join(dir, "clock")})
	if err != nil {
		t.Fatal(err)
	}
	state := c.State()
	learnt := state.Learnt
	if learnt.Clock == aggregate.ClockUnknown {
		t.Skipf("the clock of this machine is %v", state.Clock)
	}
	rules := []config.PriorityRule{{Signal: "two", Priority: config.PriorityHigh}}
	spools, err := OpenSpools(filepath.Join(dir, "spool"), spool.Options{Sync: spool.SyncNever}, rules)
	if err != nil {
		t.Fatal(err)
	}
	store := NewStore(spools, StoreOptions{Device: "car", Boot: c.Boot(), Priorities: rules})
	group := &aggregate.Group{Bus: "can0", Name: "M", Series: []aggregate.Series{{Name: "one", Bits: 8, Factor: 1}, {Name: "two", Bits: 8, Factor: 1}}}
	var folder aggregate.ColumnFolder
	const uptime = 42e9
	stamps := []aggregate.Stamp{
		{Clock: aggregate.ClockUnset, ClockOffset: 100e9},
		{Clock: learnt.Clock, ClockOffset: learnt.Offset},
		{},
	}
	for _, stamp := range stamps {
		w := aggregate.NewWindow(uptime+stamp.ClockOffset, 1e9, 0)
		w.Stamp = stamp
		s := w.AddGroup(group)
		for j := range s {
			folder.Fold(&group.Series[j], aggregate.Column{Values: []int64{1}, Weights: []uint32{1}}, w, &s[j])
		}
		if err := store.Put(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sink := &collecting{}
	delivery, err := NewDelivery(spools, []Target{{Name: "memory", Sink: sink, Start: spool.Oldest, Clock: c}}, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	delivery.Start(t.Context(), func(err error) { t.Error(err) })
	delivery.Retry()
	if err := spools.End(); err != nil {
		t.Fatal(err)
	}
	if err := delivery.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := spools.Close(); err != nil {
		t.Fatal(err)
	}

	if len(sink.records) != 6 {
		t.Fatalf("%d records delivered, want 6", len(sink.records))
	}
	check := func(where string, r *uplink.Record, start, moved int64, quality aggregate.Clock) {
		t.Helper()
		if r.Start != start || r.Moved != moved || r.Clock != quality {
			t.Errorf("%s, record %d: %d, moved by %d, %v; want %d, %d, %v", where, r.Sequence, r.Start, r.Moved, r.Clock, start, moved, quality)
		}
	}
	for i := range sink.records {
		r := &sink.records[i]
		switch (r.Sequence - 1) / 2 {
		case 0:
			check("delivered", r, uptime+learnt.Offset, learnt.Offset-100e9, learnt.Clock)
		case 1:
			check("delivered", r, uptime+learnt.Offset, 0, learnt.Clock)
		case 2:
			check("delivered", r, uptime, 0, aggregate.ClockUnknown)
		}
	}
	for _, records := range stored(t, filepath.Join(dir, "spool")) {
		if r := &records[0]; len(records) == 3 {
			check("stored", r, uptime+100e9, 0, aggregate.ClockUnset)
		} else {
			t.Errorf("%d records of a class are stored", len(records))
		}
	}
}
