package uplink

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait between tries to reach something. A pause is
// drawn at random from between none and all of a ceiling (full jitter), so that
// a fleet does not return in step; the ceiling doubles from failure to failure.
//
// A success does not bring the ceiling down: it falls back only when a failure
// comes after Max or more without one. A broker that takes a connection and
// drops it, as an overloaded one does when its fleet returns, so meets no more
// tries than one that is down. The zero value is usable. It is not safe for
// concurrent use.
type Backoff struct {
	// Min and Max bound the ceiling (100 ms, 30 s).
	Min, Max time.Duration
	// Random draws from 0 to n-1, nil is math/rand/v2.
	Random func(n int64) int64

	ceiling time.Duration // of the next pause
	tries   int           // that have failed since the last success
	failing time.Time     // when the first of them had
	holding time.Time     // when the first success after a failure was; zero while tries fail
}

// maxRetryAfter is the most that a receiver can ask for.
const maxRetryAfter = 15 * time.Minute

// Failed notes that a try has failed and returns the pause before the next one.
// If the cause, or an error that it wraps, has a method RetryAfter() of type
// time.Duration and it is above 0, the pause is that (at most 15 minutes), and
// up to half of it more, so that all who were told the same do not come at once.
func (b *Backoff) Failed(now time.Time, cause error) time.Duration {
	least, most := cmp.Or(b.Min, 100*time.Millisecond), cmp.Or(b.Max, 30*time.Second)
	most = max(most, least)
	if !b.holding.IsZero() && now.Sub(b.holding) >= most {
		b.ceiling = 0
	}
	b.holding = time.Time{}
	if b.tries++; b.tries == 1 {
		b.failing = now
	}
	ceiling := max(b.ceiling, least)
	b.ceiling = min(2*ceiling, most)
	if cause != nil {
		if after := min(retryAfter(cause), maxRetryAfter); after > 0 {
			return after + b.draw(max(ceiling, after/2))
		}
	}
	return b.draw(ceiling)
}

// retryAfter is what the receiver has asked for, 0 if it has not.
func retryAfter(err error) time.Duration {
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		return asked.RetryAfter()
	}
	return 0
}

// draw returns a duration above 0 and up to n.
func (b *Backoff) draw(n time.Duration) time.Duration {
	if b.Random != nil {
		return time.Duration(b.Random(int64(n))) + 1
	}
	return rand.N(n) + 1
}

// Succeeded notes that a try has succeeded.
func (b *Backoff) Succeeded(now time.Time) {
	b.tries = 0
	if b.holding.IsZero() {
		b.holding = now
	}
}

// Tries is the number of tries that have failed since the last success.
func (b *Backoff) Tries() int { return b.tries }

// Failing is when the first of them had failed.
func (b *Backoff) Failing() time.Time { return b.failing }
