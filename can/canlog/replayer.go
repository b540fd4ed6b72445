package canlog

import (
	"os"
	"sync"
	"time"

	"milepost/can"
)

const (
	// replayBatch is how many frames a Replayer reads at once.
	replayBatch = 256
	// DefaultMaxGap is the MaxGap of a new Replayer.
	DefaultMaxGap = time.Hour
	// disorder is how far times may run backwards before that counts as a clock
	// that was set: loggers write frames of several buses slightly out of order.
	disorder = time.Second
)

// Replayer is a [can.Source] that delivers the frames of another one when they
// are due: at the pace of their times, from the first Read on. Their times stay
// as they are.
//
// The pace does not drift: each frame is due at a time that is counted from the
// first one, however late the ones before it were fetched.
type Replayer struct {
	// MaxGap is the longest time between two frames that is waited for. Beyond
	// it, and where the log's time steps back by more than a second, the clock of
	// the recorder was set or the log goes on another day: the next frame is due
	// at once, and the pace is counted from there. 0 waits for any gap. It must
	// not be changed after the first Read.
	MaxGap time.Duration

	source can.Source
	speed  float64
	frames []can.Frame
	batch  [replayBatch]can.Frame
	err    error
	// A frame of the log's time start is due at epoch; latest is the greatest
	// time so far.
	epoch         time.Time
	start, latest int64
	closed        chan struct{}
	closeOnce     sync.Once
}

// NewReplayer paces source: 1 is as recorded, 10 ten times as fast. A speed that
// is not greater than 0 is as fast as possible.
func NewReplayer(source can.Source, speed float64) *Replayer {
	return &Replayer{source: source, speed: speed, MaxGap: DefaultMaxGap, closed: make(chan struct{})}
}

// Read implements [can.Source]: it waits until the next frame is due and
// returns all that are. After Close, its error is [os.ErrClosed].
func (r *Replayer) Read(frames []can.Frame) (int, error) {
	select {
	case <-r.closed:
		return 0, os.ErrClosed
	default:
	}
	if !(r.speed > 0) {
		return r.source.Read(frames)
	}
	if len(frames) == 0 {
		return 0, nil
	}
	if len(r.frames) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.source.Read(r.batch[:])
		r.frames, r.err = r.batch[:n], err
		if n == 0 {
			return 0, err
		}
	}
	now := time.Now()
	for due := r.due(&r.frames[0], now); due.After(now); now = time.Now() {
		timer := time.NewTimer(due.Sub(now))
		select {
		case <-timer.C:
		case <-r.closed:
			timer.Stop()
			return 0, os.ErrClosed
		}
	}
	n := 0
	for n < len(frames) && len(r.frames) > 0 && !r.due(&r.frames[0], now).After(now) {
		frames[n] = r.frames[0]
		r.frames = r.frames[1:]
		n++
	}
	return n, nil
}

// due says when a frame is due. It is called in the order of the frames.
func (r *Replayer) due(f *can.Frame, now time.Time) time.Time {
	gap := f.Time - r.latest
	if r.epoch.IsZero() || gap < -int64(disorder) || r.MaxGap > 0 && gap > int64(r.MaxGap) {
		r.epoch, r.start, r.latest = now, f.Time, f.Time
	}
	r.latest = max(r.latest, f.Time)
	after := float64(f.Time-r.start) / r.speed
	return r.epoch.Add(time.Duration(min(after, float64(maxWait))))
}

// maxWait keeps the time a frame is due within what can be computed.
const maxWait = 100 * 365 * 24 * time.Hour

// Buses implements [can.Source].
func (r *Replayer) Buses() []string { return r.source.Buses() }

// Close ends a Read that waits for a frame to be due, and all later ones. It
// may be called at any time; it does not close the source.
func (r *Replayer) Close() error {
	r.closeOnce.Do(func() { close(r.closed) })
	return nil
}
