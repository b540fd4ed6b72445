package gateway

import (
	"os"
	"time"

	"milepost/cmd/internal/status"
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
	spooled := o.spool.Stats()
	report.Spool = status.Spool{
		Dir: o.dir, Entries: spooled.Entries, Bytes: spooled.Bytes,
		Next: spooled.Next, Durable: spooled.Durable, Chapters: spooled.Chapters,
	}
	for _, d := range o.delivery.Stats() {
		sink := status.Sink{
			Name: d.Name, Up: d.Up, Sent: d.Sent, Failures: d.Failures, Poisoned: d.Poisoned,
			LastError: d.LastError, Delivered: timeOrNone(d.Delivered),
		}
		for _, c := range spooled.Cursors {
			if c.Name == d.Name {
				sink.Waiting = c.Pending
			}
		}
		report.Sinks = append(report.Sinks, sink)
	}
	return report
}

// timeOrNone makes a time of nanoseconds, of which 0 stands for none.
func timeOrNone(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}
