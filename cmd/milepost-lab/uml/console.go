package uml

import (
	"io"
	"strings"
)

// passOn hands on what it is given, and goes on taking it when the other end has
// gone: a guest must not hang because nobody listens.
type passOn struct{ to io.Writer }

func (p *passOn) Write(b []byte) (int, error) {
	if p.to != nil {
		if _, err := p.to.Write(b); err != nil {
			p.to = nil
		}
	}
	return len(b), nil
}

// console keeps the last of what a kernel says.
type console struct{ text []byte }

const consoleBytes = 4 << 10

func (c *console) Write(b []byte) (int, error) {
	c.text = append(c.text, b...)
	if len(c.text) > 2*consoleBytes {
		c.text = append(c.text[:0], c.text[len(c.text)-consoleBytes:]...)
	}
	return len(b), nil
}

func (c *console) String() string {
	text := c.text[max(0, len(c.text)-consoleBytes):]
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\r", ""))
}

// panic is the line with which a kernel gave up, or what is known otherwise.
func (c *console) panic(otherwise string) string {
	for line := range strings.Lines(c.String()) {
		if strings.HasPrefix(line, "Kernel panic") {
			return strings.TrimSpace(line)
		}
	}
	return otherwise
}

// guestError is a guest that did not come to its end, with the last that its
// kernel said.
type guestError struct {
	cause   string
	console string
}

func (e *guestError) Error() string {
	if e.console == "" {
		return e.cause
	}
	return e.cause + "; the last that its kernel said:\n" + e.console
}
