package dbc

import (
	"fmt"
	"slices"

	"milepost/can"
)

// Match says how frames find their message.
type Match uint8

const (
	// MatchAuto matches J1939 parameter groups by PGN and everything else by
	// arbitration ID. A parameter group is what the attributes of its database
	// declare as one. Where a database has no such attributes at all but writes
	// every 29-bit identifier with the null address 0xFE, from which nothing is
	// ever sent, those identifiers stand for parameter groups too (so
	// does canboat's NMEA 2000 database).
	MatchAuto Match = iota
	// MatchExact matches every message by arbitration ID.
	MatchExact
	// MatchJ1939 matches every message with a 29-bit identifier by PGN.
	MatchJ1939
)

// Options of Compile.
type Options struct {
	Match Match
	// KeepNotAvailable keeps the raw values that J1939 reserves for "not
	// available" and "error" as numbers, as tools do that do not know J1939.
	KeepNotAvailable bool
}

// Decoder finds the plan for an arbitration ID. It is not modified after
// Compile, so any number of goroutines may use it.
type Decoder struct {
	// standard is indexed by the 11-bit identifier.
	standard [can.MaxStandardID + 1]*Plan
	extended map[uint32]*Plan
	groups   map[uint32]*Plan
	plans    []*Plan
	problems []Problem
}

// Compile makes a Decoder of databases. If several define the same identifier,
// the first database wins, and within it the last message, as with cantools; a
// J1939 identifier that another message has exactly is that message's. Conflicts
// between databases are reported by [Decoder.Problems].
func Compile(dbs []*Database, options Options) *Decoder {
	d := &Decoder{extended: make(map[uint32]*Plan), groups: make(map[uint32]*Plan)}
	for _, db := range dbs {
		d.add(db, options)
	}
	return d
}

func (d *Decoder) add(db *Database, options Options) {
	inferred := options.Match == MatchAuto && db.nullAddress() &&
		db.Definition("VFrameFormat") == nil && db.Definition("ProtocolType") == nil
	own := make(map[*Plan]bool, len(db.Messages))
	for _, m := range db.Messages {
		group := m.Extended && (m.J1939 || inferred || options.Match == MatchJ1939)
		plan := newPlan(m, group && !options.KeepNotAvailable)

		earlier := d.exact(m.ID, m.Extended)
		if earlier != nil && !own[earlier] {
			d.warn(db, m, fmt.Sprintf("the identifier %s is already defined by message %s of another database, which is used",
				messageKey{m.ID, m.Extended}, earlier.Message.Name))
			continue
		}
		own[plan] = true
		d.replace(earlier, plan)

		if !group || options.Match == MatchExact {
			continue
		}
		pgn := PGN(m.ID)
		switch first := d.groups[pgn]; {
		case first == nil || first == earlier:
			d.groups[pgn] = plan
		case !own[first]:
			d.warn(db, m, fmt.Sprintf("PGN %d is already defined by message %s of another database, which is used for all but the identifier %s",
				pgn, first.Message.Name, messageKey{m.ID, m.Extended}))
		}
	}
}

// exact returns the plan for exactly this identifier.
func (d *Decoder) exact(id uint32, extended bool) *Plan {
	switch {
	case extended:
		return d.extended[id]
	case id <= can.MaxStandardID:
		return d.standard[id]
	}
	return nil
}

// replace puts a plan in place of an earlier one, nil for none, with the same
// identifier.
func (d *Decoder) replace(earlier, plan *Plan) {
	if earlier != nil {
		plan.index = earlier.index
		d.plans[plan.index] = plan
	} else {
		plan.index = len(d.plans)
		d.plans = append(d.plans, plan)
	}
	if m := plan.Message; m.Extended {
		d.extended[m.ID] = plan
	} else if m.ID <= can.MaxStandardID {
		d.standard[m.ID] = plan
	}
}

func (d *Decoder) warn(db *Database, m *Message, text string) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{
			File: db.Name, Line: m.Line, Column: 1, Message: fmt.Sprintf("message %s: %s", m.Name, text),
		})
	}
}

// Lookup returns the plan for frames with the identifier, nil if no database
// knows it. It takes constant time; call it once for a stream of frames, not for
// every frame.
func (d *Decoder) Lookup(id uint32, extended bool) *Plan {
	if plan := d.exact(id, extended); plan != nil || !extended {
		return plan
	}
	return d.groups[PGN(id)]
}

// Plans returns all plans, in the order of databases and messages.
func (d *Decoder) Plans() []*Plan { return slices.Clone(d.plans) }

// Problems returns the conflicts between databases, at most 1,000.
func (d *Decoder) Problems() []Problem { return slices.Clone(d.problems) }
