package http

import (
	"strings"

	"milepost/uplink"
)

// maxAcknowledged limits how many keys are remembered: two groups of a
// Forwarder. What is forgotten is sent once more.
const maxAcknowledged = 20_000

// acknowledged remembers records that the server has of groups that were not
// acknowledged as a whole.
type acknowledged struct {
	keys   map[uplink.Key]struct{}
	device string // a copy: records are not kept, and nothing that they point to
}

func (a *acknowledged) has(r *uplink.Record) bool {
	_, ok := a.keys[r.Key()]
	return ok
}

// remember adds the records that are marked.
func (a *acknowledged) remember(records []uplink.Record, marked []bool) {
	for i := range records {
		if !marked[i] {
			continue
		}
		key := records[i].Key()
		if key.Device != a.device {
			a.device = strings.Clone(key.Device)
		}
		key.Device = a.device
		if a.keys == nil {
			a.keys = make(map[uplink.Key]struct{})
		}
		if len(a.keys) >= maxAcknowledged {
			clear(a.keys)
		}
		a.keys[key] = struct{}{}
	}
}

// forget removes the records: their group is done with.
func (a *acknowledged) forget(records []uplink.Record) {
	if len(a.keys) == 0 {
		return
	}
	for i := range records {
		delete(a.keys, records[i].Key())
	}
	if len(a.keys) == 0 {
		a.keys = nil
	}
}
