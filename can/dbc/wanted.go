package dbc

import "sort"

// Identifier is what a Decoder knows frames by: an arbitration ID, or a J1939
// parameter group, whose frames have any priority and addresses.
type Identifier struct {
	ID       uint32
	Extended bool
	// Group says that ID is a PGN.
	Group bool
}

// Identifiers lists what Lookup finds and gives signals, in ascending order: what
// a receiver's filter has to let pass.
func (d *Decoder) Identifiers() (all []Identifier) {
	for id, plan := range d.standard {
		if plan != nil && len(plan.signals) > 0 {
			all = append(all, Identifier{ID: uint32(id)})
		}
	}
	first := len(all)
	for id, plan := range d.extended {
		if len(plan.signals) > 0 {
			all = append(all, Identifier{ID: id, Extended: true})
		}
	}
	for pgn, plan := range d.groups {
		if len(plan.signals) > 0 {
			all = append(all, Identifier{ID: pgn, Extended: true, Group: true})
		}
	}
	sort.Slice(all[first:], func(i, j int) bool {
		a, b := all[first+i], all[first+j]
		return !a.Group && b.Group || a.Group == b.Group && a.ID < b.ID
	})
	return all
}
