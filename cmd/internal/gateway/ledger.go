package gateway

import (
	"fmt"
	"io"
	"time"

	"milepost/cmd/internal/config"
)

// Ledger accounts for everything that a run was given: each frame, each sample
// and each record is delivered, still stored, or counted with its reason. The
// equations of Check say so.
type Ledger struct {
	// Frames were delivered by the source. Each became one of Decoded, Unknown
	// (no database knows it), Remote, Errors (error frames), Duplicates (of a
	// mirrored bus) or Dropped (no room). Late ones are among Decoded. Unfinished
	// are those of windows that were open when the run was broken off.
	Frames, Decoded, Unknown, Remote, Errors, Duplicates, Dropped, Unfinished uint64
	// Unchanged are the decoded frames whose payload was that of the frame
	// before; Late those that came after their window was closed and are in a
	// correction.
	Unchanged, Late uint64
	// Short and Long frames had another length than their message.
	// UnknownMultiplexor are those whose multiplexor selects nothing.
	Short, Long, UnknownMultiplexor uint64
	// ClockSteps are the times that the clock went back.
	ClockSteps uint64

	// Readings came from sensors, those of the gateway itself among them. Each was
	// summarised, or dropped since there was no room for its window.
	Readings, ReadingsSummarised, ReadingsDropped uint64

	// Samples were summarised; the others say what was not within a short frame,
	// was a J1939 not-available or error value, or was no finite number.
	Samples, ShortSamples, NotAvailable, NotFinite uint64

	// Windows were closed, Corrections of them for late frames. Summaries of
	// series came out of them, of which Suppressed were equal to the last one
	// sent and left out. The others became records.
	Windows, Corrections, Summaries, Suppressed, Records uint64

	// Classes are the records by priority, the most important first, and what
	// became of those that no sink has. Those without a Priority are not in use.
	Classes [len(priorities)]ClassLedger
}

// ClassLedger accounts for the records of one priority.
type ClassLedger struct {
	Priority config.Priority
	// Records were made. Entries of the spool hold those that were stored in this
	// run.
	Records, Entries uint64
	// Evicted entries were stored, and removed for the quota before every sink had
	// them: since the spool was made, with the times of their windows.
	Evicted                   uint64
	EvictedFrom, EvictedUntil time.Time
	// Thinned entries became a part of others, of longer windows, to make room:
	// since the spool was made, with the times of those around them.
	Thinned                   uint64
	ThinnedFrom, ThinnedUntil time.Time
	// Dropped entries, with DroppedRecords, were not stored in this run, for the
	// DropCause.
	Dropped, DroppedRecords   uint64
	DroppedFrom, DroppedUntil time.Time
	DropCause                 string
}

func (l *Ledger) add(c *collectCounts, f *foldCounts) {
	l.Frames += c.Frames
	l.Unknown += c.Unknown + f.Unknown
	l.Remote += c.Remote
	l.Errors += c.Errors
	l.Duplicates += c.Duplicates
	l.Dropped += c.Dropped
	l.Decoded += f.Decoded
	l.Unchanged += f.Unchanged
	l.Short += f.Short
	l.Long += f.Long
	l.UnknownMultiplexor += f.UnknownMultiplexor
	l.Samples += f.Samples
	l.ShortSamples += f.ShortSamples
	l.NotAvailable += f.NotAvailable
	l.NotFinite += f.NotFinite
}

// Check returns an error that names the first equation that does not hold.
func (l *Ledger) Check() error {
	if n := l.unaccounted(); n != 0 {
		return fmt.Errorf("the ledger does not balance: %d frames in, %d accounted for", l.Frames, l.Frames-n)
	}
	if got := l.ReadingsSummarised + l.ReadingsDropped; got != l.Readings {
		return fmt.Errorf("the ledger does not balance: %d readings, %d accounted for", l.Readings, got)
	}
	if got := l.Records + l.Suppressed; got != l.Summaries {
		return fmt.Errorf("the ledger does not balance: %d summaries, %d accounted for", l.Summaries, got)
	}
	records, spooled := uint64(0), false
	for i := range l.Classes {
		records += l.Classes[i].Records
		spooled = spooled || l.Classes[i].Priority != ""
	}
	if spooled && records != l.Records {
		return fmt.Errorf("the ledger does not balance: %d records, %d by their priorities", l.Records, records)
	}
	return nil
}

