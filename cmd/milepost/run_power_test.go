package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"milepost/sensors/gpio"
)

// fakeIgnition is a line that the test switches.
type fakeIgnition struct {
	mu        sync.Mutex
	on, known bool
	changes   chan gpio.Change
}

func newFakeIgnition() *fakeIgnition { return &fakeIgnition{changes: make(chan gpio.Change, 1)} }

func (f *fakeIgnition) Level() (on, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.on, f.known
}

func (f *fakeIgnition) Changes() <-chan gpio.Change { return f.changes }

func (f *fakeIgnition) set(on, known bool) {
	f.mu.Lock()
	f.on, f.known = on, known
	f.mu.Unlock()
	select {
	case f.changes <- gpio.Change{On: on, Known: known}:
	default:
	}
}

var quiet = slog.New(slog.DiscardHandler)

func TestWaitForIgnition(t *testing.T) {
	for name, c := range map[string]struct {
		then func(*fakeIgnition)
		want time.Duration
	}{
		"comes on":     {func(f *fakeIgnition) { f.set(false, true); time.Sleep(time.Hour); f.set(true, true) }, time.Hour},
		"is on":        {func(f *fakeIgnition) { f.set(true, true) }, 0},
		"is not there": {func(f *fakeIgnition) {}, unknownIgnition},
		// Known to be off, it is waited for, however long it then cannot be read.
		"is off, and comes late": {func(f *fakeIgnition) {
			time.Sleep(time.Second)
			f.set(false, true)
			time.Sleep(time.Hour)
			f.set(true, true)
		}, time.Hour + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := newFakeIgnition()
				begin := time.Now()
				go c.then(line)
				synctest.Wait()
				if err := waitForIgnition(t.Context(), line, quiet); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != c.want {
					t.Errorf("waited %v, not %v", took, c.want)
				}
			})
		})
	}
}

func TestWaitForIgnitionStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newFakeIgnition()
		line.set(false, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := waitForIgnition(ctx, line, quiet); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// Cranking cuts the ignition for a moment, and so does a loose wire; switching off
// does not end in a moment.
func TestWhileIgnition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newFakeIgnition()
		line.set(true, true)
		ctx, stop := whileIgnition(t.Context(), line, 2*time.Second)
		defer stop()
		begin := time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			line.set(false, true) // cranking
			time.Sleep(1900 * time.Millisecond)
			line.set(true, true)
			time.Sleep(10 * time.Second)
			line.set(false, true)
			time.Sleep(time.Second)
			line.set(false, false) // the line is gone: nothing is known
			time.Sleep(time.Hour)
			line.set(false, true)
		}()
		<-ctx.Done()
		if took, want := time.Since(begin), time.Hour+24900*time.Millisecond; took != want || context.Cause(ctx) != errIgnitionOff {
			t.Errorf("ended after %v, not %v: %v", took, want, context.Cause(ctx))
		}
	})
}
