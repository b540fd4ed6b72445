package clock

import (
	"milepost/aggregate"
	"milepost/uplink"
)

// Redate moves records to their right time, as far as it is known by now: those
// whose window was stamped by a clock that was worse than what was learnt in the
// same boot, in this process or in an earlier one. It is for freshly decoded
// records and safe for concurrent use.
//
// A record that is sent again is the same as before unless something better was
// learnt in between: then its Start, Clock and Moved differ, and the key tells that
// it is a copy. This happens at most a few times in a boot, as a synchronized clock
// is believed once and for all.
func (c *Clock) Redate(records []uplink.Record) {
	var boot *uplink.BootID // of the record before
	var learnt Learnt       // of this boot
	for i := range records {
		r := &records[i]
		if r.Clock == aggregate.ClockUnknown || r.Clock == aggregate.ClockSynchronized {
			continue
		}
		if boot == nil || *boot != r.Boot {
			boot = &r.Boot
			c.mu.Lock()
			learnt, _ = c.table.find(r.Boot)
			c.mu.Unlock()
		}
		if learnt.Clock <= r.Clock {
			continue
		}
		r.Clock = learnt.Clock
		// The window began at the same instant of the boot clock, whatever the wall
		// clock is.
		if by := r.Uptime + learnt.Offset - r.Start; by >= minStep || by <= -minStep {
			r.Start += by
			r.Moved += by
		}
	}
}
