package uplink

import (
	"slices"
	"sync"
	"time"

	"milepost/uplink/spool"
)

// ForwarderStats counts what a Forwarder has done since it was made.
//
//	Entries = Acknowledged + entries of the groups that are being sent
//	Records = Sent + Poisoned + Pending
type ForwarderStats struct {
	// Entries were read from the queue, Bytes are those of their payloads.
	Entries, Bytes uint64
	// Acknowledged counts the entries that are done with, Undecodable those among
	// them that were quarantined as a whole, Missing those that the queue should
	// have had between them: evicted or damaged.
	Acknowledged, Undecodable, Missing uint64
	// Records came from the entries. Sent were acknowledged by the receiver,
	// Poisoned were refused for good and quarantined, Pending are on their way.
	Records, Sent, Poisoned, Pending uint64
	// Traffic is the bytes that went over the wire, both ways, if the sink counts
	// them; else those of the payloads that it accepted.
	Traffic uint64
	// Failures counts failed tries to send, Outages the times that the sink went
	// down, QueueFailures the failed tries to read a queue or to store how far
	// it was read.
	Failures, Outages, QueueFailures uint64
	// Up is false while the sink fails. It is true before anything was sent.
	Up bool
	// Since is when Up changed last; zero if it never did.
	Since time.Time
	// NextTry is when a sink that is down is tried again, Cause why it is down.
	NextTry time.Time
	Cause   string
	// LastSuccess is when the sink last accepted something; zero if it never did.
	LastSuccess time.Time
	// LastError is the text of the latest error, of whatever kind.
	LastError string
	// Delivered is the end of the newest window of which a record was sent, in
	// nanoseconds since the Unix epoch: how far the receiver is.
	Delivered int64
	// Classes are the queues, by priority, the highest first.
	Classes []ClassStats
	// Budget is how far the Budget is used up.
	Budget BudgetStats
}

// ClassStats is the state of one queue.
type ClassStats struct {
	Name     string
	Priority int
	// Pending is the number of indexes that are not acknowledged, those of entries
	// that are lost included. Oldest is the start of the oldest window among them,
	// in nanoseconds since the Unix epoch, where it is known, else 0.
	Pending uint64
	Oldest  int64
	// Live and Backlog records were sent. InOrder, all are live.
	Live, Backlog uint64
	// Jumps are the times that the live data could not be caught up with.
	Jumps uint64

	marks []mark
}

// mark says what time it is at an index.
type mark struct {
	index uint64
	start int64
}

// counters keep ForwarderStats. They are touched a few times a group, not once
// a record.
type counters struct {
	mu     sync.Mutex
	s      ForwarderStats
	isDown bool
}

func (c *counters) snapshot() ForwarderStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Up = !c.isDown
	s.Classes = slices.Clone(s.Classes)
	for i := range s.Classes {
		s.Classes[i].marks = slices.Clone(s.Classes[i].marks)
	}
	return s
}

func (c *counters) read(entry spool.Entry, records int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Entries++
	c.s.Bytes += uint64(len(entry.Payload))
	c.s.Records += uint64(records)
	c.s.Pending += uint64(records)
	if err != nil {
		c.s.LastError = err.Error()
	}
}

func (c *counters) sent(g *group, records []Record) {
	var end int64
	for i := range records {
		end = max(end, records[i].Start+records[i].Duration)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Sent += uint64(len(records))
	c.s.Pending -= uint64(len(records))
	c.s.Delivered = max(c.s.Delivered, end)
	if g.live {
		g.lane.stats.Live += uint64(len(records))
	} else {
		g.lane.stats.Backlog += uint64(len(records))
	}
}

func (c *counters) charged(bytes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Traffic += bytes
}

func (c *counters) poison(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Poisoned++
	c.s.Pending--
	c.s.LastError = err.Error()
}

func (c *counters) acknowledged(g *group, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Acknowledged += uint64(len(g.entries))
	c.s.Undecodable += uint64(len(g.undecodable))
	c.s.Missing += g.missing
	if err != nil {
		c.s.QueueFailures++
		c.s.LastError = err.Error()
	}
}

func (c *counters) queueFailed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.QueueFailures++
	c.s.LastError = err.Error()
}

// abandoned forgets the group that was not acknowledged: it will be read again.
func (c *counters) abandoned(g *group) {
	pending := uint64(len(g.records) - g.delivered + len(g.suspects))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Entries -= uint64(len(g.entries))
	c.s.Records -= pending
	c.s.Pending -= pending
}

func (c *counters) jumped(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.stats.Jumps++
}

func (c *counters) up() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.s.LastSuccess = now
	c.s.NextTry, c.s.Cause = time.Time{}, ""
	if c.isDown {
		c.isDown, c.s.Since = false, now
	}
}

func (c *counters) down(err error, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Failures++
	c.s.LastError = err.Error()
	c.s.NextTry, c.s.Cause = next, c.s.LastError
	if !c.isDown {
		c.isDown, c.s.Since = true, time.Now()
		c.s.Outages++
	}
}

// marked notes what time it is where a group begins, or behind it where it is
// done with, as far as that is where a span of pending entries begins.
func (c *counters) marked(g *group, pending []spool.Span) {
	if len(g.records) == 0 {
		return
	}
	first, last := &g.records[0], &g.records[len(g.records)-1]
	c.mu.Lock()
	defer c.mu.Unlock()
	s := g.lane.stats
	for _, m := range [2]mark{{g.span.From, first.Start}, {g.span.To + 1, last.Start + last.Duration}} {
		s.marks = slices.DeleteFunc(s.marks, func(old mark) bool {
			return old.index == m.index || !slices.ContainsFunc(pending, func(p spool.Span) bool { return p.From == old.index })
		})
		s.marks = append(s.marks, m)
	}
}

// pendingStats completes a snapshot with what the queue says now.
func (l *lane) pendingStats(s *ClassStats) {
	pending := l.Queue.Pending(nil)
	for _, p := range pending {
		s.Pending += p.Len()
	}
	for _, m := range s.marks {
		if len(pending) > 0 && m.index == pending[0].From {
			s.Oldest = m.start
		}
	}
	s.marks = nil
}
