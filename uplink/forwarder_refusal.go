package uplink

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// A receiver that refuses a record for good may mean the record, or whatever it
// is sent: a wrong path, a wrong encoding or a limit that is too low have the same
// answer. The Forwarder tells them apart by what else is accepted. What is refused
// is a suspect, and is quarantined only when the sink accepts something: then it
// is the record's fault. Where it accepts nothing, that is an outage, and nothing
// is set aside.
//
// A sink that has accepted something has credit: so many suspects may be
// quarantined at the end of a group that nothing is accepted behind them any more.
// Without credit, as at the start, a group that is refused as a whole is not
// halved again and again: a few of its records are tried alone.

const (
	// maxCredit is how many records may be quarantined in a row.
	maxCredit = 100
	// maxProbes is how many records are tried alone before a group is given up for
	// now, maxCredit where the order is strict.
	maxProbes = 5
)

// errRefusing says that the sink accepts nothing.
var errRefusing = errors.New("nothing is accepted")

// suspect is a record that was refused.
type suspect struct {
	record Record
	origin origin
	cause  error
}

func (f *Forwarder) refusing(n int, cause error) error {
	return fmt.Errorf("%w: %d records were refused one after the other, so that none of them is set aside; check how the sink and its receiver are set up (path, encoding, limits): %w", errRefusing, n, cause)
}

// accepted notes that the sink takes what is good: the suspects are poison.
func (f *Forwarder) accepted() {
	f.condemn()
	f.credit = maxCredit
}

// condemn quarantines the suspects.
func (f *Forwarder) condemn() {
	g := f.group
	for i := range g.suspects {
		s := &g.suspects[i]
		f.quarantine(g.entries[s.origin.entry], &s.record, s.cause)
		f.stats.poison(s.cause)
	}
	clear(g.suspects)
	g.suspects = g.suspects[:0]
}

// suspect takes the records at the given positions out of the group. Those of a
// Transactional sink are poison at once while there is credit: its position says
// that they are done with as soon as what is behind them is.
func (f *Forwarder) suspect(poison map[int]bool, cause error) {
	g := f.group
	g.suspects = append(g.suspects, f.takeOut(poison, cause)...)
	switch {
	case isDropped(cause):
		g.begun = true
		f.accepted()
	case f.transactional != nil && len(g.suspects) <= f.credit:
		g.begun = true // or they would be quarantined once more
		f.credit -= len(g.suspects)
		f.condemn()
	}
}

func (f *Forwarder) takeOut(poison map[int]bool, cause error) (out []suspect) {
	g := f.group
	kept := 0
	for i := range g.records {
		if poison[i] {
			err := fmt.Errorf("%s: record %s: %w", f.o.Name, g.records[i].Key(), cause)
			out = append(out, suspect{g.records[i], g.origins[i], err})
			continue
		}
		g.records[kept], g.origins[kept] = g.records[i], g.origins[i]
		kept++
	}
	g.records, g.origins = g.records[:kept], g.origins[:kept]
	return out
}

// putBack puts records back where they were in the group.
func (g *group) putBack(suspects []suspect) {
	for _, s := range suspects {
		at, _ := slices.BinarySearchFunc(g.origins[g.delivered:], s.origin, origin.compare)
		g.records = slices.Insert(g.records, g.delivered+at, s.record)
		g.origins = slices.Insert(g.origins, g.delivered+at, s.origin)
	}
}

// settleSuspects decides about what was refused when nothing of the group is left.
func (f *Forwarder) settleSuspects() error {
	n := len(f.group.suspects)
	if n <= f.credit {
		f.credit -= n
		f.condemn()
		return nil
	}
	return f.refusing(n, f.group.suspects[n-1].cause)
}

// acquit puts the suspects back where they were in the group.
func (f *Forwarder) acquit() {
	g := f.group
	f.credit = 0
	g.putBack(g.suspects)
	clear(g.suspects)
	g.suspects = g.suspects[:0]
	if f.transactional == nil {
		g.begun = false // copies of what has arrived do less harm than new data that waits
	}
}

func (o origin) compare(p origin) int {
	return cmp.Or(cmp.Compare(o.entry, p.entry), cmp.Compare(o.number, p.number))
}
