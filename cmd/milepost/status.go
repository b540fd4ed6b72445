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
		fmt.Fprintf(w, ", up to %s", r.EventTime.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "%14s  entries in the spool %s, %.1f MiB in %s\n", gateway.Grouped(r.Spool.Entries), r.Spool.Dir, float64(r.Spool.Bytes)/(1<<20), plural(r.Spool.Chapters, "chapter"))
	for _, s := range r.Sinks {
		state := "up"
		if !s.Up {
			state = "DOWN"
		}
		fmt.Fprintf(w, "%14s  records delivered to %s, which is %s; %s wait\n", gateway.Grouped(s.Sent), s.Name, state, plural(s.Waiting, "entry"))
		if s.LastError != "" {
			fmt.Fprintf(w, "%14s  %s\n", "", s.LastError)
		}
	}
}
