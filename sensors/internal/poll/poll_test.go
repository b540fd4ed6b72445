package poll

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"milepost/sensors"
)

// TestEverySecondHasOne: a loop of a second gives one reading in each second of
// UTC, however long a try takes, as long as that is less than a second.
func TestEverySecondHasOne(t *testing.T) {
	for _, takes := range []time.Duration{0, 750 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var seconds []int64
			l := Loop{
				Read: func(rs []sensors.Reading) ([]sensors.Reading, int, error) {
					begin := time.Now()
					time.Sleep(takes)
					return append(rs, sensors.Reading{Time: begin.UnixNano()}), 0, nil
				},
				Close: func() {},
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := l.Run(ctx, func(rs []sensors.Reading) {
				for _, r := range rs {
					seconds = append(seconds, r.Time/1e9)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(seconds) < 55 {
				t.Errorf("a try takes %v: %d readings in a minute", takes, len(seconds))
			}
			for i, second := range seconds[1:] {
				if second != seconds[i]+1 {
					t.Errorf("a try takes %v: a reading in second %d follows one in %d", takes, second, seconds[i])
				}
			}
			if st := l.Status(); st.Readings != uint64(len(seconds)) || st.Failures != 0 || st.Err != nil || st.Since.IsZero() {
				t.Errorf("status %+v after %d readings", st, len(seconds))
			}
		})
	}
}

func TestUntilNext(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("15:04:05.000", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		what, now, slot string
		from, to        time.Duration // where it lies
	}{
		{"in the same second", "12:00:00.300", "12:00:00.000", 1200 * time.Millisecond, 1300 * time.Millisecond},
		{"after a try of 1.1 s, what is left of the second", "12:00:01.100", "12:00:00.000", 400 * time.Millisecond, 500 * time.Millisecond},
		{"after a try of 1.9 s, too late for that second: now", "12:00:01.900", "12:00:00.000", 0, 0},
		{"the clock was set years back", "06:00:00.300", "12:00:00.000", 200 * time.Millisecond, 300 * time.Millisecond},
		{"the clock was set forward", "18:00:00.300", "12:00:00.000", 200 * time.Millisecond, 300 * time.Millisecond},
	} {
		if d := untilNext(at(c.now), at(c.slot), time.Second, 500*time.Millisecond); d < c.from || d > c.to {
			t.Errorf("%s: %v, want %v to %v", c.what, d, c.from, c.to)
		}
	}
}

// TestFirstTryIsSoon: a gateway that has just started has its first readings at
// once, also of what is asked once in ten minutes.
func TestFirstTryIsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		l := Loop{
			Interval: 10 * time.Minute,
			Read:     func(rs []sensors.Reading) ([]sensors.Reading, int, error) { cancel(); return rs, 0, nil },
			Close:    func() {},
		}
		if err := l.Run(ctx, func([]sensors.Reading) {}); err != nil || time.Since(begin) > time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// TestStates: what fails is a state with the time of its beginning, and passes.
func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, partly := errors.New("broken"), errors.New("partly broken")
		var tries int
		answers := []answer{{failed: 1, err: broken}, {failed: 1, err: broken}, {failed: 2, err: partly, readings: make([]sensors.Reading, 3)}, {readings: make([]sensors.Reading, 5)}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		closed := false
		var l Loop
		var seen []sensors.Status
		l = Loop{
			Read: func(rs []sensors.Reading) ([]sensors.Reading, int, error) {
				seen = append(seen, l.Status())
				if tries == len(answers) {
					cancel()
					return rs, 0, nil
				}
				a := answers[tries]
				tries++
				return append(rs, a.readings...), a.failed, a.err
			},
			Close: func() { closed = true },
		}
		got := 0
		if err := l.Run(ctx, func(rs []sensors.Reading) { got += len(rs) }); err != nil || !closed || got != 8 {
			t.Fatalf("%v, closed %v, %d readings", err, closed, got)
		}
		if !seen[0].Since.IsZero() || seen[0].Err != nil {
			t.Errorf("before the first try: %+v", seen[0])
		}
		errs := []error{nil, broken, broken, partly, nil}
		failures, readings := []uint64{0, 1, 2, 4, 4}, []uint64{0, 0, 0, 3, 8}
		for i, st := range seen {
			if st.Err != errs[i] || st.Failures != failures[i] || st.Readings != readings[i] {
				t.Errorf("after %d tries: %+v", i, st)
			}
		}
		if !seen[1].Since.Equal(seen[3].Since) || !seen[4].Since.After(seen[3].Since) {
			t.Errorf("since %v, %v, %v", seen[1].Since, seen[3].Since, seen[4].Since)
		}
	})
}

// TestHang: a try that hangs shows after the timeout, is not begun a second time,
// and does not hold up the end; what it brings later is thrown away.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang, closed := make(chan struct{}), make(chan struct{})
		var tries atomic.Int32
		l := Loop{
			Timeout: 3 * time.Second,
			Read: func(rs []sensors.Reading) ([]sensors.Reading, int, error) {
				tries.Add(1)
				<-hang
				return append(rs, sensors.Reading{}), 0, nil
			},
			Close: func() { close(closed) },
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- l.Run(ctx, func(rs []sensors.Reading) { t.Errorf("%d readings out of nowhere", len(rs)) })
		}()
		time.Sleep(2 * time.Second)
		if st := l.Status(); st.Err != nil {
			t.Errorf("too early: %v", st.Err)
		}
		time.Sleep(time.Minute)
		if st := l.Status(); st.Err == nil || st.Failures != 1 || tries.Load() != 1 {
			t.Errorf("%d tries, status %+v", tries.Load(), st)
		}
		cancel()
		begin := time.Now()
		if err := <-done; err != nil || time.Since(begin) > stopGrace {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		close(hang)
		<-closed
	})
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		interval, timeout time.Duration
		ok                bool
	}{{0, 0, true}, {MinInterval, 1, true}, {-1, 0, false}, {time.Microsecond, 0, false}, {0, -1, false}} {
		l := Loop{Interval: c.interval, Timeout: c.timeout}
		if err := l.Check(); (err == nil) != c.ok {
			t.Errorf("%v, %v: %v", c.interval, c.timeout, err)
		}
	}
}
