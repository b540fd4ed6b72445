package mqtt

import (
	"fmt"
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
//  1. When the oldest message in flight is the same at two closings in a row, it
//     and some that follow go alone, each after the acknowledgement of the one
//     before.
//  2. One that goes alone, and at which the connection is closed, is refused. If
//     it has several records, messages become smaller, down to one record.
//  3. A single record that is refused is sent last from then on, after all others
//     that Send was given. After three times it is poison, if the broker has
//     accepted others meanwhile that were all smaller. Otherwise it is not the
//     size (a topic that is not allowed, say): nothing is given up, and the error
//     tells what happens.
//
// What was learnt of sizes is forgotten step by step, an hour after the last
// refusal.
type refusals struct {
	limit  int // of a payload of several records
	single int // of a payload of one
	most   int // of both, as configured
	last   time.Time

	suspect uplink.Key // first record of the oldest message in flight when the broker closed
	strikes int        // closings in a row with it
	careful int        // messages from the suspect on that have to go alone
	reached bool       // the suspect, in the present Send

	culprit  uplink.Key // single record that was refused
	times    int        // that it was; 0: there is none
	accepted int        // largest payload since the first time
}

// Thresholds.
const (
	suspicious = 2 // closings
	refused    = 3 // closings with a single record alone
	carefully  = 8 // messages that go alone at least
	forget     = time.Hour
)

// closed notes that the broker has closed the connection with messages in
// flight. It reports whether that was of use: that happens only so often.
func (r *refusals) closed(pending []message, now time.Time) bool {
	if len(pending) == 0 || pending[0].records == 0 {
		return false
	}
	m := &pending[0]
	alone := len(pending) == 1
	if m.first != r.suspect || r.strikes == 0 {
		r.suspect, r.strikes = m.first, 1
		if r.careful == 0 || !alone {
			return false
		}
	} else {
		r.strikes++
	}
	if r.strikes < suspicious && r.careful == 0 {
		return false
	}
	r.careful = max(len(pending), carefully)
	if !alone {
		return r.strikes == suspicious
	}
	r.last = now
	if m.records > 1 {
		r.limit = max(len(m.payload)/4, 1)
		return true
	}
	if r.times == 0 || r.culprit != m.first {
		r.culprit, r.times, r.accepted = m.first, 0, 0
	}
	r.times++
	return r.times <= refused
}

// acknowledged notes that the broker has taken a message.
func (r *refusals) acknowledged(m *message) {
	if r.strikes == 0 {
		return
	}
	if m.first == r.suspect {
		r.strikes = 0
	}
	if r.times > 0 {
		if r.accepted = max(r.accepted, len(m.payload)); m.first == r.culprit {
			r.times = 0
		}
	}
}

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
	if r.careful == 0 {
		return false
	}
	if r.reached = r.reached || first == r.suspect; r.reached {
		r.careful--
	}
	return r.reached
}

// poison decides on the culprit, of the given size.
func (r *refusals) poison(size int) bool {
	if r.times < refused || r.accepted == 0 || size <= r.accepted {
		return false
	}
	r.single = size - 1
	r.limit = r.single
	r.times, r.strikes, r.careful = 0, 0, 0
	return true
}

// explain completes the error of a connection that was closed.
func (r *refusals) explain(err error, pending []message) error {
	if r.strikes < suspicious || len(pending) == 0 {
		return err
	}
	m := &pending[0]
	return fmt.Errorf("%w, as before with %d records (%d bytes) for topic %q under way: check the broker's limit for messages and whether it allows the topic", err, m.records, len(m.payload), m.topic)
}
