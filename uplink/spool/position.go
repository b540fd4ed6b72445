package spool

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// Position is what a cursor has acknowledged, as a value that can be kept
// elsewhere: where the entries go, say, in the same transaction.
type Position struct {
	Spool [16]byte // the ID of the spool; indexes mean nothing in another one
	Acked uint64   // everything up to here
	Done  []Span   // and these beyond it, ascending and apart; at most MaxSpans
}

// Position returns what the cursor has acknowledged so far.
func (c *Cursor) Position() Position {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return Position{c.s.meta.id, c.p.acked, slices.Clone(c.p.accounted.islands)}
}

// Advance acknowledges all that a position has and replaces the note. What the
// cursor has acknowledged beyond it stays so. It is all or nothing: errors are
// ErrSpans, and those that say that the position is of another spool or of
// entries that this one never had.
func (c *Cursor) Advance(p Position, note []byte) error {
	if p.Spool != c.s.meta.id {
		return fmt.Errorf("spool: cursor %s: the position is one in spool %x, this is spool %x", c.p.name, p.Spool, c.s.meta.id)
	}
	if err := p.check(); err != nil {
		return fmt.Errorf("spool: cursor %s: %w", c.p.name, err)
	}
	return c.ack(note, func() error {
		done := reach{p.Acked, p.Done}
		if last := done.last(); last >= c.s.next {
			return fmt.Errorf("spool: cursor %s: the position has acknowledged entry %d, the last entry here is %d: was the directory replaced by an older copy?", c.p.name, last, c.s.next-1)
		}
		spans := []Span{{1, p.Acked}}
		sum := c.p.accounted.with(spans[0])
		for _, span := range p.Done {
			span = c.s.widenLocked(span)
			spans = append(spans, span)
			sum = sum.with(span)
		}
		if len(sum.islands) > MaxSpans {
			return ErrSpans
		}
		for _, span := range spans {
			c.s.ackLocked(c.p, span, note)
		}
		return nil
	})
}

func (p *Position) check() error {
	last := p.Acked
	for _, s := range p.Done {
		if s.From <= last+1 || s.To < s.From || s.To >= maxIndex {
			return fmt.Errorf("a position whose spans do not ascend: %d to %d behind %d", s.From, s.To, last)
		}
		last = s.To
	}
	if last >= maxIndex || len(p.Done) > MaxSpans {
		return fmt.Errorf("a position with index %d and %d spans is none", last, len(p.Done))
	}
	return nil
}

// positionPrefix names the text form and its version.
const positionPrefix = "spool1"

// MarshalText writes the position in less than 1 KiB of ASCII without spaces:
//
//	spool1:ID:ACKED[:PENDING+DONE]…
//
// with the ID in 32 hexadecimal digits and the rest in base 36; PENDING indexes
// are skipped, and the DONE next ones are a span.
func (p Position) MarshalText() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	b := append([]byte(positionPrefix), ':')
	b = hex.AppendEncode(b, p.Spool[:])
	b = strconv.AppendUint(append(b, ':'), p.Acked, 36)
	last := p.Acked
	for _, s := range p.Done {
		b = strconv.AppendUint(append(b, ':'), s.From-last-1, 36)
		b = strconv.AppendUint(append(b, '+'), s.Len(), 36)
		last = s.To
	}
	return b, nil
}

// UnmarshalText reads what MarshalText wrote. An error that is ErrNewer says
// that a newer milepost wrote it.
func (p *Position) UnmarshalText(text []byte) error {
	name, rest, _ := bytes.Cut(text, []byte{':'})
	if string(name) != positionPrefix {
		if version, ok := bytes.CutPrefix(name, []byte("spool")); ok {
			if n, err := strconv.ParseUint(string(version), 10, 16); err == nil && n > 1 {
				return fmt.Errorf("spool: a position of version %d: %w", n, ErrNewer)
			}
		}
		return fmt.Errorf("spool: %.40q is no position", text)
	}
	parts := bytes.Split(rest, []byte{':'})
	var read Position
	ok := len(parts) >= 2 && len(parts) <= 2+MaxSpans && len(parts[0]) == hex.EncodedLen(len(read.Spool))
	number := func(b []byte) uint64 {
		n, err := strconv.ParseUint(string(b), 36, 63)
		ok = ok && err == nil
		return n
	}
	if ok {
		_, err := hex.Decode(read.Spool[:], parts[0])
		ok = err == nil
		read.Acked = number(parts[1])
		last := read.Acked
		for _, part := range parts[2:] {
			pending, done, _ := bytes.Cut(part, []byte{'+'})
			// No sum can overflow: each part is below 1<<63, and so is last.
			from := last + 1 + number(pending)
			if ok = ok && from < maxIndex; !ok {
				break
			}
			if last = from - 1 + number(done); last >= maxIndex {
				ok = false
				break
			}
			read.Done = append(read.Done, Span{from, last})
		}
	}
	if !ok {
		return fmt.Errorf("spool: %.40q is no position", text)
	}
	if err := read.check(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	*p = read
	return nil
}
