package http

import "milepost/uplink"

// batch is records that go to one URL.
type batch struct {
	device    string
	records   []uplink.Record
	positions []int // in what Send was given; nil: from 0 on
}

func (b *batch) position(i int) int {
	if b.positions == nil {
		return i
	}
	return b.positions[i]
}

// batches groups the records that the server does not have yet by URL, in the
// order of the URLs' first ones.
func (s *Sink) batches(records []uplink.Record, t *tally) []*batch {
	perDevice := s.form.perDevice()
	if len(s.acked.keys) == 0 && (!perDevice || sameDevice(records)) {
		if len(records) == 0 {
			return nil
		}
		return []*batch{{device: records[0].Device, records: records}}
	}
	var batches []*batch
	index := make(map[string]*batch)
	for i := range records {
		r := &records[i]
		if s.acked.has(r) {
			t.acked[i] = true
			continue
		}
		name := ""
		if perDevice {
			name = r.Device
		}
		b := index[name]
		if b == nil {
			b = &batch{device: r.Device}
			index[name] = b
			batches = append(batches, b)
		}
		b.records = append(b.records, *r)
		b.positions = append(b.positions, i)
	}
	return batches
}

func sameDevice(records []uplink.Record) bool {
	for i := range records {
		if records[i].Device != records[0].Device {
			return false
		}
	}
	return true
}
