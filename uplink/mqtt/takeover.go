package mqtt

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// takeover keeps two clients of the same ID from throwing each other out as fast
// as they can. It sees a broker that accepts connections and closes them soon,
// again and again, in good order as programs do and links do not; what else does
// that (a broker that crashes at once, a device between that closes idle
// connections) is spared as well.
type takeover struct {
	closings int       // of short connections in a row
	until    time.Time // when to connect next
	pause    time.Duration
}

const (
	shortLife     = 5 * time.Minute
	freeClosings  = 5
	firstTakeover = time.Second
	lastTakeover  = time.Minute
)

// closed notes that the broker has closed a connection.
func (t *takeover) closed(life time.Duration, now time.Time) {
	if life >= shortLife {
		t.unreachable()
	}
	if t.closings++; t.closings < freeClosings {
		return
	}
	t.pause = min(max(2*t.pause, firstTakeover), lastTakeover)
	t.until = now.Add(t.pause/2 + rand.N(t.pause/2))
}

// unreachable notes that the broker does not accept connections: then it is the
// caller who waits, and no other client keeps us out.
func (t *takeover) unreachable() { *t = takeover{} }

// check returns an error while it is too early to connect.
func (t *takeover) check(now time.Time, clientID string) error {
	if !now.Before(t.until) {
		return nil
	}
	return fmt.Errorf("the broker has accepted and soon closed %d connections in a row; has another client the same client ID, %q? The next try is in %v", t.closings, clientID, t.until.Sub(now).Round(time.Second))
}
