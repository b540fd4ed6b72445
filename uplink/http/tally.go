package http

import (
	"fmt"
	"slices"
	"time"

	"milepost/uplink"
)

// tally is what became of the records of a Send.
type tally struct {
	acked   []bool // the server has it
	poison  []int
	refusal string
	pending int
	failure string
	after   time.Duration
	dropped bool // the poison was taken by the server, and dropped there
}

func (t *tally) refuse(position int, why string) {
	t.poison = append(t.poison, position)
	if t.refusal == "" {
		t.refusal = why
	}
}

// note takes over what the answer says of b.records[from:from+n].
func (t *tally) note(b *batch, from, n int, a *answer) {
	t.after = max(t.after, a.after)
	for i := range n {
		position := b.position(from + i)
		switch {
		case i >= n-a.dropped:
			t.dropped = true
			t.refuse(position, fmt.Sprintf("the server has dropped %d data points of %d and does not say which: %s", a.dropped, n, a.remark))
		case a.verdicts == nil || a.verdicts[i] == accepted:
			t.acked[position] = true
		case a.verdicts[i] == refused:
			t.refuse(position, a.refusal)
		default:
			t.pending++
			if t.failure == "" {
				t.failure = a.failure
			}
		}
	}
}

// err is Send's error where every request to the server got its answer.
func (t *tally) err(server string) error {
	switch {
	case t.pending > 0: // first of all, since it may have to wait
		err := fmt.Errorf("POST %s: %d of %d records are not in Kafka: %s", server, t.pending, len(t.acked), t.failure)
		if t.after > 0 {
			err = uplink.RetryAfter(err, t.after)
		}
		return err
	case len(t.poison) > 0:
		slices.Sort(t.poison)
		permanent := uplink.Permanent
		if t.dropped {
			permanent = uplink.Dropped
		}
		return permanent(fmt.Errorf("POST %s: %d of %d records refused: %s", server, len(t.poison), len(t.acked), t.refusal), t.poison...)
	}
	return nil
}