// unaccounted is the number of frames of which nothing is known; what was counted
// twice makes it wrap around.
func (l *Ledger) unaccounted() uint64 {
	return l.Frames - (l.Decoded + l.Unknown + l.Remote + l.Errors + l.Duplicates + l.Dropped + l.Unfinished)
}

// WriteTo writes the ledger as an account: what came in, and under it what
// became of it.
func (l *Ledger) WriteTo(w io.Writer) (int64, error) {
	var out []byte
	row := func(indent int, n uint64, what string) {
		if n != 0 || indent == 0 {
			out = fmt.Appendf(out, "%*s%14s  %s\n", 2*indent, "", Grouped(n), what)
		}
	}
	row(0, l.Frames, "frames in")
	row(1, l.Decoded, "decoded")
	row(2, l.Unchanged, "of them unchanged since the frame before")
	row(2, l.Late, "of them late, sent as corrections")
	row(2, l.Short, "of them shorter than their message")
	row(2, l.Long, "of them longer than their message")
	row(2, l.UnknownMultiplexor, "of them with an unknown multiplexor value")
	row(1, l.Unknown, "of unknown ID")
	row(1, l.Remote, "remote requests")
	row(1, l.Errors, "error frames")
	row(1, l.Duplicates, "duplicates of a mirrored bus")
	row(1, l.Dropped, "dropped, no room")
	row(1, l.Unfinished, "in windows that were not finished")
	if l.Readings > 0 {
		row(0, l.Readings, "readings of sensors")
		row(1, l.ReadingsDropped, "dropped, no room")
	}
	windows := "windows"
	if l.Windows == 1 {
		windows = "window"
	}
	row(0, l.Samples, "samples summarised")
	row(1, l.ShortSamples, "more missing in short frames")
	row(1, l.NotAvailable, "more not available")
	row(1, l.NotFinite, "more not finite")
	row(0, l.Summaries, fmt.Sprintf("summaries in %s %s", Grouped(l.Windows), windows))
	row(1, l.Records, "records")
	row(1, l.Suppressed, "left out, equal to the one before")
	for i := range l.Classes {
		c := &l.Classes[i]
		row(1, c.Thinned, fmt.Sprintf("%s of %s priority merged into longer windows, as the spool was nearly full (max_size): %s",
			plural(c.Thinned, "entry", "entries"), c.Priority, timesText(c.ThinnedFrom, c.ThinnedUntil)))
		row(1, c.Evicted, fmt.Sprintf("%s of %s priority evicted, as the spool was full (max_size): %s",
			plural(c.Evicted, "entry", "entries"), c.Priority, timesText(c.EvictedFrom, c.EvictedUntil)))
		row(1, c.DroppedRecords, fmt.Sprintf("records of %s priority dropped, as %s: %s",
			c.Priority, c.DropCause, timesText(c.DroppedFrom, c.DroppedUntil)))
	}
	n, err := w.Write(out)
	return int64(n), err
}

func plural(n uint64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// timesText writes a range of event time.
func timesText(from, until time.Time) string {
	if from.IsZero() {
		return "of times that are not known"
	}
	from, until = from.UTC(), until.UTC()
	layout := "15:04:05 UTC"
	if from.Format(time.DateOnly) != until.Format(time.DateOnly) {
		layout = "2006-01-02 " + layout
	}
	return from.Format(time.DateTime) + " to " + until.Format(layout)
}

// Grouped writes a number with its thousands apart.
func Grouped(n uint64) string {
	digits := fmt.Sprint(n)
	var out []byte
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out = append(out, ',')
		}
		out = append(out, digits[i])
	}
	return string(out)
}
