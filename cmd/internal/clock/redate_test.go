package clock

import (
	"testing"

	"pgregory.net/rapid"

	"milepost/aggregate"
	"milepost/uplink"
)

// times is what Redate may change, and what it must not.
type times struct {
	boot                    uplink.BootID
	clock                   aggregate.Clock
	start, duration         int64
	uptime, moved, sequence int64
}

func timesOf(r uplink.Record) times {
	return times{r.Boot, r.Clock, r.Start, r.Duration, r.Uptime, r.Moved, int64(r.Sequence)}
}

// TestRedateAny: whatever a spool holds, a record that is moved begins at the
// instant of the boot clock at which it began, none becomes worse, and a second
// time changes nothing.
func TestRedateAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &Clock{}
		for boot := range byte(3) {
			c.table.set(uplink.BootID{boot}, Learnt{
				Clock:  aggregate.Clock(rapid.IntRange(0, 3).Draw(t, "learnt")),
				Offset: rapid.SampledFrom([]int64{0, ntp2026, ntp2026 + 10, -farAway}).Draw(t, "offset"),
			})
		}
		var records []uplink.Record
		for range rapid.IntRange(0, 9).Draw(t, "records") {
			r := uplink.Record{
				Boot:  uplink.BootID{rapid.ByteRange(0, 3).Draw(t, "boot")},
				Start: rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64()).Draw(t, "start"), Duration: 1e9,
				Clock: aggregate.Clock(rapid.IntRange(0, 3).Draw(t, "clock")),
			}
			if r.Clock != aggregate.ClockUnknown {
				r.Uptime = r.Start - rapid.SampledFrom([]int64{0, ntp2026}).Draw(t, "stamped by")
			}
			records = append(records, r)
		}
		got := append([]uplink.Record(nil), records...)
		c.Redate(got)
		for i, g := range got {
			before := records[i]
			learnt, _ := c.table.find(g.Boot)
			switch {
			case g.Clock == before.Clock:
				if timesOf(g) != timesOf(before) || g.Clock != aggregate.ClockUnknown && learnt.Clock > g.Clock {
					t.Fatalf("%+v became %+v, learnt %+v", before, g, learnt)
				}
			case before.Clock == aggregate.ClockUnknown || g.Clock != learnt.Clock || g.Clock < before.Clock:
				t.Fatalf("%+v became %+v, learnt %+v", before, g, learnt)
			case g.Start-g.Moved != before.Start || g.Uptime != before.Uptime:
				t.Fatalf("%+v became %+v: where it came from is lost", before, g)
			case g.Moved != 0 && g.Start-g.Uptime != learnt.Offset || g.Moved == 0 && distance(g.Start-g.Uptime, learnt.Offset) >= minStep:
				t.Fatalf("%+v became %+v, learnt %+v", before, g, learnt)
			}
		}
		again := append([]uplink.Record(nil), got...)
		c.Redate(again)
		for i := range again {
			if timesOf(again[i]) != timesOf(got[i]) {
				t.Fatalf("%+v became %+v the second time", got[i], again[i])
			}
		}
		c.table.set(uplink.BootID{1}, Learnt{Clock: synchronized, Offset: 77e9})
		c.Redate(again)
		for i, a := range again {
			if a.Start-a.Moved != records[i].Start {
				t.Fatalf("%+v became %+v: where it came from is lost", records[i], a)
			}
		}
	})
}
