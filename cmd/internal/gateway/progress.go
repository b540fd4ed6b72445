package gateway

import (
	"fmt"
	"time"

	"milepost/cmd/internal/config"
	"milepost/uplink/spool"
)

// patience is how long a part of the gateway may be silent before it counts as
// stuck. Each bus and the closer show themselves once a second.
const patience = 10 * time.Second

// Stuck names a part that makes no progress, empty if all do: a bus that is not
// read, windows that are not closed, a spool that does not write. A bus without
// frames and a sink that cannot be reached are no such parts. It is what a
// watchdog is fed by.
func (l *Live) Stuck() string {
	if l.stopping.Load() {
		return "" // that takes as long as Drain allows
	}
	now := time.Since(started)
	for _, in := range l.intakes {
		if silent := now - time.Duration(in.beat.Load()); silent > patience {
			return fmt.Sprintf("bus %s was not read for %v", in.name, silent.Round(time.Second))
		}
	}
	if silent := now - time.Duration(l.closer.beat.Load()); silent > patience {
		return fmt.Sprintf("no window was closed for %v", silent.Round(time.Second))
	}
	return l.spoolStuck(now)
}

// durability is what is known of the spool's progress.
type durability struct {
	durable uint64
	at      time.Duration
}

// spoolStuck watches how far the entries are durable. One that does not write says
// so: it is no fault of ours, and restarting does not mend the disk.
func (l *Live) spoolStuck(now time.Duration) string {
	stats := l.spools.class(config.PriorityNormal).Stats()
	l.durabilityLock.Lock()
	defer l.durabilityLock.Unlock()
	d := &l.durability
	if stats.Durable != d.durable || stats.Next-1 == stats.Durable || stats.State != spool.Storing || l.Spool.Sync == spool.SyncNever {
		*d = durability{stats.Durable, now}
	}
	if silent := now - d.at; silent > 3*patience {
		return fmt.Sprintf("the disk has made nothing durable for %v", silent.Round(time.Second))
	}
	return ""
}

// newest is the start of the newest window of any bus, in nanoseconds.
func (l *Live) newest() (newest int64) {
	for _, in := range l.intakes {
		in.mu.Lock()
		if !in.sensors || len(l.intakes) == 1 {
			newest = max(newest, in.newest)
		}
		in.mu.Unlock()
	}
	return newest
}
