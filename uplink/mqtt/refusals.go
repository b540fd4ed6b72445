package mqtt

import (
	"fmt"
	"slices"
	"time"

	"milepost/uplink"
)

// refusals finds the messages for which a broker closes the connection.
//
// MQTT 3.1.1 has no answer for a message that is too large or not allowed:
// brokers close the connection, and whoever sends the same again does so for
// ever. But connections are closed for other reasons, too, so that this is
// evidence, not proof, and a record must not be given up for nothing:
//
//  1. After two closings in a row, the messages that were in flight at the last
//     one go alone, each after the acknowledgement of the one before. (It need
//     not have been the oldest: a reset connection loses acknowledgements.)
//  2. One that goes alone, and at which the connection is closed, is refused. If
//     it has several records, messages become smaller, down to one record.
//  3. A single record that is refused is sent after all others from then on.
//     After three times it is poison, if the broker has accepted others meanwhile
//     that were all smaller. Otherwise it is not the size (a topic that is not
//     allowed, say): nothing is given up, and the error tells what happens.
//
// What was learnt of sizes is forgotten step by step, an hour after the last
// refusal.
type refusals struct {
	limit  int // of a payload of several records
	single int // of a payload of one
	most   int // of both, as configured
	last   time.Time

	strikes int        // closings in a row, with no Send between that had everything acknowledged
	suspect uplink.Key // first record of the oldest message in flight at the last one
	careful int        // messages from the suspect on that have to go alone
	reached bool       // the suspect, in the present Send

	culprits []culprit
	accepted int // largest payload since there are culprits
}

// culprit is a single record that was refused.
type culprit struct {
	key   uplink.Key
	times int
}

// Thresholds.
const (
	suspicious  = 2  // closings
	refused     = 3  // closings with a single record alone
	carefully   = 8  // messages that go alone at least
	maxCulprits = 64 // at a time
	forget      = time.Hour
)

// begin is called at the start of a Send, done after one that had everything
// acknowledged.
func (r *refusals) begin(now time.Time) {
	r.reached = false
	if (r.limit < r.most || r.single < r.most) && now.Sub(r.last) >= forget {
		r.limit, r.single, r.last = min(2*r.limit, r.most), r.most, now
	}
}

func (r *refusals) done() { r.strikes, r.careful = 0, 0 }

// alone reports whether the next message, which begins with the given record,
// has to go alone.
func (r *refusals) alone(first uplink.Key) bool {
	if r.strikes < suspicious || r.careful == 0 {
		return false
	}
	if r.reached = r.reached || first == r.suspect; r.reached {
		r.careful--
	}
	return r.reached
}

// closed notes that the broker has closed the connection with messages in
// flight. It reports whether that is a step towards their cause: there are only
// so many.
func (r *refusals) closed(pending []message, now time.Time) bool {
	if len(pending) == 0 || pending[0].records == 0 {
		return false
	}
	m := &pending[0]
	r.strikes++
	r.suspect, r.careful = m.first, max(r.careful, len(pending), carefully)
	switch {
	case !m.alone:
		return 1 < r.strikes && r.strikes <= 2*suspicious
	case m.records > 1:
		r.last, r.limit = now, max(len(m.payload)/4, 1)
		return true
	}
	r.last = now
	if len(r.culprits) == 0 {
		r.accepted = 0
	}
	i := r.culprit(m.first)
	if i < 0 {
		if len(r.culprits) == maxCulprits {
			return false
		}
		i = len(r.culprits)
		r.culprits = append(r.culprits, culprit{key: m.first})
	}
	r.culprits[i].times++
	return r.culprits[i].times <= refused
}

// culprit is the position of a record among the culprits, or -1.
func (r *refusals) culprit(key uplink.Key) int {
	return slices.IndexFunc(r.culprits, func(c culprit) bool { return c.key.Sequence == key.Sequence && c.key == key })
}

// acknowledged notes that the broker has taken a message.
func (r *refusals) acknowledged(m *message) {
	if len(r.culprits) == 0 || m.records == 0 {
		return
	}
	r.accepted = max(r.accepted, len(m.payload))
	if m.records == 1 {
		r.pardon(m.first)
	}
}

// pardon forgets that a record was refused.
func (r *refusals) pardon(key uplink.Key) {
	if i := r.culprit(key); i >= 0 {
		r.culprits = slices.Delete(r.culprits, i, i+1)
	}
}

// poison decides on a culprit, of the given size.
func (r *refusals) poison(key uplink.Key, size int) bool {
	i := r.culprit(key)
	if i < 0 || r.culprits[i].times < refused || r.accepted == 0 || size <= r.accepted {
		return false
	}
	r.single = min(r.single, size-1)
	r.limit = min(r.limit, r.single)
	r.pardon(key)
	return true
}

// explain completes the error of a connection that was closed.
func (r *refusals) explain(err error, pending []message) error {
	if r.strikes < suspicious || len(pending) == 0 || pending[0].records == 0 {
		return err
	}
	m := &pending[0]
	return fmt.Errorf("%w, for the %d. time in a row, now with %d records (%d bytes) for topic %q under way: check the broker's limit for messages and whether it allows the topic", err, r.strikes, m.records, len(m.payload), m.topic)
}
