package gpio

// clocks are both clocks at one instant, in nanoseconds. The wall clock was read
// within that many nanoseconds of mono.
type clocks struct{ mono, wall, within int64 }

// moment is a time on both clocks.
type moment struct{ mono, wall int64 }

// wallClock dates times of CLOCK_MONOTONIC. The kernel keeps the distance of the
// two clocks constant (NTP slews both alike), until somebody sets the wall clock
// or the machine was suspended. So one measurement serves until another is away
// from it by more than both may be wrong: measured anew each time, edges a
// microsecond apart could change places.
type wallClock struct {
	offset, within int64
	known          bool
}

// update compares with both clocks read just now, and says whether the wall clock
// has moved.
func (c *wallClock) update(now clocks) (moved bool) {
	offset := now.wall - now.mono
	if c.known {
		apart := max(offset-c.offset, c.offset-offset)
		if apart <= c.within+now.within {
			return false
		}
	}
	moved = c.known
	*c = wallClock{offset, now.within, true}
	return moved
}

func (c *wallClock) at(mono int64) moment { return moment{mono, mono + c.offset} }

// nextCut is the first multiple of interval on the wall clock after mono, as a
// time of the monotonic clock.
func (c *wallClock) nextCut(mono, interval int64) int64 {
	into := (mono + c.offset) % interval
	if into < 0 {
		into += interval
	}
	return mono - into + interval
}
