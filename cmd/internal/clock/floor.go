package clock

import (
	"runtime/debug"
	"time"
)

// earliest is when this was written.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// floor is the date before which it cannot be: none is earlier than the program.
func floor(at time.Time) time.Time {
	if !at.IsZero() {
		return at
	}
	at = earliest
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key != "vcs.time" {
				continue
			}
			if committed, err := time.Parse(time.RFC3339, s.Value); err == nil && committed.After(at) {
				at = committed
			}
		}
	}
	return at
}
