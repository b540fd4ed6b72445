package mqtt

import "milepost/uplink"

// group is the records of one topic.
type group struct {
	topic     string
	records   []uplink.Record
	positions []int // in what Send was given; nil: from 0 on
	last      bool  // a single record, to be sent after all others
}

func (g *group) position(i int) int {
	if g.positions == nil {
		return i
	}
	return g.positions[i]
}

// group sorts the records by topic, in the order of the topics' first ones. A
// record that was refused comes last.
func (s *Sink) group(records []uplink.Record) []group {
	if len(s.refusals.culprits) == 0 && s.topic.PerDevice() && sameDevice(records) {
		s.scratch = s.topic.append(s.scratch[:0], &records[0])
		return []group{{topic: string(s.scratch), records: records}}
	}
	var groups, last []group
	index := make(map[string]int)
	for i := range records {
		s.scratch = s.topic.append(s.scratch[:0], &records[i])
		if s.refusals.culprit(records[i].Key()) >= 0 {
			last = append(last, group{topic: string(s.scratch), records: records[i : i+1], positions: []int{i}, last: true})
			continue
		}
		n, ok := index[string(s.scratch)]
		if !ok {
			n = len(groups)
			groups = append(groups, group{topic: string(s.scratch)})
			index[groups[n].topic] = n
		}
		groups[n].records = append(groups[n].records, records[i])
		groups[n].positions = append(groups[n].positions, i)
	}
	return append(groups, last...)
}

func sameDevice(records []uplink.Record) bool {
	for i := range records {
		if records[i].Device != records[0].Device {
			return false
		}
	}
	return true
}
