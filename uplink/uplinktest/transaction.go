package uplinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"milepost/uplink"
)

// Outcome is what becomes of a transaction of a TransactionalSink.
type Outcome int

const (
	Commit     Outcome = iota // and Send says so
	Abort                     // Send returns an error
	CommitLost                // it is committed, but the answer is lost: Send returns an error
	Linger                    // Send returns an error, and it is committed later, unless the producer is fenced before
	Refuse                    // Send returns a permanent error
)

// Log is the receiver of TransactionalSinks: what was committed, and who may
// commit. It outlives the processes that write to it, and is safe for concurrent
// use.
type Log struct {
	// Next says what becomes of a transaction; nil is Commit.
	Next func(records []uplink.Record) Outcome
	// PositionFails, if set, says whether a call of Position fails.
	PositionFails func() bool

	mu        sync.Mutex
	committed []uplink.Key
	positions map[string][]byte
	epoch     int
	lingering []transaction
	unasked   int
}

type transaction struct {
	keys     []uplink.Key
	queue    string
	position []byte
}

// Keys is what was committed, in order.
func (l *Log) Keys() []uplink.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.committed)
}

// Unasked is how often SendAt was called after it had returned an error, without
// Position having been asked in between.
func (l *Log) Unasked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unasked
}

// Settle lets the transactions that linger be committed, as if the broker had
// taken its time.
func (l *Log) Settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.lingering {
		l.commit(t)
	}
	l.lingering = nil
}

func (l *Log) commit(t transaction) {
	l.committed = append(l.committed, t.keys...)
	if l.positions == nil {
		l.positions = make(map[string][]byte)
	}
	l.positions[t.queue] = t.position
}

// TransactionalSink is an uplink.Transactional of one process.
type TransactionalSink struct {
	Log    *Log
	epoch  int
	failed bool // the last SendAt has, and Position was not asked since
}

// Position implements uplink.Transactional.
func (s *TransactionalSink) Position(ctx context.Context, queue string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := s.Log
	l.mu.Lock()
	fails := l.PositionFails
	l.mu.Unlock()
	if fails != nil && fails() {
		return nil, errors.New("broker 192.0.2.1: no route to host")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lingering = nil // they are fenced
	l.epoch++
	s.epoch, s.failed = l.epoch, false
	return slices.Clone(l.positions[queue]), nil
}

// SendAt implements uplink.Transactional.
func (s *TransactionalSink) SendAt(ctx context.Context, records []uplink.Record, queue string, position []byte) (err error) {
	defer func() { s.failed = err != nil }()
	if err := ctx.Err(); err != nil {
		return err
	}
	l := s.Log
	outcome := Commit
	if l.Next != nil {
		outcome = l.Next(records)
	}
	l.Settle() // whoever does not fence them, has them
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.failed {
		l.unasked++
	}
	if s.epoch == 0 || s.epoch != l.epoch {
		return fmt.Errorf("producer epoch %d is fenced by %d", s.epoch, l.epoch)
	}
	t := transaction{queue: queue, position: slices.Clone(position)}
	for i := range records {
		t.keys = append(t.keys, records[i].Key())
	}
	switch outcome {
	case Commit:
		l.commit(t)
		return nil
	case CommitLost:
		l.commit(t)
		return errors.New("the connection was lost while a transaction was committed")
	case Linger:
		l.lingering = append(l.lingering, t)
		return errors.New("the commit of a transaction timed out")
	case Refuse:
		return uplink.Permanent(errors.New("message too large"))
	}
	return errors.New("transaction aborted")
}

// Send implements uplink.Sink: without a position.
func (s *TransactionalSink) Send(ctx context.Context, records []uplink.Record) error {
	l := s.Log
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range records {
		l.committed = append(l.committed, records[i].Key())
	}
	return ctx.Err()
}

// Close implements uplink.Sink.
func (s *TransactionalSink) Close() error { return nil }
