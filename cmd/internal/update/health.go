package update

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"milepost/cmd/internal/status"
)

// Health judges from the reports of a gateway whether it does what it is there
// for: frames or readings come in, the spool stores what becomes of them, and at
// least one sink takes it. The zero value has seen nothing.
type Health struct {
	pid                  int
	received, written    uint64
	receivedAt, storedAt time.Time // when the number has grown
	Since                time.Time // since when all is well; zero if it is not
	Trouble              string    // what is not well
}

// How long nothing may come in, or go to the disk, without it being trouble: slow
// sensors are read once a minute, and values that stay the same are stored as seldom.
const (
	quietInput = time.Minute
	quietSpool = 2 * time.Minute
)

// Saw takes a report, or the error that came instead of one.
func (h *Health) Saw(now time.Time, r status.Report, err error) {
	if err == nil && r.PID != h.pid {
		*h = Health{pid: r.PID, received: received(&r), written: r.Spool.WrittenBytes, Trouble: h.Trouble} // started anew: nothing has grown yet
	}
	if err == nil {
		if n := received(&r); n != h.received {
			h.received, h.receivedAt = n, now
		}
		if r.Spool.WrittenBytes != h.written {
			h.written, h.storedAt = r.Spool.WrittenBytes, now
		}
	}
	h.Trouble = h.trouble(now, &r, err)
	switch {
	case h.Trouble != "":
		h.Since = time.Time{}
	case h.Since.IsZero():
		h.Since = now
	}
}

// received is what has come in: of live sources, for what the gateway says of
// itself does not count.
func received(r *status.Report) (n uint64) {
	for i := range r.Buses {
		n += r.Buses[i].Received
	}
	for i := range r.Sensors {
		n += r.Sensors[i].Readings
	}
	return n
}

func (h *Health) trouble(now time.Time, r *status.Report, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("the gateway does not answer: %v", err)
	case r.Stuck != "":
		return r.Stuck
	case r.Fallback != "":
		return r.Fallback
	case now.Sub(h.receivedAt) > quietInput:
		return "no frames and no readings come in" + why(sourceErrors(r))
	case r.Spool.State != "storing":
		return fmt.Sprintf("the spool is %s: %s", r.Spool.State, r.Spool.Cause)
	case now.Sub(h.storedAt) > quietSpool:
		return "the spool stores nothing"
	}
	last := "no sink is configured"
	for i := range r.Sinks {
		s := &r.Sinks[i]
		if s.Up && !s.Delivered.IsZero() {
			return ""
		}
		last = fmt.Sprintf("nothing was delivered to %s%s", s.Name, why(s.LastError))
	}
	return last
}

func why(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// sourceErrors is what the first source that has an error says.
func sourceErrors(r *status.Report) string {
	for i := range r.Buses {
		if b := &r.Buses[i]; b.Err != "" {
			return b.Name + ": " + b.Err
		}
	}
	for i := range r.Sensors {
		if s := &r.Sensors[i]; s.Err != "" {
			return s.Name + ": " + s.Err
		}
	}
	return ""
}

// Watch asks a gateway once a second until it has been healthy for so long, or
// until the time is up; then the error says what was last wrong.
func Watch(ctx context.Context, ask func(context.Context) (status.Report, error), healthyFor, within time.Duration, changed func(trouble string)) error {
	end := time.Now().Add(within)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var h Health
	said := "?"
	for {
		report, err := func() (status.Report, error) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			return ask(ctx)
		}()
		now := time.Now()
		h.Saw(now, report, err)
		if h.Trouble != said {
			said = h.Trouble
			changed(said)
		}
		if !h.Since.IsZero() && now.Sub(h.Since) >= healthyFor {
			return nil
		}
		if !now.Before(end) {
			return fmt.Errorf("not healthy for %v within %v: %s", healthyFor, within, cmp.Or(h.Trouble, "it became so too late"))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
