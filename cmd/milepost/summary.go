package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/term"

	"milepost/cmd/internal/config"
	"milepost/cmd/internal/gateway"
)

// writeReplaySummary tells a person what a replay did, and accounts for
// everything that it was given.
func writeReplaySummary(w io.Writer, r *gateway.ReplayResult) {
	fmt.Fprintln(w)
	if r.To > r.From {
		from, to := time.Unix(0, r.From).UTC(), time.Unix(0, r.To).UTC()
		end := "15:04:05 UTC"
		if to.Sub(from) >= 24*time.Hour || to.Day() != from.Day() {
			end = "2006-01-02 15:04:05 UTC"
		}
		fmt.Fprintf(w, "%s of driving, %s to %s\n", spanText(to.Sub(from)), from.Format("2006-01-02 15:04:05"), to.Format(end))
	}
	seconds := max(r.Took.Seconds(), 1e-9)
	fmt.Fprintf(w, "replayed in %.2f s: %s frames a second", seconds, gateway.Grouped(roundedRate(float64(r.Ledger.Frames)/seconds)))
	if r.To > r.From {
		faster := float64(r.To-r.From) / 1e9 / seconds
		digits := 0
		if faster < 9.95 {
			digits = 1
		}
		fmt.Fprintf(w, ", %.*f times as fast as recorded", digits, faster)
	}
	fmt.Fprint(w, "\n\n")

	l := &r.Logs
	fmt.Fprintf(w, "%14s  lines in the log\n", gateway.Grouped(l.Lines))
	for _, row := range []struct {
		n    uint64
		what string
	}{{l.Comments, "comments and blank lines"}, {l.Details, "details of error frames"}, {l.XL, "CAN XL frames, not read"}, {l.Bad, "bad lines, reported above"}} {
		if row.n > 0 {
			fmt.Fprintf(w, "  %14s  %s\n", gateway.Grouped(row.n), row.what)
		}
	}
	if r.Overlapped > 0 {
		fmt.Fprintf(w, "  %14s  frames that several logs share, counted once\n", gateway.Grouped(r.Overlapped))
	}
	r.Ledger.WriteTo(w)
	if r.Resumed > 0 {
		fmt.Fprintf(w, "  %14s  stored by the interrupted replay\n", gateway.Grouped(min(r.Resumed, r.Ledger.Records)))
	}
	for _, d := range r.Deliveries {
		fmt.Fprintf(w, "%14s  records delivered to %s", gateway.Grouped(d.Sent), d.Name)
		if d.Failures > 0 {
			fmt.Fprintf(w, ", after %d failed tries", d.Failures)
		}
		fmt.Fprintln(w)
		if d.Poisoned > 0 {
			fmt.Fprintf(w, "  %14s  refused for good: %s\n", gateway.Grouped(d.Poisoned), d.LastError)
		}
		evicted, missing, pending := uint64(0), uint64(0), uint64(0)
		for _, e := range d.Entries {
			pending += e.Pending
			evicted += e.Evicted
			missing += e.Missing
		}
		if evicted > 0 {
			fmt.Fprintf(w, "  %14s  evicted before they were delivered\n", plural(evicted, "entry"))
		}
		if missing > 0 {
			fmt.Fprintf(w, "  %14s  lost from the spool\n", plural(missing, "entry"))
		}
		if d.Undecodable > 0 {
			fmt.Fprintf(w, "  %14s  of the spool cannot be read\n", plural(d.Undecodable, "entry"))
		}
		if d.Undelivered > 0 {
			fate := "lost"
			switch {
			case r.Kept && r.Lost() && pending > 0:
				fate = "kept in the spool but for what was evicted, dropped or lost"
			case r.Kept && !r.Lost():
				fate = "kept in the spool"
			}
			fmt.Fprintf(w, "  %14s  not delivered, %s\n", gateway.Grouped(d.Undelivered), fate)
		}
	}
	switch err := r.Check(); {
	case err != nil:
		fmt.Fprintln(w, err)
	case r.Ledger.Decoded == 0 && r.Ledger.Unknown > 0:
		fmt.Fprintln(w, "the ledger balances, but no database knows any of these frames: name another with --dbc FILE")
	default:
		fmt.Fprintln(w, "the ledger balances: every frame is accounted for")
	}
}

// terminalWidth is that of a terminal, and a moderate one for anything else.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 120
}

// newLogger logs as the configuration says.
func newLogger(w io.Writer, c *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Log.Level}
	if c.Log.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
