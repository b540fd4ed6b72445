package uplink

import (
	"os"
	"testing"

	"milepost/aggregate"
)

// TestBatchBeforeClocks: a batch that was written before windows had a clock is
// read as before, and nothing is known of its clock.
func TestBatchBeforeClocks(t *testing.T) {
	payload, err := os.ReadFile("testdata/batch-before-clocks.bin")
	if err != nil {
		t.Fatal(err)
	}
	var d BatchDecoder
	records, err := d.Decode(payload, nil)
	if err != nil || len(records) != 10 {
		t.Fatalf("%d records, want 10: %v", len(records), err)
	}
	for i, r := range records {
		if r.Sequence != uint64(7+i) || r.Clock != aggregate.ClockUnknown || r.Uptime != 0 || r.Moved != 0 || r.Summary.Count != 6 {
			t.Errorf("record %d is %s", i, AppendJSON(nil, &r))
		}
	}
	if r := &records[9]; r.Start != 1_780_000_002e9 || r.Revision != 3 || r.Group.Name != "Doors" {
		t.Errorf("the last record is %s", AppendJSON(nil, r))
	}
}

// TestBatchClock: a window's clock costs two bytes, and the offset is written in
// the first window of a batch and after a step.
func TestBatchClock(t *testing.T) {
	unset := aggregate.Stamp{Clock: aggregate.ClockUnset, ClockOffset: 17}
	set := aggregate.Stamp{Clock: aggregate.ClockSynchronized, ClockOffset: 1_780_000_000e9}
	e := NewBatchEncoder("car-1", BootID{}, 1)
	size := func(stamps ...aggregate.Stamp) int {
		for i, stamp := range stamps {
			w := aggregate.NewWindow(int64(i)*1e9, 1e9, 0)
			w.Stamp = stamp
			w.AddGroup(testGroups[0])[0].Absent = true
			e.Add(w)
		}
		payload := e.Take()
		var d BatchDecoder
		records, err := d.Decode(payload, nil)
		if err != nil || len(records) != len(stamps) {
			t.Fatalf("%d records: %v", len(records), err)
		}
		for i, r := range records {
			if r.Clock != stamps[i].Clock || r.Clock != 0 && r.Start-r.Uptime != stamps[i].ClockOffset {
				t.Errorf("window %d of %v is read as %v, offset %d", i, stamps, r.Clock, r.Start-r.Uptime)
			}
		}
		return len(payload)
	}
	plain := size(aggregate.Stamp{}, aggregate.Stamp{}, aggregate.Stamp{})
	if got, want := size(unset, unset, unset), plain+3*2+2; got != want {
		t.Errorf("%d bytes with clocks, %d without, want %d", got, plain, want)
	}
	if got, want := size(unset, unset, set), plain+3*2+2+1+9; got != want {
		t.Errorf("%d bytes with a step, %d without clocks, want %d", got, plain, want)
	}
	size(unset, set, set, unset, aggregate.Stamp{}, unset) // the second batch must not lean on the first
	size(aggregate.Stamp{}, set)
	size(set, aggregate.Stamp{}, set)
}
