// Package slots is the boot state of an image with two systems: which of them is
// started, and which is on trial. It is what the stage (the image's initramfs) and
// `milepost update` tell one another across a restart, at any instant of which the
// power may be cut.
//
// Everything that decides is a pure function from a state to a state, so that every
// order of events can be tested. The package has few imports, because the stage
// links it.
package slots

// Slot is one of the two places for a system.
type Slot uint8

// The slots. None is no slot, such as where there is no trial.
const (
	None Slot = iota
	A
	B
)

// String is A, B, or none.
func (s Slot) String() string {
	switch s {
	case A:
		return "A"
	case B:
		return "B"
	}
	return "none"
}

// Other is B for A, and A for B.
func (s Slot) Other() Slot {
	switch s {
	case A:
		return B
	case B:
		return A
	}
	return None
}

// valid says whether it is A or B.
func (s Slot) valid() bool { return s == A || s == B }

// Outcome is what became of the last trial.
type Outcome uint8

// The outcomes.
const (
	NoTrialYet Outcome = iota
	Kept               // the new system has become the active one
	RolledBack         // the new system was given up
	FellBack           // no trial: the active system did not mount, the other one was started
)

// String is a word or two for people.
func (o Outcome) String() string {
	switch o {
	case Kept:
		return "kept"
	case RolledBack:
		return "rolled back"
	case FellBack:
		return "fell back"
	}
	return "none"
}

// System is what a slot holds.
type System struct {
	// Whole says that all of it was written, checked and made durable. A slot that is
	// empty or being written is not whole, and is never started by choice.
	Whole bool
	// Version is that of the system, up to MaxVersion bytes; empty where it is not
	// known, as for the system that an image comes with.
	Version string
}

// State is the boot state. The zero value is none; New is that of a new image.
type State struct {
	// Sequence is the number of the write that made it: of two, the higher counts.
	Sequence uint64
	// Active is the slot that is started when there is no trial.
	Active Slot
	// Trial is the slot to be tried, or None; TriesLeft is how often it may still be
	// started before it is given up.
	Trial     Slot
	TriesLeft uint8
	// Systems are those of A and B; see System.
	Systems [2]System
	// Outcome is what became of the last trial, and Reason says why in up to
	// MaxReason bytes.
	Outcome Outcome
	Reason  string
}

// New is the state of an image that was just written to a disk: a system in A,
// nothing in B.
func New() State {
	return State{Active: A, Systems: [2]System{{Whole: true}}}
}

// System returns what a slot holds.
func (s State) System(slot Slot) System {
	if !slot.valid() {
		return System{}
	}
	return s.Systems[slot-A]
}

// with returns the state with another system in a slot.
func (s State) with(slot Slot, system System) State {
	if slot.valid() {
		s.Systems[slot-A] = system
	}
	return s
}
