package gateway

import (
	"errors"
	"fmt"
	"sync/atomic"

	"milepost/cmd/internal/config"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// queue is the cursor of a target in the spool of a class, and keeps count of the
// records that are done with. It implements uplink.Queue; what is not a method of
// the Cursor is for the Forwarder's goroutine.
type queue struct {
	*spool.Cursor
	name  string // towards the forwarder
	lane  *deliveryLane
	class *classSpool
	store *Store // may be nil

	next     note // what the next acknowledgement adds
	sequence uint64
	records  atomic.Uint64 // that are done with
	before   uint64        // entries that were there at the start
}

// queueName is what the positions of a class are called in the receiver's
// transactions.
func queueName(p config.Priority) string {
	if p == config.PriorityNormal {
		return "records" // as before there were classes
	}
	return "records-" + string(p)
}

func newQueue(lane *deliveryLane, c *classSpool, store *Store) (*queue, error) {
	t := &lane.target
	cursor, err := c.Cursor(t.Name, t.Start)
	if err != nil {
		return nil, err
	}
	q := &queue{Cursor: cursor, name: queueName(c.priority), lane: lane, class: c, store: store}
	index, kept := cursor.Acked()
	if len(kept) == 0 && t.Note != nil {
		// Where a file ended before the first record came, so that a run that
		// is killed with the first ones can go back to there.
		first := note{sink: t.Note()}
		if err := errors.Join(cursor.Ack(index, first.encode()), c.tolerate(c.Sync())); err != nil {
			return nil, err
		}
	}
	n := parseNote(kept)
	q.sequence = n.sequence
	q.records.Store(n.records)
	lane.number = max(lane.number, n.number)
	e := q.entries()
	q.before = e.total()
	q.acknowledged()
	return q, nil
}

// AckSpan implements uplink.Queue. The note is the sink's own.
func (q *queue) AckSpan(span spool.Span, sink []byte) error {
	return q.ack(sink, func(n []byte) error { return q.Cursor.AckSpan(span, n) })
}

// Advance implements uplink.Queue. What the position has and the cursor has not
// was sent by an earlier run, which did not come to count it: it is read for that.
func (q *queue) Advance(p spool.Position, sink []byte) error {
	q.next = q.between(p)
	return q.ack(sink, func(n []byte) error { return q.Cursor.Advance(p, n) })
}

// ack acknowledges with a note that has the counts as they are then.
func (q *queue) ack(sink []byte, acknowledge func(note []byte) error) error {
	n := note{
		sequence: max(q.sequence, q.next.sequence), records: q.records.Load() + q.next.records,
		number: q.lane.number + 1, sink: sink,
	}
	q.next = note{}
	if len(sink) > maxSinkNote {
		return fmt.Errorf("BUG: sink %s has a note of %d bytes", q.lane.target.Name, len(sink))
	}
	err := acknowledge(n.encode())
	if err == nil {
		q.sequence, q.lane.number = n.sequence, n.number
		q.records.Store(n.records)
	}
	q.acknowledged()
	return err
}

// acknowledged tells the store how far the cursor is.
func (q *queue) acknowledged() {
	if q.store != nil {
		index, _ := q.Acked()
		q.store.Acked(q.class, q.lane.target.Name, index)
	}
}

// between counts the records of the entries that a position has and the cursor
// has not. What cannot be read has none.
func (q *queue) between(p spool.Position) (n note) {
	if p.Spool != q.Position().Spool {
		return n // Advance says so.
	}
	var decoder uplink.BatchDecoder
	var records []uplink.Record
	var payload []byte
	for _, done := range append([]spool.Span{{From: 1, To: p.Acked}}, p.Done...) {
		q.Seek(done.From)
		for {
			entry, err := q.TryNext(payload[:0])
			if err != nil || entry.Index > done.To {
				break
			}
			payload = entry.Payload
			if records, err = decoder.Decode(payload, records[:0]); err == nil && len(records) > 0 {
				n.records += uint64(len(records))
				n.sequence = max(n.sequence, records[len(records)-1].Sequence)
			}
		}
	}
	q.Seek(0)
	return n
}

// entries says what became of the entries of the spool.
func (q *queue) entries() ClassEntries {
	e := ClassEntries{Priority: q.class.priority, Before: q.before}
	for _, c := range q.class.Stats().Cursors {
		if c.Name == q.Name() {
			e.Acknowledged, e.Pending, e.Evicted, e.Missing, e.Thinned = c.Acknowledged, c.Pending, c.Evicted, c.Missing, c.Thinned
		}
	}
	return e
}
