package main

import "milepost/cmd/internal/gateway"

// compareSent compares what was delivered of each signal over the whole drive
// with what the vehicle sent of it, which it knows from its model and not from
// the pipeline.
func (c *checker) compareSent(v *vehicle) {
	delivered := make(map[series]*total)
	for i := range c.totals {
		key := c.account.series[i]
		key.unit = ""
		delivered[key] = &c.totals[i]
	}
	for i := range v.sent {
		sent := &v.sent[i]
		for j := range sent.signals {
			signal := &sent.message.Signals[j]
			key := series{bus: sent.bus, message: sent.message.Name, signal: signal.Name, id: sent.message.ID, extended: sent.message.Extended}
			got := delivered[key]
			delete(delivered, key)
			if got == nil {
				got = new(total)
			}
			s := &sent.signals[j]
			if got.count != s.count {
				c.found.count(&c.found.Different, "%v: %d samples were delivered, %d were sent", &key, got.count, s.count)
				continue
			}
			want := total{s.count, signal.Physical(s.min), signal.Physical(s.max), signal.Physical(s.first), signal.Physical(s.last), got.sum}
			if want.max < want.min { // a negative factor
				want.min, want.max = want.max, want.min
			}
			if s.count > 0 && *got != want {
				c.found.count(&c.found.Different, "%v: min, max, first, last %v, %v, %v, %v were delivered, %v, %v, %v, %v sent", &key,
					got.min, got.max, got.first, got.last, want.min, want.max, want.first, want.last)
			}
		}
	}
	for key, got := range delivered {
		if got.count > 0 {
			c.found.count(&c.found.Different, "%v: %d samples were delivered, none was sent", &key, got.count)
		}
	}
}

// compareLedger compares the replay's own ledger with the other accounts.
func (c *checker) compareLedger(v *vehicle, l *gateway.Ledger) {
	for _, x := range []struct {
		what      string
		got, want uint64
	}{
		{"frames", l.Frames, v.frames},
		{"decoded frames", l.Decoded, v.frames},
		{"samples", l.Samples, v.samples()},
		{"records", l.Records, uint64(len(c.account.entries))},
	} {
		if x.got != x.want {
			c.found.count(&c.found.Unbalanced, "the ledger has %d %s, there were %d", x.got, x.what, x.want)
		}
	}
}
