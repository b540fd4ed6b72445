package gpio

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeSlow is a line whose level a test sets, in the bubble.
type fakeSlow struct {
	mu             sync.Mutex
	on             bool
	absent, broken error
	open           int
}

func (f *fakeSlow) request(*LineOptions) (slowLine, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.absent != nil {
		return nil, f.absent
	}
	f.open++
	return f, nil
}

func (f *fakeSlow) level() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.on, f.broken
}

func (f *fakeSlow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
}

// be makes the line another, and waits until that has had its effects.
func (f *fakeSlow) be(on bool, absent, broken error) {
	f.mu.Lock()
	f.on, f.absent, f.broken = on, absent, broken
	f.mu.Unlock()
	time.Sleep(lastPause * 5 / 4)
	synctest.Wait()
}

func TestLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		level, err := NewLevel(LevelOptions{LineOptions: LineOptions{Line: "float"}})
		if err != nil {
			t.Fatal(err)
		}
		line := &fakeSlow{absent: ErrNoLine}
		level.open = line.request
		var got gathered
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- level.Run(ctx, got.add)
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := level.Status(); !errors.Is(s.Err, ErrNoLine) || s.Failures < 5 || len(got.all()) != 0 {
			t.Errorf("%+v", s)
		}
		line.be(true, nil, nil)
		first := len(got.all())
		time.Sleep(100 * time.Second)
		synctest.Wait()
		readings := got.all()
		if n := len(readings) - first; n < 90 || n > 112 || level.Status().Err != nil {
			t.Errorf("%d readings in 100 seconds, %+v", n, level.Status())
		}
		gaps := make(map[int64]bool)
		for i, r := range readings[first:] {
			if r.Value != 1 || r.Channel != 0 {
				t.Errorf("%+v", r)
			}
			if i > 0 {
				gaps[r.Time-readings[first+i-1].Time] = true
			}
		}
		if len(gaps) < 50 {
			t.Errorf("%d different pauses: there is no jitter", len(gaps))
		}
		gone := errors.New("gone")
		line.be(true, nil, gone)
		if s := level.Status(); !errors.Is(s.Err, gone) || line.open != 0 {
			t.Errorf("%+v, %d lines open", s, line.open)
		}
		line.be(false, nil, nil)
		if s := level.Status(); s.Err != nil || got.all()[len(got.all())-1].Value != 0 {
			t.Errorf("%+v", s)
		}
		cancel()
		if err := <-ended; err != nil || line.open != 0 {
			t.Errorf("Run: %v; %d lines open", err, line.open)
		}
		if s := level.Status(); s.Readings != uint64(len(got.all())) {
			t.Errorf("%d readings of %d", len(got.all()), s.Readings)
		}
	})
}
