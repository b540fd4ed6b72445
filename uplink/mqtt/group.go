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
	culprit := s.culprit(records)
	if culprit < 0 && s.topic.perDevice() && sameDevice(records) {
		s.scratch = s.topic.append(s.scratch[:0], &records[0])
		return []group{{topic: string(s.scratch), records: records}}
	}
	var groups []group
	index := make(map[string]int)
	for i := range records {
		if i == culprit {
			continue
		}
		s.scratch = s.topic.append(s.scratch[:0], &records[i])
		n, ok := index[string(s.scratch)]
		if !ok {
			n = len(groups)
			groups = append(groups, group{topic: string(s.scratch)})
			index[groups[n].topic] = n
		}
		groups[n].records = append(groups[n].records, records[i])
		groups[n].positions = append(groups[n].positions, i)
	}
	if culprit >= 0 {
		s.scratch = s.topic.append(s.scratch[:0], &records[culprit])
		groups = append(groups, group{topic: string(s.scratch), records: records[culprit : culprit+1], positions: []int{culprit}, last: true})
	}
	return groups
}

// culprit is the position of a record that was refused, or -1.
func (s *Sink) culprit(records []uplink.Record) int {
	if s.refusals.times > 0 {
		for i := range records {
			if s.refusals.culprit == records[i].Key() {
				return i
			}
		}
	}
	return -1
}

func sameDevice(records []uplink.Record) bool {
	for i := range records {
		if records[i].Device != records[0].Device {
			return false
		}
	}
	return true
}
