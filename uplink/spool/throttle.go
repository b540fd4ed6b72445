package spool

import "time"

// quiet is how long a repeated message is held back.
const quiet = time.Minute

// throttle decides which of a series of messages is worth logging: the first,
// any that differs, and one a minute. Not safe for concurrent use.
type throttle struct {
	last string
	at   time.Time
}

func (t *throttle) due(message string) bool {
	now := time.Now()
	if message == t.last && now.Sub(t.at) < quiet {
		return false
	}
	t.last, t.at = message, now
	return true
}

// over ends a series: the next message is a first one.
func (t *throttle) over() { *t = throttle{} }
