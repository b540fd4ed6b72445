package uplinktest

import (
	"slices"
	"sync"

	"milepost/uplink/spool"
)

// Queue is an uplink.Queue in memory. What is acknowledged is durable at once,
// or with every so many acknowledgements, and Crash goes back to what is
// durable. It is safe for concurrent use.
type Queue struct {
	mu      sync.Mutex
	entries []item
	next    int // to be read
	note    string
	durable string // the note that is
	acks    int    // not durable yet
	ended   bool
	ready   chan struct{}
	// failures are errors that the next calls of TryNext return.
	failures []error

	// SyncEvery is the number of acknowledgements that become durable at once (1).
	// It is to be set before the queue is used.
	SyncEvery int
}

type item struct {
	spool.Entry
	done, durable bool
}

// NewQueue makes a queue.
func NewQueue() *Queue { return &Queue{ready: make(chan struct{}, 1)} }

// Append adds an entry, before which missing others are lost.
func (q *Queue) Append(payload []byte, missing uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	index := missing + 1
	if n := len(q.entries); n > 0 {
		index += q.entries[n-1].Index
	}
	q.entries = append(q.entries, item{Entry: spool.Entry{Index: index, Payload: payload, Missing: missing}})
	q.changed()
}

// End declares that there will be no more entries.
func (q *Queue) End() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.changed()
}

// FailNext makes a call of TryNext return an error.
func (q *Queue) FailNext(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failures = append(q.failures, err)
	q.changed()
}

// changed wakes who waits. The caller holds the mutex.
func (q *Queue) changed() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Ready implements uplink.Queue.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// TryNext implements uplink.Queue.
func (q *Queue) TryNext(dst []byte) (spool.Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.failures) > 0 {
		err := q.failures[0]
		q.failures = q.failures[1:]
		return spool.Entry{}, err
	}
	for ; q.next < len(q.entries); q.next++ {
		if e := q.entries[q.next]; !e.done {
			e.Payload = append(dst[:0], e.Payload...)
			q.next++
			return e.Entry, nil
		}
	}
	if q.ended {
		return spool.Entry{}, spool.ErrEnd
	}
	return spool.Entry{}, spool.ErrNone
}

// Seek implements uplink.Queue.
func (q *Queue) Seek(index uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = 0
	for q.next < len(q.entries) && q.entries[q.next].Index < index {
		q.next++
	}
}

// AckSpan implements uplink.Queue.
func (q *Queue) AckSpan(span spool.Span, note []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := slices.Clone(q.entries)
	q.ack(span)
	if len(q.position().Done) > spool.MaxSpans {
		q.entries = before
		return spool.ErrSpans
	}
	q.acked(note)
	return nil
}

// Advance implements uplink.Queue.
func (q *Queue) Advance(p spool.Position, note []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ack(spool.Span{From: 1, To: p.Acked})
	for _, span := range p.Done {
		q.ack(span)
	}
	q.acked(note)
	return nil
}

func (q *Queue) ack(span spool.Span) {
	for i := range q.entries {
		if e := &q.entries[i]; span.From <= e.Index && e.Index <= span.To {
			e.done = true
		}
	}
}

func (q *Queue) acked(note []byte) {
	q.note = string(note)
	if q.acks++; q.acks >= q.SyncEvery {
		q.acks = 0
		q.durable = q.note
		for i := range q.entries {
			q.entries[i].durable = q.entries[i].done
		}
	}
}

// Crash forgets the acknowledgements that were not durable.
func (q *Queue) Crash() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.note, q.acks, q.next = q.durable, 0, 0
	for i := range q.entries {
		q.entries[i].done = q.entries[i].durable
	}
}

// Pending implements uplink.Queue.
func (q *Queue) Pending(dst []spool.Span) []spool.Span {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.runs(dst, false)
}

// runs appends the spans of indexes that are acknowledged, or of those that are
// not. Missing ones go with the entry behind them.
func (q *Queue) runs(dst []spool.Span, done bool) []spool.Span {
	last := uint64(0)
	inside := false
	for i := range q.entries {
		e := &q.entries[i]
		switch {
		case e.done != done:
			inside = false
		case inside:
			dst[len(dst)-1].To = e.Index
		default:
			dst = append(dst, spool.Span{From: last + 1, To: e.Index})
			inside = true
		}
		last = e.Index
	}
	return dst
}

// Position implements uplink.Queue.
func (q *Queue) Position() spool.Position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.position()
}

func (q *Queue) position() (p spool.Position) {
	p.Done = q.runs(nil, true)
	if len(p.Done) > 0 && p.Done[0].From == 1 {
		p.Acked = p.Done[0].To
		p.Done = p.Done[1:]
	}
	return p
}

// Acked is the number of entries acknowledged, and the last note.
func (q *Queue) Acked() (entries int, note string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.entries {
		if q.entries[i].done {
			entries++
		}
	}
	return entries, q.note
}
