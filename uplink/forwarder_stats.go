package uplink

import (
	"sync"
	"time"

	"milepost/uplink/spool"
)

// ForwarderStats counts what a Forwarder has done since it was made.
//
//	Entries = Acknowledged + entries of the group that is being sent
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
	// Failures counts failed tries to send, Outages the times that the sink went
	// down, QueueFailures the failed tries to read the queue or to store how far
	// it was read.
	Failures, Outages, QueueFailures uint64
	// Up is false while the sink fails. It is true before anything was sent.
	Up bool
	// Since is when Up changed last; zero if it never did.
	Since time.Time
	// LastSuccess is when the sink last accepted something; zero if it never did.
	LastSuccess time.Time
	// LastError is the text of the latest error, of whatever kind.
	LastError string
	// Delivered is the end of the newest window of which a record was sent, in
	// nanoseconds since the Unix epoch: how far the receiver is.
	Delivered int64
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

func (c *counters) sent(records []Record) {
	var end int64
	for i := range records {
		end = max(end, records[i].Start+records[i].Duration)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Sent += uint64(len(records))
	c.s.Pending -= uint64(len(records))
	c.s.Delivered = max(c.s.Delivered, end)
}

func (c *counters) poison(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Poisoned++
	c.s.Pending--
	c.s.LastError = err.Error()
}

func (c *counters) acknowledged(entries int, undecodable, missing uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Acknowledged += uint64(entries)
	c.s.Undecodable += undecodable
	c.s.Missing += missing
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
func (c *counters) abandoned(entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Entries -= uint64(entries)
	c.s.Records -= c.s.Pending
	c.s.Pending = 0
}

func (c *counters) up() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.s.LastSuccess = now
	if c.isDown {
		c.isDown, c.s.Since = false, now
	}
}

func (c *counters) down(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Failures++
	c.s.LastError = err.Error()
	if !c.isDown {
		c.isDown, c.s.Since = true, time.Now()
		c.s.Outages++
	}
}
