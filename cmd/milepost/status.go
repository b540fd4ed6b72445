package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"time"

	"milepost/cmd/internal/config"
	"milepost/cmd/internal/gateway"
	"milepost/cmd/internal/status"
)

var statusCommand = &command{
	name:    "status",
	summary: "show how a running replay or gateway is",
	usage:   "[--json] [DIR]",
	detail: `
DIR is the spool folder of what runs. Without it, replays with a temporary spool
are looked for, and then the gateway's usual folder.`,
	example: `milepost status ./spool
milepost status --json /var/lib/milepost/spool`,
	run: runStatus,
}

func runStatus(ctx context.Context, inv *invocation, c *command, args []string) error {
	var asJSON bool
	dirs, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.BoolVar(&asJSON, "json", false, "print JSON")
	})
	if err != nil {
		return err
	}
	if len(dirs) > 1 {
		return usagef("one DIR at a time")
	}
	named := dirs
	if len(dirs) == 0 {
		dirs = append(status.Running(), config.Default().Spool.Dir)
	}
	var report status.Report
	for _, dir := range dirs {
		if report, err = status.Ask(ctx, dir); err == nil {
			break
		}
	}
	switch {
	case err != nil && len(named) == 0:
		return fmt.Errorf("no replay with a temporary spool runs here, and no gateway: %w; for a replay with --spool DIR, name DIR", err)
	case err != nil:
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(inv.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	writeStatus(inv.stdout, &report, time.Now())
	return nil
}

func writeStatus(w io.Writer, r *status.Report, now time.Time) {
	fmt.Fprintf(w, "%s (process %d, %s) for %s, device %s\n", r.Command, r.PID, r.Version, now.Sub(r.Started).Round(time.Second), r.Device)
	if r.TotalBytes > 0 {
		fmt.Fprintf(w, "%14.1f  %% of the log read\n", 100*float64(r.DoneBytes)/float64(r.TotalBytes))
	}
	fmt.Fprintf(w, "%14s  frames", gateway.Grouped(r.Frames))
	if !r.EventTime.IsZero() {
		fmt.Fprintf(w, ", up to %s", second(r.EventTime))
	}
	fmt.Fprintln(w)
	for _, lost := range []struct {
		frames uint64
		what   string
	}{{r.DroppedFrames, "of them dropped: there was no room for their windows"}, {r.LateFrames, "of them late, and sent as corrections"}} {
		if lost.frames > 0 {
			fmt.Fprintf(w, "%14s  %s\n", gateway.Grouped(lost.frames), lost.what)
		}
	}
	if r.Clock != "" {
		fmt.Fprintf(w, "%14s  the clock is %s\n", "", r.Clock)
	}
	for i := range r.Buses {
		writeBusStatus(w, &r.Buses[i], now)
	}
	for i := range r.Sensors {
		writeSensorStatus(w, &r.Sensors[i], now)
	}
	for _, trouble := range []string{r.Stuck, r.Fallback} {
		if trouble != "" {
			fmt.Fprintf(w, "%14s  %s\n", "TROUBLE", trouble)
		}
	}
	fmt.Fprintf(w, "%14s  entries in the spool %s, %.1f MiB in %s\n", gateway.Grouped(r.Spool.Entries), r.Spool.Dir, float64(r.Spool.Bytes)/(1<<20), plural(r.Spool.Chapters, "chapter"))
	writeSpoolStatus(w, &r.Spool)
	for i := range r.Sinks {
		writeSinkStatus(w, &r.Sinks[i], now)
	}
}

func writeBusStatus(w io.Writer, b *status.Bus, now time.Time) {
	fmt.Fprintf(w, "%14s  frames from %s, which is %s", gateway.Grouped(b.Received), b.Name, b.State)
	if b.Load != nil {
		fmt.Fprintf(w, ", load %.0f %%", 100**b.Load)
	}
	if b.TxErrors > 0 || b.RxErrors > 0 {
		fmt.Fprintf(w, ", error counters %d and %d", b.TxErrors, b.RxErrors)
	}
	fmt.Fprintln(w)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{b.Dropped, "frames lost: the program did not fetch them in time"}, {b.Foreign, "frames kept back that no database knows"},
		{b.ErrorFrames, "error frames"}, {b.BusOffs, "times bus-off"}, {b.Restarts, "times started again"}, {b.ArbitrationLost, "times arbitration lost"},
	} {
		if c.n > 0 {
			fmt.Fprintf(w, "%14s  %s\n", gateway.Grouped(c.n), c.what)
		}
	}
	writeError(w, b.Err, b.Since, now)
}

