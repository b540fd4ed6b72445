package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressLine(t *testing.T) {
	half := progressState{
		elapsed: 10 * time.Second, done: 500, total: 1000, frames: 1234567, rate: 123456,
		eventTime: time.Date(2026, 11, 2, 10, 5, 33, 0, time.UTC),
	}
	pipe := half
	pipe.total, pipe.done = 0, 5<<20
	start := progressState{total: 1000, eventTime: time.Unix(0, 0)}
	over := half
	over.done = 2000 // the file has grown
	for _, c := range [...]struct {
		state progressState
		width int
		want  string
	}{
		{half, 100, "[███████████████▌               ]   50 %  1,234,567 frames  120,000/s  2026-11-02 10:05:33  10s left"},
		{half, 80, "[█████▌     ]   50 %  1,234,567 frames  120,000/s  2026-11-02 10:05:33  10s left"},
		{half, 70, " 50 %  1,234,567 frames  120,000/s  2026-11-02 10:05:33  10s left"},
		{half, 45, " 50 %  1,234,567 frames  120,000/s"},
		{half, 8, " 50 %"},
		{half, 3, ""},
		{half, -1, ""},
		{pipe, 80, "5.0 MiB  1,234,567 frames  120,000/s  2026-11-02 10:05:33"},
		{start, 40, "[                     ]    0 %  0 frames"},
		{over, 60, "100 %  1,234,567 frames  120,000/s  2026-11-02 10:05:33"},
	} {
		if got := c.state.line(c.width); got != c.want {
			t.Errorf("width %d:\n got %q\nwant %q", c.width, got, c.want)
		}
	}
	for width := range 300 {
		for _, s := range []progressState{half, pipe, start, over} {
			if line := s.line(width); columns(line) > width {
				t.Errorf("%d columns in a terminal of %d: %q", columns(line), width, line)
			}
		}
	}
}

// TestProgressDrawing checks when the line is drawn and that messages do not run
// into it.
func TestProgressDrawing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		p := newProgress(&screen, 1000)
		p.show(func() int { return 40 })
		for i := range 1000 {
			time.Sleep(time.Millisecond) // of the bubble: takes no time
			p.update(int64(i), 0, uint64(1000*i), time.Unix(0, 0))
		}
		if drawn := strings.Count(screen.String(), "\r"); drawn < 4 || drawn > 5 {
			t.Errorf("drawn %d times in a second", drawn)
		}
		last := screen.String()[strings.LastIndex(screen.String(), "\r"):]
		if want := "\r 99 %  999,000 frames  1,000,000/s\x1b[K"; last != want {
			t.Errorf("at last %q, want %q", last, want)
		}
		screen.Reset()
		fmt.Fprintln(p, "drive.log:7: not a frame")
		p.finish()
		if want := "\r\x1b[Kdrive.log:7: not a frame\n"; screen.String() != want {
			t.Errorf("message: %q, want %q", screen.String(), want)
		}
	})
}

// TestProgressInPipe checks that nothing but messages goes where no terminal is.
func TestProgressInPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, 1000)
		time.Sleep(time.Second)
		p.update(1, 2, 3, time.Now())
		io.WriteString(p, "message\n")
		p.finish()
		if out.String() != "message\n" {
			t.Errorf("wrote %q", out.String())
		}
	})
}

func TestSmoothedRate(t *testing.T) {
	var s progressState
	for range 50 { // 10 seconds at 1,000 frames a second
		s = after(s, 200)
	}
	if s.rate < 999 || s.rate > 1001 {
		t.Errorf("rate %v, want 1000", s.rate)
	}
	for range 25 { // and 5 at twice the rate
		s = after(s, 400)
	}
	if s.rate < 1980 || s.rate > 2001 {
		t.Errorf("rate %v, want 2000", s.rate)
	}
}

// after is the state a fifth of a second later.
func after(s progressState, frames uint64) progressState {
	next := s
	next.elapsed += redrawAfter
	next.frames += frames
	next.rate = smoothed(s, next)
	return next
}

func TestBar(t *testing.T) {
	for fraction, want := range map[float64]string{
		0: "    ", 0.125: "▌   ", 0.5: "██  ", 0.99: "███▉", 1: "████",
	} {
		if got := bar(fraction, 4); got != want {
			t.Errorf("%v: %q, want %q", fraction, got, want)
		}
	}
}
