package uplink

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"

	"milepost/uplink/spool"
)

// What is committed in a transaction with the records is text: the queue's
// position (spool.Position) as it is with the records done, and where these end
// in the middle of an entry, as they do when poison is looked for, behind it
// " +", the number of the entry, ":" and how many of its records are done.

// partial is an entry of which the sink has a part: its first records.
type partial struct {
	entry   uint64 // 0 is none
	records int
}

// positionAt is the position to be committed when the group's records before to
// are done with, and the entry that is then in the middle.
func (f *Forwarder) positionAt(to int) (text []byte, reached partial, err error) {
	g, l := f.group, f.group.lane
	done := g.span
	reached = l.partial
	if g.has(reached.entry) {
		reached = partial{}
	}
	if to < len(g.records) {
		next := g.origins[to]
		entry := g.entries[next.entry].Index
		done.To = entry - 1
		if next.number > 0 {
			reached = partial{entry, next.number}
		}
	}
	p := l.Queue.Position()
	if done.From <= done.To {
		p = union(p, done)
	}
	if text, err = p.MarshalText(); err != nil {
		return nil, reached, fmt.Errorf("%s: %w", f.o.Name, err)
	}
	if reached.entry != 0 {
		text = fmt.Appendf(text, " +%d:%d", reached.entry, reached.records)
	}
	return text, reached, nil
}

// union adds a span to a position.
func union(p spool.Position, span spool.Span) spool.Position {
	var done []spool.Span
	for _, d := range p.Done {
		if d.To+1 < span.From || span.To+1 < d.From {
			done = append(done, d)
		} else {
			span = spool.Span{From: min(d.From, span.From), To: max(d.To, span.To)}
		}
	}
	if span.From <= p.Acked+1 {
		p.Acked = max(p.Acked, span.To)
	} else {
		at, _ := slices.BinarySearchFunc(done, span, func(a, b spool.Span) int {
			if a.From < b.From {
				return -1
			}
			return 1
		})
		done = slices.Insert(done, at, span)
	}
	p.Done = done
	return p
}

// parsePosition takes apart what positionAt wrote.
func parsePosition(text []byte) (p spool.Position, reached partial, err error) {
	position, rest, middle := bytes.Cut(text, []byte(" +"))
	if err := p.UnmarshalText(position); err != nil {
		return p, reached, err
	}
	if middle {
		entry, records, _ := bytes.Cut(rest, []byte(":"))
		if reached.entry, err = strconv.ParseUint(string(entry), 10, 64); err == nil {
			reached.records, err = strconv.Atoi(string(records))
		}
		if err != nil || reached.entry == 0 || reached.records <= 0 {
			return p, partial{}, fmt.Errorf("%q is no part of an entry", rest)
		}
	}
	return p, reached, nil
}

// settle asks the sink how far a lane is, and goes on from there. It waits while
// the sink cannot be asked.
func (f *Forwarder) settle(ctx context.Context, l *lane) error {
	for {
		text, err := f.transactional.Position(ctx, l.Name)
		f.charge(0)
		if err != nil {
			if err := f.failed(ctx, err); err != nil {
				return err
			}
			continue
		}
		l.settled = true
		l.partial = partial{}
		if text == nil {
			return nil
		}
		p, reached, err := parsePosition(text)
		if err != nil {
			return fmt.Errorf("%s: the position of queue %s that the receiver has (%q) cannot be read, and without it nothing can be sent exactly once: %w", f.o.Name, l.Name, text, err)
		}
		if own := l.Queue.Position(); p.Spool != own.Spool {
			f.logger.Warn("the receiver has the position of another spool; this one begins where its own cursor says", "sink", f.o.Name, "queue", l.Name)
			return nil
		}
		if err := l.Queue.Advance(p, f.note()); err != nil {
			return fmt.Errorf("%s: queue %s: %w", f.o.Name, l.Name, err)
		}
		l.at = 0
		l.partial = reached
		return nil
	}
}
