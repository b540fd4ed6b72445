package board_test

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/uplinktest/mqttbroker"
)

// key identifies a record.
type key struct {
	boot     uplink.BootID
	sequence uint64
}

// stretch is what a record says of a message that counts itself: the first and the
// last frame of a window, and how many there were.
type stretch struct{ first, last, count uint32 }

// deliveries are what a broker has, each record once.
type deliveries struct {
	records   map[key]uplink.Record
	stretches map[string][]stretch // of a message, in order
	messages  int
}

func readDelivered(t *testing.T, broker *mqttbroker.Broker) *deliveries {
	t.Helper()
	d := &deliveries{records: map[key]uplink.Record{}, stretches: map[string][]stretch{}}
	lines := map[key]string{}
	for _, m := range broker.Messages() {
		d.messages++
		for line := range bytes.Lines(m.Payload) {
			r, err := uplink.DecodeJSON(line)
			if err != nil {
				t.Fatal(err)
			}
			k, text := key{r.Boot, r.Sequence}, string(bytes.TrimSpace(line))
			if before, again := lines[k]; again {
				if before != text {
					t.Fatalf("a record has come twice and differs:\n%s\n%s", before, text)
				}
				continue
			}
			lines[k], d.records[k] = text, r
			if strings.HasPrefix(r.Group.Name, "Counter") {
				v, name := r.Value(), r.Group.Bus+" "+r.Group.Name
				d.stretches[name] = append(d.stretches[name], stretch{uint32(v.First), uint32(v.Last), uint32(r.Summary.Count)})
			}
		}
	}
	for _, all := range d.stretches {
		slices.SortFunc(all, func(a, b stretch) int { return cmp.Compare(a.first, b.first) })
	}
	return d
}

// checkFrames checks that the frames of each message have come up to safe, which
// were on the disk before the cut, and from again, which came after it, to the
// end; and of those between, some from the beginning. No record is missing.
func (d *deliveries) checkFrames(t *testing.T, of *day, safe, again, end uint32) {
	t.Helper()
	sequences := map[uplink.BootID][]uint64{}
	for k := range d.records {
		sequences[k.boot] = append(sequences[k.boot], k.sequence)
	}
	if len(sequences) != 2 {
		t.Errorf("there are records of %d boots, want 2", len(sequences))
	}
	for boot, all := range sequences {
		slices.Sort(all)
		if last := all[len(all)-1]; all[0] != 1 || last != uint64(len(all)) {
			t.Errorf("of boot %v there are %d records, from %d to %d", boot, len(all), all[0], last)
		}
	}
	if want := len(of.buses) * countedMessages; len(d.stretches) != want {
		t.Errorf("there are records of %d messages, want %d: %v", len(d.stretches), want, slices.Sorted(maps.Keys(d.stretches)))
	}
	frames := uint32(0)
	for _, name := range slices.Sorted(maps.Keys(d.stretches)) {
		next, cut := uint32(0), false
		for _, s := range d.stretches[name] {
			if s.last-s.first+1 != s.count {
				t.Errorf("%s: a window of %d frames has %d to %d", name, s.count, s.first, s.last)
			}
			switch {
			case s.first == next:
			case s.first == again && next >= safe && !cut:
				cut = true
				t.Logf("%s: %d frames were safe when the power was cut, and %d have come", name, safe, next)
			default:
				t.Errorf("%s: a window begins with frame %d, the one before ended with %d; %d frames were safe, and those from %d came after the cut",
					name, s.first, int64(next)-1, safe, again)
			}
			next = s.last + 1
			frames += s.count
		}
		if next != end || !cut {
			t.Errorf("%s: the last frame is %d, want %d; a cut was seen: %v", name, int64(next)-1, end-1, cut)
		}
	}
	t.Logf("the broker has %d frames of the buses in %d records", frames, len(d.records))
}

// checkDates checks that the records of the second boot have the times at which
// they were made, although the clock was set later than many of them; and that of
// the first boot those which had to be sent before the clock was set say so.
func (d *deliveries) checkDates(t *testing.T, second uplink.BootID, begin, end time.Time) {
	t.Helper()
	moved, unset := 0, 0
	for k, r := range d.records {
		at := time.Unix(0, r.Start)
		switch {
		case k.boot == second && (at.Before(begin.Add(-time.Minute)) || at.After(end)):
			t.Fatalf("record %d of the second boot is of %v, and the boot was from %v to %v: %+v", k.sequence, at, begin, end, r)
		case k.boot == second && r.Moved != 0:
			moved++
		case at.Year() == 1970 && r.Clock != aggregate.ClockUnset:
			t.Fatalf("record %d is of %v and calls its clock %v", k.sequence, at, r.Clock)
		case at.Year() == 1970:
			unset++
		}
	}
	if moved == 0 {
		t.Error("no record of the second boot was re-dated: the test has seen nothing")
	}
	t.Logf("%d records of the second boot were re-dated, %d of the first were sent before the clock was set", moved, unset)
}
