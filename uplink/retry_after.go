package uplink

import "time"

// MaxRetryAfter bounds what RetryAfter says: a receiver must not be able to
// silence a gateway for longer.
const MaxRetryAfter = 15 * time.Minute

// retryAfterError is an error whose receiver has said when to come again.
type retryAfterError struct {
	cause error
	after time.Duration
}

func (e *retryAfterError) Error() string             { return e.cause.Error() }
func (e *retryAfterError) Unwrap() error             { return e.cause }
func (e *retryAfterError) RetryAfter() time.Duration { return e.after }

// RetryAfter marks err as one that the receiver wants no new try after for the
// time d, at most MaxRetryAfter. Whoever sends again finds it with errors.As and
//
//	interface{ RetryAfter() time.Duration }
func RetryAfter(err error, d time.Duration) error {
	return &retryAfterError{err, min(max(d, 0), MaxRetryAfter)}
}
