// Package poll asks a device for its values again and again.
package poll

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"milepost/sensors"
	"milepost/sensors/internal/state"
)

// DefaultInterval and DefaultTimeout hold where nothing else is said.
const (
	DefaultInterval = time.Second
	DefaultTimeout  = 5 * time.Second
)

// MinInterval is the shortest interval. What is to be seen faster than this comes
// by interrupts or from a buffer, not by polling.
const MinInterval = time.Millisecond

// stopGrace is how long the end waits for a try that is under way: longer than
// the slowest honest one, which is a 1-wire conversion of 750 ms.
const stopGrace = time.Second

// Loop polls one device: once in every interval of UTC, so that with an interval
// of a second every second has one reading. Where in the interval is drawn at
// random, once for the loop and a little for each try, so that the sensors of a
// gateway do not all ask in the same instant.
type Loop struct {
	// Interval is the time between tries, DefaultInterval if zero. Timeout is how
	// long a try may take before the device counts as hung, DefaultTimeout if zero.
	Interval, Timeout time.Duration
	// Read tries once. It appends to readings, in the order of their times, says
	// how many inputs failed, and why one of them did. It is called by one
	// goroutine at a time.
	Read func(readings []sensors.Reading) (_ []sensors.Reading, failed int, err error)
	// Close gives back what Read holds open. It is called last, by the goroutine
	// that called Read.
	Close func()

	state state.State
}

// Check says what is wrong with the durations.
func (l *Loop) Check() error {
	if l.Interval != 0 && l.Interval < MinInterval {
		return fmt.Errorf("an interval of %v is too short: %v is the least", l.Interval, MinInterval)
	}
	if l.Timeout < 0 {
		return fmt.Errorf("a timeout of %v is less than nothing", l.Timeout)
	}
	return nil
}

// Status is how the device is doing.
func (l *Loop) Status() sensors.Status { return l.state.Status() }

// answer is what a try gave.
type answer struct {
	readings []sensors.Reading
	failed   int
	err      error
}

// Run polls until the context is done. A system call on a file of a device cannot
// be called off: Read has a goroutine of its own, so that one that hangs shows in
// the status, and does not keep Run from returning. In that case alone the
// goroutine outlives Run, until the kernel lets go of it; what it then brings is
// thrown away.
func (l *Loop) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	interval, timeout := l.Interval, l.Timeout
	if interval == 0 {
		interval = DefaultInterval
	}
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	requests, answers, done := make(chan struct{}), make(chan answer, 1), make(chan struct{})
	go func() {
		defer close(done)
		defer l.Close()
		var readings []sensors.Reading
		for range requests {
			var a answer
			a.readings, a.failed, a.err = l.Read(readings[:0])
			readings = a.readings
			answers <- a
		}
	}()
	defer func() {
		close(requests)
		grace := time.NewTimer(stopGrace)
		defer grace.Stop()
		select {
		case <-done:
		case <-grace.C:
		}
	}()

	phase := time.Duration(0.8 * rand.Float64() * float64(interval))
	// The first try does not wait for an interval of minutes.
	timer := time.NewTimer(min(phase, time.Second))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		slot := time.Now().Truncate(interval)
		requests <- struct{}{} // the reader is idle
		if !l.take(ctx, answers, timeout, emit) {
			return nil
		}
		timer.Reset(untilNext(time.Now(), slot, interval, phase))
	}
}

// take waits for an answer and hands it over. It says whether to go on.
func (l *Loop) take(ctx context.Context, answers <-chan answer, timeout time.Duration, emit func([]sensors.Reading)) bool {
	hung := time.NewTimer(timeout)
	defer hung.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-hung.C:
			l.state.Failed(1, fmt.Errorf("there is no answer within %v: the device or its bus hangs", timeout))
		case a := <-answers:
			if len(a.readings) > 0 {
				emit(a.readings)
			}
			if a.err == nil {
				l.state.Worked(len(a.readings))
			} else {
				l.state.Partly(len(a.readings), a.failed, a.err)
			}
			return true
		}
	}
}

// untilNext is how long it is from now to a random moment in the first interval
// that begins after slot and has not gone by. It looks at the wall clock, because
// windows do: a step of that clock moves the next try by an interval at most.
func untilNext(now, slot time.Time, interval, phase time.Duration) time.Duration {
	begin := now.Truncate(interval)
	if begin.Equal(slot) {
		begin = begin.Add(interval)
	}
	at := begin.Add(phase + time.Duration(0.1*rand.Float64()*float64(interval)))
	return max(at.Sub(now), 0)
}
