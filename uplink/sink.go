package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A Sink delivers records to a receiver: a broker, a server, a file.
//
// It connects when it first has something to send, and again after a failure:
// that the receiver cannot be reached is an ordinary state, told by Send's
// error and by nothing else. A Sink is not safe for concurrent use.
//
// Package uplinktest has the suite that every Sink passes.
type Sink interface {
	// Send returns nil only when the receiver has acknowledged every record or,
	// where it is storage, has made it durable. After an error some of them may
	// have been delivered all the same; the caller sends all of them again, and
	// the key of a record (device, boot, sequence) makes the copies visible.
	//
	// An error is transient, worth another try, unless IsPermanent or ErrGone
	// says otherwise. Send returns soon after ctx is done. It keeps neither
	// records nor what they point to.
	Send(ctx context.Context, records []Record) error
	// Close ends the connection and every goroutine of the Sink. What Send has
	// not acknowledged is not sent.
	Close() error
}

// Pipelined is a Sink to which more can be given while it waits for the receiver.
type Pipelined interface {
	Sink
	// Begin is Send, but for the waiting: that does the function that it returns,
	// which has to be called once, with Send's result. Until then the records must
	// not change.
	//
	// Begin may be called a second time before the first is waited for. What began
	// second arrives behind what began first. They are waited for in that order,
	// and when the first has failed, nothing else is sent before the second is
	// waited for, too, which then fails in its turn or has arrived.
	Begin(ctx context.Context, records []Record) (wait func() error)
}

// Transactional is a Sink that commits the queue's position in one transaction
// with the records.
type Transactional interface {
	Sink
	// Position returns what was committed last under the name of a queue, nil if
	// nothing was. It fences every earlier producer of the same identity first,
	// so that no transaction of theirs can commit afterwards.
	Position(ctx context.Context, queue string) ([]byte, error)
	// SendAt is Send, with the position committed in the same transaction. After
	// an error it is unknown whether the transaction was committed: the caller
	// asks Position before it sends again.
	SendAt(ctx context.Context, records []Record, queue string, position []byte) error
}

// ErrGone is wrapped by the error of a Sink whose receiver can never come back,
// such as the reader of a pipe that has exited.
var ErrGone = errors.New("the receiver has gone for good")

// permanentError marks an error as one that no retry cures.
type permanentError struct {
	cause   error
	records []int
	dropped bool
}

func (e *permanentError) Error() string { return e.cause.Error() }
func (e *permanentError) Unwrap() error { return e.cause }

// Permanent marks err as one that sending the same records again cannot cure:
// they are poison. It names them by their positions in the slice that Send was
// given; without positions the culprits are unknown. Nothing is said about the
// other records: they have to be sent again.
func Permanent(err error, records ...int) error {
	return &permanentError{err, slices.Clone(records), false}
}

// Dropped is Permanent where the receiver has taken the records as they were sent,
// and has then dropped those at the given positions: they must not be sent again,
// even if it drops all that it gets.
func Dropped(err error, records ...int) error {
	return &permanentError{err, slices.Clone(records), true}
}

func isDropped(err error) bool {
	var p *permanentError
	return errors.As(err, &p) && p.dropped
}

// IsPermanent reports whether err was made by Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// Poisoned is the positions that Permanent was given: nil if err was not made by
// it or if the culprits are unknown.
func Poisoned(err error) []int {
	var p *permanentError
	if errors.As(err, &p) {
		return p.records
	}
	return nil
}

// Key identifies a record: no two records have the same, and the copies of one
// record all have.
type Key struct {
	Device   string
	Boot     BootID
	Sequence uint64
}

// Key is the record's key.
func (r *Record) Key() Key { return Key{r.Device, r.Boot, r.Sequence} }

// String writes the key as device/boot/sequence.
func (k Key) String() string { return fmt.Sprintf("%s/%s/%d", k.Device, k.Boot, k.Sequence) }
