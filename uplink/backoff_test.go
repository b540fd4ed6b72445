package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"milepost/uplink"
	"milepost/uplink/uplinktest"
)

// TestBackoffCeiling draws always the most.
func TestBackoffCeiling(t *testing.T) {
	most := func(n int64) int64 { return n - 1 }
	now := time.Unix(1_780_000_000, 0)
	b := uplink.Backoff{Min: time.Second, Max: 8 * time.Second, Random: most}
	want := func(pauses ...time.Duration) {
		t.Helper()
		for i, pause := range pauses {
			if got := b.Failed(now, nil); got != pause {
				t.Errorf("pause %d is %v, want %v", i, got, pause)
			}
			now = now.Add(pause)
		}
	}
	succeed := func(d time.Duration) { // every second, for a time
		for end := now.Add(d); !now.After(end); now = now.Add(time.Second) {
			b.Succeeded(now)
		}
		now = now.Add(-time.Second)
	}
	want(time.Second, 2*time.Second, 4*time.Second, 8*time.Second, 8*time.Second)
	if b.Tries() != 5 {
		t.Errorf("%d tries, want 5", b.Tries())
	}
	succeed(0) // the broker takes the connection, and drops it
	want(8*time.Second, 8*time.Second)
	succeed(7 * time.Second)
	want(8 * time.Second)
	succeed(8 * time.Second)
	want(time.Second, 2*time.Second)
	succeed(0)
	want(4 * time.Second)
	if b.Tries() != 1 {
		t.Errorf("%d tries, want 1", b.Tries())
	}
}

// TestBackoffJitter: pauses are spread evenly over all of the ceiling.
func TestBackoffJitter(t *testing.T) {
	var parts [10]int
	for range 10_000 {
		var b uplink.Backoff
		pause := b.Failed(time.Time{}, nil)
		if pause <= 0 || pause > 100*time.Millisecond {
			t.Fatalf("pause %v", pause)
		}
		parts[(pause-1)/(10*time.Millisecond)]++
	}
	for i, n := range parts {
		if n < 700 || n > 1300 { // ten standard deviations
			t.Errorf("%d of 10,000 pauses are in the tenth %d", n, i)
		}
	}
}

// busy is an error that asks for a pause.
type busy time.Duration

func (b busy) Error() string             { return fmt.Sprintf("HTTP 429, come back in %v", time.Duration(b)) }
func (b busy) RetryAfter() time.Duration { return time.Duration(b) }

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct{ asked, least, most time.Duration }{
		{time.Minute, time.Minute, 90 * time.Second},
		{time.Second, time.Second, 1500 * time.Millisecond},
		{time.Millisecond, time.Millisecond, 101 * time.Millisecond},
		{24 * time.Hour, 15 * time.Minute, 23 * time.Minute},
		{0, 0, 100 * time.Millisecond},
		{-time.Hour, 0, 100 * time.Millisecond},
	} {
		for range 100 {
			var b uplink.Backoff
			got := b.Failed(time.Time{}, fmt.Errorf("http: %w", busy(c.asked)))
			if got <= c.least || got > c.most {
				t.Fatalf("asked for %v: pause %v, want %v to %v", c.asked, got, c.least, c.most)
			}
		}
	}
}

// TestForwarderRetryAfter: what the receiver asks for is what is waited for.
func TestForwarderRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := uplinktest.NewQueue()
		fill(queue, 1, 5)
		begin := time.Now()
		sink := &uplinktest.FlakySink{Fail: func(call int, _ []uplink.Record) error {
			if call == 1 {
				return fmt.Errorf("http: %w", busy(2*time.Minute))
			}
			return nil
		}}
		f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords})
		go func() {
			time.Sleep(time.Minute)
			if s := f.Stats(); s.Up || s.NextTry.Sub(begin) < 2*time.Minute || s.NextTry.Sub(begin) > 3*time.Minute {
				t.Errorf("%+v", s)
			}
		}()
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// TestFlapping has a broker that takes every third Send and then fails: it gets
// no more tries than one that is down.
func TestFlapping(t *testing.T) {
	tries := func(fail func(call int) bool) int {
		var calls int
		synctest.Test(t, func(t *testing.T) {
			queue := uplinktest.NewQueue()
			fill(queue, 5000, 1)
			sink := &uplinktest.FlakySink{Fail: func(call int, _ []uplink.Record) error {
				calls = call
				if fail(call) {
					return errors.New("connection reset by peer")
				}
				return nil
			}}
			f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, MaxRecords: 1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := f.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Run: %v", err)
			}
			balance(t, f.Stats())
		})
		return calls
	}
	down := tries(func(int) bool { return true })
	flapping := tries(func(call int) bool { return call%3 != 0 })
	if flapping > 2*down {
		t.Errorf("a broker that flaps has had %d tries in an hour, one that is down %d", flapping, down)
	}
}
