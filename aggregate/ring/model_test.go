package ring

import (
	"fmt"
	"testing"
)

// The model: Slot, Complete and Close as the single loads and stores that they
// consist of, and every order in which those of the writer and of the closer can
// come. A slot is a critical section: the writer is in it from Slot's answer on
// until it asks again, the closer while f runs.
//
// The atomics of Go are sequentially consistent, so that interleavings are all
// there is to explore.
const (
	modelSize    = 2
	modelWindows = 6 // 0 to 5: every slot is used three times over
)

type modelState struct {
	complete, released int8
	slots              [modelSize]modelSlot

	// The writer: what it does next, the window it is about and what it loaded.
	writer                 modelStep
	window, loadedComplete int8

	// The closer: what it does next, the counters it loaded, the window it is at.
	closer           modelStep
	upTo, from, next int8
}

type modelSlot struct {
	window int8
	used   bool
}

type modelStep int8

const (
	idle modelStep = iota
	loadReleased
	checkFull
	inSlot
	leave
)

// inside tells which slot each side is in, -1 for none.
func (s *modelState) inside() (writer, closer int) {
	writer, closer = -1, -1
	if s.writer == inSlot {
		writer = int(s.window % modelSize)
	}
	if s.closer == inSlot {
		closer = int(s.next % modelSize)
	}
	return writer, closer
}

// writerSteps gives the states after one step of the writer.
func (s modelState) writerSteps(sabotage bool) (after []modelState, fault string) {
	switch s.writer {
	case idle: // Complete(w), or Slot(w) for any window
		for w := s.complete + 1; w <= modelWindows; w++ {
			n := s
			n.complete = w
			after = append(after, n)
		}
		for w := int8(0); w < modelWindows; w++ {
			n := s
			n.window, n.loadedComplete, n.writer = w, s.complete, loadReleased
			after = append(after, n)
		}
	case loadReleased:
		s.writer = checkFull
		if s.window < s.loadedComplete {
			s.writer = idle // Late
		}
		after = append(after, s)
	case checkFull:
		limit := s.released + modelSize
		if sabotage { // what a ring would do that takes complete for released
			limit = s.complete + modelSize
		}
		s.writer = inSlot
		if s.window >= limit {
			s.writer = idle // Full
		}
		after = append(after, s)
	case inSlot:
		slot := &s.slots[s.window%modelSize]
		if slot.used && slot.window != s.window {
			return nil, fmt.Sprintf("the writer finds window %d in the slot of %d", slot.window, s.window)
		}
		*slot = modelSlot{s.window, true}
		s.writer = idle
		after = append(after, s)
	}
	return after, ""
}

// closerStep gives the state after one step of the closer.
func (s modelState) closerStep() (after modelState, fault string) {
	switch s.closer {
	case idle:
		s.upTo, s.closer = s.complete, loadReleased
	case loadReleased:
		s.from, s.next, s.closer = s.released, s.released, inSlot
		if s.next >= min(s.upTo, s.from+modelSize) {
			s.closer = leave
		}
	case inSlot:
		slot := &s.slots[s.next%modelSize]
		if slot.used && slot.window != s.next {
			return s, fmt.Sprintf("the closer finds window %d in the slot of %d", slot.window, s.next)
		}
		slot.used = false
		if s.next++; s.next >= min(s.upTo, s.from+modelSize) {
			s.closer = leave
		}
	case leave:
		s.released = max(s.released, s.upTo)
		s.upTo, s.from, s.next, s.closer = 0, 0, 0, idle
	}
	return s, ""
}

// explore visits every state that can be reached, until it finds a fault.
func explore(sabotage bool) (states int, fault string) {
	seen := map[modelState]bool{{}: true}
	queue := []modelState{{}}
	for len(queue) > 0 {
		s := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if w, c := s.inside(); w >= 0 && w == c {
			return len(seen), fmt.Sprintf("slot %d has two owners: %+v", w, s)
		}
		after, fault := s.writerSteps(sabotage)
		if fault != "" {
			return len(seen), fault
		}
		closed, fault := s.closerStep()
		if fault != "" {
			return len(seen), fault
		}
		for _, n := range append(after, closed) {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return len(seen), ""
}

func TestNoSlotHasTwoOwners(t *testing.T) {
	states, fault := explore(false)
	if fault != "" {
		t.Error(fault)
	}
	if states < 10_000 {
		t.Errorf("only %d states explored", states)
	}
}

// TestModelFindsFaults makes sure that the model can fail.
func TestModelFindsFaults(t *testing.T) {
	if _, fault := explore(true); fault == "" {
		t.Error("a ring that reuses slots before they are released passes")
	}
}
