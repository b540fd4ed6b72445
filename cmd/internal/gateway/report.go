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
	report.Spool = spoolReport(o.spools, o.dir)
	report.Sinks = sinkReports(o.delivery)
	return report
}

func spoolReport(spools *Spools, dir string) status.Spool {
	spooled := spools.Stats()
	report := status.Spool{
		Dir: dir, Entries: spooled.Entries, Bytes: spooled.Bytes,
		Next: spooled.Next, Durable: spooled.Durable, Chapters: spooled.Chapters,
		State: spooled.State.String(), Cause: spooled.Cause, Since: spooled.Since,
		WrittenBytes: spooled.WrittenBytes, Amplification: spooled.Amplification,
		Thinned: spooled.ThinnedEntries, ThinnedFrom: spooled.ThinnedFrom, ThinnedUntil: spooled.ThinnedUntil,
		Evicted: spooled.EvictedEntries, EvictedFrom: spooled.EvictedFrom, EvictedUntil: spooled.EvictedUntil,
		Dropped: spooled.Dropped, DroppedFrom: spooled.DroppedFrom, DroppedUntil: spooled.DroppedUntil,
		Missing: spooled.Missing,
	}
	if open := time.Since(spooled.Opened); open > 0 {
		report.WrittenPerHour = float64(spooled.WrittenBytes) / open.Hours()
	}
	return report
}

func sinkReports(delivery *Delivery) (sinks []status.Sink) {
	for _, d := range delivery.Stats() {
		sink := status.Sink{
			Name: d.Name, Up: d.Up, Sent: d.Sent, Failures: d.Failures, Poisoned: d.Poisoned,
			LastError: d.LastError, Delivered: timeOrNone(d.Delivered),
			Since: d.Since, NextTry: d.NextTry, Traffic: d.Traffic, Budget: budget(&d.Budget),
		}
		for _, e := range d.Entries {
			sink.Waiting += e.Pending
		}
		sinks = append(sinks, sink)
	}
	return sinks
}

// Report is the state of the gateway. It is safe for concurrent use once Run has
// called Ready.
func (l *Live) Report() status.Report {
	ledger := l.closer.ledger()
	report := status.Report{
		Command: "run", Version: l.Version, PID: os.Getpid(), Started: l.started,
		Device: l.Device, Boot: l.Boot.String(),
		Frames: ledger.Frames, DroppedFrames: ledger.Dropped, LateFrames: ledger.Late,
		EventTime: timeOrNone(l.newest()), Stuck: l.Stuck(),
		Spool: spoolReport(l.spools, l.dir), Sinks: sinkReports(l.delivery),
	}
	if l.Clock != nil {
		report.Clock = l.Clock.Quality().String()
	}
	if l.fallback != nil {
		report.Fallback = l.fallback.Error()
	}
	for _, bus := range l.Buses {
		health := status.Bus{State: "error-active"}
		if bus.Health != nil {
			health = bus.Health()
		}
		health.Name = bus.Name
		report.Buses = append(report.Buses, health)
	}
	for _, s := range l.Sensors {
		state := s.Sensor.Status()
		sensor := status.Sensor{
			Driver: s.Driver, Name: s.Name, Since: state.Since,
			Readings: state.Readings, Failures: state.Failures, Lost: state.Lost,
		}
		if state.Err != nil {
			sensor.Err = state.Err.Error()
		}
		report.Sensors = append(report.Sensors, sensor)
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
