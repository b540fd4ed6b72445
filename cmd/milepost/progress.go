package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"milepost/cmd/internal/gateway"
)

// progress shows on a terminal how far long work has come, in one line that is
// drawn again and again. Elsewhere (in a pipe, in a file) it shows nothing.
//
// It is an io.Writer for messages, which must not run into that line. It is safe
// for concurrent use, so that messages may come from anywhere.
type progress struct {
	w     io.Writer
	width func() int // of the terminal; nil where nothing is shown

	mu          sync.Mutex
	drawn       bool      // the line is on the terminal
	start, next time.Time // when the work began, when to draw again
	state       progressState
}

// progressState is what is shown.
type progressState struct {
	elapsed     time.Duration
	done, total int64 // bytes; total 0 if unknown
	bytesOnly   bool  // there are no frames
	frames      uint64
	rate        float64 // frames a second
	eventTime   time.Time
}

// redrawAfter limits the drawing to five times a second.
const redrawAfter = 200 * time.Millisecond

// newProgress shows the progress on w if that is a terminal which can redraw a
// line. total is the number of bytes there are, 0 if unknown.
func newProgress(w io.Writer, total int64) *progress {
	p := &progress{w: w, state: progressState{total: total}}
	file, ok := w.(*os.File)
	if ok && isTerminal(file) && os.Getenv("TERM") != "dumb" {
		p.show(func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil || width <= 0 {
				return 80
			}
			return width
		})
	}
	return p
}

// show makes p draw, on a terminal of that width.
func (p *progress) show(width func() int) {
	p.width = width
	p.start = time.Now()
	p.next = p.start.Add(redrawAfter)
}

// hide makes p draw nothing, as where the terminal shows the results already.
func (p *progress) hide() { p.width = nil }

// update tells how far the work is. It is cheap enough to be called for every
// batch of frames. A total of 0 leaves that of newProgress.
func (p *progress) update(done, total int64, frames uint64, eventTime time.Time) {
	if p.width == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(redrawAfter)
	if total == 0 {
		total = p.state.total
	}
	state := progressState{
		elapsed: now.Sub(p.start), done: done, total: total,
		bytesOnly: p.state.bytesOnly, frames: frames, eventTime: eventTime,
	}
	state.rate = smoothed(p.state, state)
	p.state = state
	fmt.Fprint(p.w, "\r"+state.line(p.width()-1)+"\x1b[K")
	p.drawn = true
}

// left tells how many records are left to deliver when the rest is done.
func (p *progress) left(records uint64) {
	if p.width == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	text := gateway.Grouped(records) + " records left to deliver"
	if columns(text) >= p.width() {
		return
	}
	fmt.Fprint(p.w, "\r"+text+"\x1b[K")
	p.drawn = true
}

// smoothed gives the rate at which frames come: it follows changes within a
// second or so, and does not flicker.
func smoothed(before, now progressState) float64 {
	seconds := (now.elapsed - before.elapsed).Seconds()
	if seconds <= 0 || now.frames < before.frames {
		return before.rate
	}
	rate := float64(now.frames-before.frames) / seconds
	if before.elapsed == 0 {
		return rate
	}
	weight := math.Exp(-seconds)
	return float64(before.rate*weight) + float64(rate*(1-weight))
}

// Write writes a message where the line is, which comes back below it.
func (p *progress) Write(message []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.w.Write(message)
}

// finish takes the line away. It comes back with the next update.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// line gives the line, of at most width columns:
//
//	[█████████▌                    ]  32 %  1,234,567 frames  410,000/s  2026-11-02 10:05:33  12s left
//
// What does not fit is left out: first the bar, then from the end.
func (s progressState) line(width int) string {
	var parts []string
	known := s.total > 0
	fraction := 0.0
	if known {
		fraction = min(max(float64(s.done)/float64(s.total), 0), 1)
		parts = append(parts, fmt.Sprintf("%3d %%", int(fraction*100)))
	} else {
		parts = append(parts, bytesText(s.done))
	}
	if !s.bytesOnly {
		parts = append(parts, gateway.Grouped(s.frames)+" frames")
	}
	if s.rate > 0 {
		parts = append(parts, gateway.Grouped(roundedRate(s.rate))+"/s")
	}
	if s.eventTime.UnixNano() != 0 {
		parts = append(parts, s.eventTime.UTC().Format(time.DateTime))
	}
	if left, ok := s.left(fraction); ok {
		parts = append(parts, left.String()+" left")
	}
	for len(parts) > 1 && columns(strings.Join(parts, "  ")) > width {
		parts = parts[:len(parts)-1]
	}
	text := strings.Join(parts, "  ")
	const leastBar, mostBar = 8, 40
	room := min(width-columns(text)-len("[]  "), mostBar)
	if known && room >= leastBar {
		text = "[" + bar(fraction, room) + "]  " + text
	}
	if columns(text) > width {
		return ""
	}
	return text
}

// left estimates how long it takes from how long it has taken.
func (s progressState) left(fraction float64) (left time.Duration, ok bool) {
	if fraction < 0.01 || fraction >= 1 || s.elapsed < time.Second {
		return 0, false
	}
	seconds := s.elapsed.Seconds() / fraction * (1 - fraction)
	if seconds > 1e6 {
		return 0, false
	}
	return time.Duration(math.Ceil(seconds)) * time.Second, true
}

// bar draws a fraction of width columns, in eighths of one.
func bar(fraction float64, width int) string {
	eighths := []rune(" ▏▎▍▌▋▊▉")
	n := int(fraction * float64(width*8))
	text := strings.Repeat("█", n/8)
	if n/8 < width {
		text += string(eighths[n%8]) + strings.Repeat(" ", width-n/8-1)
	}
	return text
}

// roundedRate rounds a rate to two digits: the others are never the same.
func roundedRate(rate float64) uint64 {
	n := uint64(min(rate, 1e15))
	unit := uint64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}

// columns is how wide a text is on a terminal.
func columns(text string) int { return utf8.RuneCountInString(text) }
