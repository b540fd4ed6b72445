package gateway

import (
	"sync/atomic"
	"time"

	"milepost/aggregate"
)

// Options say how frames are summarised. The zero value of a field is not its
// default; see DefaultOptions.
type Options struct {
	// Window is the length of a window; windows are aligned to UTC.
	Window time.Duration
	// Lateness is how long a window stays open behind the newest.
	Lateness time.Duration
	// ClockStep is how far back a frame must lie for the clock to count as set.
	ClockStep time.Duration
	// DecodeUnchanged decodes every frame, also those whose payload is that of
	// the frame before. The summaries are the same, to the bit.
	DecodeUnchanged bool
	// Mirrors are groups of buses that carry the same frames.
	Mirrors []Mirror
	// Exception leaves out summaries that are equal to the last one sent; Refresh
	// is how often a full set is sent all the same. 0 sends everything.
	Refresh time.Duration
	// Workers is how many goroutines read a log that can be split.
	Workers int
	// Stamp tells the clock under which a live frame got its time; see
	// aggregate.Options.
	Stamp func(frameTime int64) (offset int64, quality aggregate.Clock)
	// Read, if set, counts the frames as they are read.
	Read *atomic.Uint64
}

// Mirror is a group of buses on which the same frames appear.
type Mirror struct {
	Buses []string
	// Within is how far apart in time the copies of a frame may be.
	Within time.Duration
}

// DefaultOptions are the options of a replay that leaves nothing out.
func DefaultOptions() Options {
	return Options{Window: time.Second, Lateness: time.Second, ClockStep: 10 * time.Second, Workers: 1}
}
