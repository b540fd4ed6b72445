package slots

import "fmt"

// Decision is what a start of the device does.
type Decision struct {
	// Start is the slot to start.
	Start Slot
	// Next is the state in which it is started. Where Write is true it must be durable
	// before the slot is started.
	Next  State
	Write bool
	// Says is a line for the console where something is out of the ordinary.
	Says string
}

// Decide chooses the slot to start. A trial is paid for before it begins: the try
// is taken off durably first, so a system that hangs, crashes or loses the power
// while it is on trial is not started again.
func Decide(s State) Decision {
	switch {
	case s.Trial == None:
		return Decision{Start: s.Active, Next: s}
	case !s.System(s.Trial).Whole:
		return s.giveUp(fmt.Sprintf("the system in slot %v is not whole", s.Trial))
	case s.TriesLeft == 0:
		return s.giveUp(fmt.Sprintf("the system in slot %v was started and did not confirm that it works: it crashed, hung, or lost its power", s.Trial))
	}
	slot := s.Trial
	s.TriesLeft--
	return Decision{Start: slot, Next: s, Write: true, Says: fmt.Sprintf("slot %v is started on trial; slot %v stays the active one until it confirms", slot, s.Active)}
}

// NotMounted is Decide for when the slot that was chosen does not mount: the trial
// is given up, or the other slot becomes the active one. Start is None where there
// is no other whole system.
func NotMounted(s State, failed Slot, cause error) Decision {
	reason := fmt.Sprintf("the system in slot %v does not mount: %v", failed, cause)
	broken := s.System(failed)
	broken.Whole = false
	if failed == s.Trial {
		return s.with(failed, broken).giveUp(reason)
	}
	other := failed.Other()
	if !s.System(other).Whole || other == s.Trial {
		return Decision{Start: None, Next: s, Says: reason + fmt.Sprintf("; slot %v has no whole system", other)}
	}
	s = s.with(failed, broken)
	s.Active, s.Outcome, s.Reason = other, FellBack, reason
	return Decision{Start: other, Next: s, Write: true, Says: reason + fmt.Sprintf("; slot %v is started", other)}
}

// giveUp ends a trial and starts the active slot.
func (s State) giveUp(reason string) Decision {
	trial := s.Trial
	s = s.RollBack(reason)
	return Decision{Start: s.Active, Next: s, Write: true, Says: fmt.Sprintf("rolled back from slot %v to %v: %s", trial, s.Active, reason)}
}

// Boot reads the state of a disk, decides, and makes the decision durable. A state
// that cannot be written starts no trial: a device whose disk takes no more writes
// would start it for ever. The error is for the console; the decision is to be
// followed all the same.
func Boot(d Device) (Decision, error) {
	s, err := Read(d)
	decision := Decide(s)
	if !decision.Write {
		return decision, err
	}
	next, writeErr := Write(d, decision.Next)
	if writeErr != nil {
		return Decision{Start: s.Active, Next: s, Says: fmt.Sprintf("slot %v is started, because the boot state cannot be written", s.Active)}, writeErr
	}
	decision.Next = next
	return decision, err
}

// BootOther is Boot for when the slot that a decision has chosen does not mount.
// Here the slot to start does not depend on whether the state can be written.
func BootOther(d Device, was Decision, cause error) (Decision, error) {
	decision := NotMounted(was.Next, was.Start, cause)
	if !decision.Write {
		return decision, nil
	}
	next, err := Write(d, decision.Next)
	decision.Next = next
	return decision, err
}

// Empty is the state while a slot is written: it holds nothing that could be
// started. The slot is the one that is not active, and there is no trial.
func (s State) Empty(slot Slot) State { return s.with(slot, System{}) }

// Try is the state that starts a slot, which now has a whole system, on trial.
func (s State) Try(slot Slot, version string, tries uint8) State {
	s = s.with(slot, System{Whole: true, Version: version})
	s.Trial, s.TriesLeft = slot, tries
	return s
}

// Keep is the state when the system on trial has proved itself: it is the active
// one from now on.
func (s State) Keep(reason string) State {
	s.Active, s.Trial, s.TriesLeft = s.Trial, None, 0
	s.Outcome, s.Reason = Kept, reason
	return s
}

// RollBack is the state when the system on trial is given up: the next start is
// that of the active slot.
func (s State) RollBack(reason string) State {
	s.Trial, s.TriesLeft = None, 0
	s.Outcome, s.Reason = RolledBack, reason
	return s
}
