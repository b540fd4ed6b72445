package board_test

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

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

// delivered reads what a broker has: the stretches of each message in order, each
// record once, and the sequences of each boot.
func delivered(t *testing.T, broker *mqttbroker.Broker) (stretches map[string][]stretch, sequences map[uplink.BootID][]uint64) {
	t.Helper()
	seen := map[key]string{}
	stretches, sequences = map[string][]stretch{}, map[uplink.BootID][]uint64{}
	for _, m := range broker.Messages() {
		for line := range bytes.Lines(m.Payload) {
			r, err := uplink.DecodeJSON(line)
			if err != nil {
				t.Fatal(err)
			}
			k := key{r.Boot, r.Sequence}
			if before, again := seen[k]; again {
				if before != string(bytes.TrimSpace(line)) {
					t.Fatalf("record %v has come twice and differs:\n%s\n%s", k, before, line)
				}
				continue
			}
			seen[k] = string(bytes.TrimSpace(line))
			sequences[r.Boot] = append(sequences[r.Boot], r.Sequence)
			if strings.HasPrefix(r.Group.Name, "Counter") {
				v, name := r.Value(), r.Group.Bus+" "+r.Group.Name
				stretches[name] = append(stretches[name], stretch{uint32(v.First), uint32(v.Last), uint32(r.Summary.Count)})
			}
		}
	}
	for _, all := range stretches {
		slices.SortFunc(all, func(a, b stretch) int { return cmp.Compare(a.first, b.first) })
	}
	return stretches, sequences
}

// checkDelivered checks that the broker has all frames of each message up to safe,
// which were on the disk before the cut, and all from again on, which came after
// it; and of those between, some from the beginning.
func checkDelivered(t *testing.T, d *drive, safe, again uint32) {
	t.Helper()
	stretches, sequences := delivered(t, d.broker)
	if len(sequences) != 2 {
		t.Errorf("there are records of %d boots, want 2", len(sequences))
	}
	for boot, all := range sequences {
		slices.Sort(all)
		if last := all[len(all)-1]; all[0] != 1 || last != uint64(len(all)) {
			t.Errorf("of boot %v there are %d records, from %d to %d", boot, len(all), all[0], last)
		}
	}
	if want := len(d.buses) * countedMessages; len(stretches) != want {
		t.Errorf("there are records of %d messages, want %d: %v", len(stretches), want, slices.Sorted(maps.Keys(stretches)))
	}
	frames := uint32(0)
	for name, all := range stretches {
		next, cut := uint32(0), false
		for _, s := range all {
			if s.last-s.first+1 != s.count {
				t.Errorf("%s: a window of %d frames has %d to %d", name, s.count, s.first, s.last)
			}
			switch {
			case s.first == next:
			case s.first == again && next >= safe && !cut:
				cut = true
				t.Logf("%s: the cut has cost what came after frame %d, of which %d were safe", name, next, safe)
			default:
				t.Errorf("%s: a window begins with frame %d, the one before ended with %d; frames to %d were safe, and those from %d came after the cut",
					name, s.first, next-1, safe-1, again)
			}
			next = s.last + 1
			frames += s.count
		}
		if want := again + phaseFrames/countedMessages; next != want || !cut {
			t.Errorf("%s: the last frame is %d, want %d; a cut was seen: %v", name, next-1, want-1, cut)
		}
	}
	t.Logf("the broker has %d frames of the buses in %d messages", frames, len(d.broker.Messages()))
}
