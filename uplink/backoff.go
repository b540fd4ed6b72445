package uplink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// backoff is the pauses between the tries of one thing.
type backoff struct {
	ceiling, limit time.Duration // of the next pause, of all
	giveUp         time.Duration
	tries          int
	since          time.Time // when the first try had failed
}

func (f *Forwarder) backoff() backoff {
	return backoff{ceiling: f.o.MinBackoff, limit: f.o.MaxBackoff, giveUp: f.o.GiveUp}
}

// first reports whether no try has failed yet.
func (b *backoff) first() bool { return b.tries == 0 }

// pause waits after a try that failed. It returns an error instead when ctx is
// done or the time to give up has come.
func (b *backoff) pause(ctx context.Context, cause error) error {
	if b.tries++; b.tries == 1 {
		b.since = time.Now()
	}
	pause := rand.N(b.ceiling) + 1 // full jitter
	if b.giveUp > 0 {
		left := b.giveUp - time.Since(b.since)
		if left <= 0 {
			return fmt.Errorf("given up after %d tries in %v: %w", b.tries, b.giveUp, cause)
		}
		pause = min(pause, left)
	}
	b.ceiling = min(2*b.ceiling, b.limit)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
