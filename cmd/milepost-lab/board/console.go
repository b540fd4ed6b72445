package board

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// console keeps what a board says on its serial port, each line with the time
// since power-on.
type console struct {
	begin time.Time
	also  io.Writer // or nil

	mu    sync.Mutex
	first time.Duration // when the first byte came
	line  []byte
	lines []string
	bytes int
}

// consoleBytes bounds what is kept of a board that says the same for hours.
const consoleBytes = 4 << 20

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == 0 && len(b) > 0 {
		c.first = time.Since(c.begin)
	}
	c.line = append(c.line, b...)
	for {
		end := bytes.IndexByte(c.line, '\n')
		if end < 0 {
			return len(b), nil
		}
		c.keepLocked(bytes.TrimRight(c.line[:end], "\r"))
		c.line = c.line[end+1:]
	}
}

func (c *console) keepLocked(text []byte) {
	line := fmt.Sprintf("%8.3f %s\n", time.Since(c.begin).Seconds(), text)
	c.lines = append(c.lines, line)
	c.bytes += len(line)
	for c.bytes > consoleBytes {
		c.bytes -= len(c.lines[0])
		c.lines = c.lines[1:]
	}
	if c.also != nil {
		if _, err := io.WriteString(c.also, line); err != nil {
			c.also = nil // whoever listened is gone; the board goes on
		}
	}
}

// text is what was said so far.
func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	for _, line := range c.lines {
		b.WriteString(line)
	}
	if len(c.line) > 0 {
		fmt.Fprintf(&b, "%8s %s\n", "", c.line)
	}
	return b.String()
}

// last is the end of what was said.
func (c *console) last(lines int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	for _, line := range c.lines[max(0, len(c.lines)-lines):] {
		b.WriteString(line)
	}
	return b.String()
}

func (c *console) firstOutput() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}