func writeSensorStatus(w io.Writer, s *status.Sensor, now time.Time) {
	fmt.Fprintf(w, "%14s  readings of %s %s\n", gateway.Grouped(s.Readings), s.Driver, s.Name)
	if s.Lost > 0 {
		fmt.Fprintf(w, "%14s  events lost\n", gateway.Grouped(s.Lost))
	}
	writeError(w, s.Err, s.Since, now)
}

// writeError writes what is wrong, and since when.
func writeError(w io.Writer, what string, since, now time.Time) {
	if what == "" {
		return
	}
	fmt.Fprintf(w, "%14s  %s", "", what)
	if !since.IsZero() {
		fmt.Fprintf(w, " (for %s)", now.Sub(since).Round(time.Second))
	}
	fmt.Fprintln(w)
}

func writeSpoolStatus(w io.Writer, s *status.Spool) {
	fmt.Fprintf(w, "%14s  written to the disk, %s an hour; %.2f times the records' own bytes\n",
		byteSize(float64(s.WrittenBytes)), byteSize(s.WrittenPerHour), s.Amplification)
	if s.Cause != "" {
		fmt.Fprintf(w, "%14s  the spool is %s since %s: %s\n", "", s.State, second(s.Since), s.Cause)
	}
	for _, lost := range []struct {
		entries     uint64
		what        string
		from, until time.Time
	}{
		{s.Thinned, "merged into longer windows to make room", s.ThinnedFrom, s.ThinnedUntil},
		{s.Evicted, "evicted to make room", s.EvictedFrom, s.EvictedUntil},
		{s.Dropped, "dropped while the disk took nothing", s.DroppedFrom, s.DroppedUntil},
		{s.Missing, "lost to damage", time.Time{}, time.Time{}},
	} {
		if lost.entries == 0 {
			continue
		}
		fmt.Fprintf(w, "%14s  %s", gateway.Grouped(lost.entries), "entries "+lost.what)
		if !lost.from.IsZero() {
			fmt.Fprintf(w, ", from %s to %s", second(lost.from), second(lost.until))
		}
		fmt.Fprintln(w)
	}
}

func writeSinkStatus(w io.Writer, s *status.Sink, now time.Time) {
	state := "up"
	if !s.Up {
		state = "DOWN"
		if !s.Since.IsZero() {
			state += fmt.Sprintf(" for %s", now.Sub(s.Since).Round(time.Second))
		}
	}
	fmt.Fprintf(w, "%14s  records delivered to %s, which is %s; %s wait\n", gateway.Grouped(s.Sent), s.Name, state, plural(s.Waiting, "entry"))
	if s.LastError != "" {
		fmt.Fprintf(w, "%14s  %s\n", "", s.LastError)
	}
	if !s.Up && s.NextTry.After(now) {
		fmt.Fprintf(w, "%14s  next try in %s\n", "", s.NextTry.Sub(now).Round(100*time.Millisecond))
	}
	b := s.Budget
	if b == nil {
		return
	}
	for _, period := range []struct {
		name        string
		used, limit uint64
		reset       time.Time
	}{{"day", b.DayUsed, b.DayLimit, b.DayReset}, {"month", b.MonthUsed, b.MonthLimit, b.MonthReset}} {
		if period.limit > 0 {
			fmt.Fprintf(w, "%14s  of %s a %s are used up, until %s\n", byteSize(float64(period.used)), byteSize(float64(period.limit)), period.name, second(period.reset))
		}
	}
	switch {
	case b.Exhausted:
		fmt.Fprintf(w, "%14s  the budget is used up: everything waits\n", "")
	case b.Restricted:
		fmt.Fprintf(w, "%14s  the budget is nearly used up: only what is important goes out\n", "")
	}
	if b.Error != "" {
		fmt.Fprintf(w, "%14s  the budget's state: %s\n", "", b.Error)
	}
}

// second writes a time to the second.
func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// byteSize writes a number of bytes with a unit.
func byteSize(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if n < 1024 {
			return fmt.Sprintf("%.4g %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.4g GiB", n)
}
