package socketcan

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// backoff is a pause that doubles, with jitter, so that what failed together does
// not go on together.
type backoff struct {
	wait time.Duration // the pause now
	base time.Duration
}

const (
	firstPause = 250 * time.Millisecond
	maxPause   = 30 * time.Second
)

func (p *backoff) next() {
	p.base = min(max(2*p.base, firstPause), maxPause)
	p.wait = p.base - time.Duration(rand.Int64N(int64(p.base/4)))
}

// quietLog says what is new, and what is not new once in a while: a bus that
// flaps, or is away for a week, must not fill a disk. It is used by Read alone.
type quietLog struct {
	logger     *slog.Logger
	last       string
	began      time.Time // of the minute in which lines are counted
	lines      int
	suppressed int
}

const (
	linesPerMinute = 6
	repeatAfter    = time.Hour
)

func (l *quietLog) info(message string, args ...any) { l.say(slog.LevelInfo, message, args) }
func (l *quietLog) warn(message string, args ...any) { l.say(slog.LevelWarn, message, args) }

func (l *quietLog) say(level slog.Level, message string, args []any) {
	now := time.Now()
	text := message
	for _, a := range args {
		if err, ok := a.(error); ok {
			text += err.Error()
		}
	}
	if age := now.Sub(l.began); l.began.IsZero() || age >= time.Minute {
		if text == l.last && age < repeatAfter {
			l.suppressed++
			return
		}
		l.began, l.lines = now, 0
	} else if text == l.last || l.lines >= linesPerMinute {
		l.suppressed++
		return
	}
	l.last = text
	l.lines++
	if l.suppressed > 0 {
		args = append(args, "lines_left_out", l.suppressed)
		l.suppressed = 0
	}
	l.logger.Log(context.Background(), level, message, args...)
}
