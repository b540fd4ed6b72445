package gateway

import (
	"os"
	"time"

	"milepost/cmd/internal/status"
	"milepost/uplink"
)

// report is the state of a running replay.
func (o *output) report(in *input, started time.Time) status.Report {
	r := o.replay
	report := status.Report{
		Command: "replay", Version: r.Version, PID: os.Getpid(), Started: started,
		Device: r.Device, Boot: in.boot.String(), Logs: r.Logs,
		TotalBytes: in.total, Frames: r.Options.Read.Load(),
	}
	for _, log := range in.logs {
		done, _ := log.Progress()
		report.DoneBytes += done
	}
	report.EventTime = timeOrNone(in.newest.Load())
	spooled := o.spools.Stats()
	report.Spool = status.Spool{
		Dir: o.dir, Entries: spooled.Entries, Bytes: spooled.Bytes,
		Next: spooled.Next, Durable: spooled.Durable, Chapters: spooled.Chapters,
		State: spooled.State.String(), Cause: spooled.Cause, Since: spooled.Since,
		WrittenBytes: spooled.WrittenBytes, Amplification: spooled.Amplification,
		Thinned: spooled.ThinnedEntries, ThinnedFrom: spooled.ThinnedFrom, ThinnedUntil: spooled.ThinnedUntil,
		Evicted: spooled.EvictedEntries, EvictedFrom: spooled.EvictedFrom, EvictedUntil: spooled.EvictedUntil,
		Dropped: spooled.Dropped, DroppedFrom: spooled.DroppedFrom, DroppedUntil: spooled.DroppedUntil,
		Missing: spooled.Missing,
	}
	if open := time.Since(spooled.Opened); open > 0 {
		report.Spool.WrittenPerHour = float64(spooled.WrittenBytes) / open.Hours()
	}
	for _, d := range o.delivery.Stats() {
		sink := status.Sink{
			Name: d.Name, Up: d.Up, Sent: d.Sent, Failures: d.Failures, Poisoned: d.Poisoned,
			LastError: d.LastError, Delivered: timeOrNone(d.Delivered),
			Since: d.Since, NextTry: d.NextTry, Traffic: d.Traffic, Budget: budget(&d.Budget),
		}
		for _, e := range d.Entries {
			sink.Waiting += e.Pending
		}
		report.Sinks = append(report.Sinks, sink)
	}
	return report
}

// budget is nil where there is no limit.
func budget(b *uplink.BudgetStats) *status.Budget {
	if b.DayLimit == 0 && b.MonthLimit == 0 && b.Total == 0 {
		return nil
	}
	return &status.Budget{
		DayUsed: b.DayUsed, DayLimit: b.DayLimit, DayReset: b.DayReset,
		MonthUsed: b.MonthUsed, MonthLimit: b.MonthLimit, MonthReset: b.MonthReset,
		Restricted: b.Restricted, Exhausted: b.Exhausted, Error: b.Error,
	}
}

// timeOrNone makes a time of nanoseconds, of which 0 stands for none.
func timeOrNone(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}
