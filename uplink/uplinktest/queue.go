package uplinktest

import (
	"context"
	"sync"

	"milepost/uplink/spool"
)

// Queue is an uplink.Queue in memory, which keeps what was acknowledged and
// returns ErrEnd once it was ended. It is safe for concurrent use.
type Queue struct {
	mu      sync.Mutex
	entries []spool.Entry
	next    int // to be read
	acked   int // entries
	note    []byte
	ended   bool
	more    chan struct{} // closed, and made anew, with every change
	// failures are errors that the next calls of Next return.
	failures []error
}

// NewQueue makes a queue.
func NewQueue() *Queue { return &Queue{more: make(chan struct{})} }

// Append adds an entry, before which missing others are lost.
func (q *Queue) Append(payload []byte, missing uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	index := missing + 1
	if n := len(q.entries); n > 0 {
		index += q.entries[n-1].Index
	}
	q.entries = append(q.entries, spool.Entry{Index: index, Payload: payload, Missing: missing})
	q.changed()
}

// End declares that there will be no more entries.
func (q *Queue) End() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.changed()
}

// FailNext makes a call of Next return an error.
func (q *Queue) FailNext(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failures = append(q.failures, err)
	q.changed()
}

// changed wakes Next. The caller holds the mutex.
func (q *Queue) changed() {
	close(q.more)
	q.more = make(chan struct{})
}

// Next implements uplink.Queue.
func (q *Queue) Next(ctx context.Context, dst []byte) (spool.Entry, error) {
	for {
		q.mu.Lock()
		more := q.more
		if len(q.failures) > 0 {
			err := q.failures[0]
			q.failures = q.failures[1:]
			q.mu.Unlock()
			return spool.Entry{}, err
		}
		q.mu.Unlock()
		entry, err := q.TryNext(dst)
		if err != spool.ErrNone {
			return entry, err
		}
		select {
		case <-ctx.Done():
			return spool.Entry{}, ctx.Err()
		case <-more:
		}
	}
}

// TryNext implements uplink.Queue.
func (q *Queue) TryNext(dst []byte) (spool.Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.next < len(q.entries):
		entry := q.entries[q.next]
		entry.Payload = append(dst[:0], entry.Payload...)
		q.next++
		return entry, nil
	case q.ended:
		return spool.Entry{}, spool.ErrEnd
	}
	return spool.Entry{}, spool.ErrNone
}

// Ack implements uplink.Queue.
func (q *Queue) Ack(index uint64, note []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.acked < len(q.entries) && q.entries[q.acked].Index <= index {
		q.acked++
	}
	q.note = append(q.note[:0], note...)
	return nil
}

// Rewind implements uplink.Queue.
func (q *Queue) Rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = q.acked
}

// Acked is the number of entries acknowledged, and the last note.
func (q *Queue) Acked() (entries int, note string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked, string(q.note)
}
