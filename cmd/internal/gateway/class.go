package gateway

import (
	"time"

	"milepost/aggregate"
	"milepost/cmd/internal/config"
	"milepost/uplink/spool"
)

// class is what a Store knows of the records of one priority.
type class struct {
	spool *classSpool
	// resume is the sequence of the last record that an earlier run stored.
	resume uint64
	last   uint64 // index of the last appended entry

	appended, records uint64 // entries, and records in them or in those not stored again
	dropped           loss
	// waiting are entries that may be in memory only: a disk that fails, or a
	// shared quota, can leave them there for good.
	waiting []waitingEntry
	looked  int // how many of them there were when the spool was asked last

	// The part of a window that is of this class.
	part      aggregate.Window
	summaries []aggregate.Summary
}

// loss is what became of no use to anyone.
type loss struct {
	entries, records uint64
	from, until      time.Time // of their windows
	cause            string    // of the last one
}

func (l *loss) add(records uint64, from, until time.Time, cause string) {
	if l.entries == 0 || from.Before(l.from) {
		l.from = from
	}
	if until.After(l.until) {
		l.until = until
	}
	l.entries++
	l.records += records
	l.cause = cause
}

// filledUp is why entries are dropped for others.
const filledUp = "more important ones filled the spool (max_size)"

type waitingEntry struct {
	index, records uint64
	from, until    time.Time
}

// taken notes that the spool has taken an entry.
func (c *class) taken(e waitingEntry) {
	c.last = e.index
	c.appended++
	c.waiting = append(c.waiting, e)
	if len(c.waiting) >= 2*c.looked+64 {
		c.look()
		c.looked = len(c.waiting)
	}
}

// look keeps those of the waiting entries that are not written yet.
func (c *class) look() {
	stats := c.spool.Stats()
	written := stats.Next - 1 - stats.Waiting
	n := 0
	for n < len(c.waiting) && c.waiting[n].index <= written {
		n++
	}
	c.waiting = append(c.waiting[:0], c.waiting[n:]...)
}

// close drops what was never written. The spool is closed.
func (c *class) close() {
	c.look()
	cause := c.spool.Stats().Cause
	if cause == spool.ErrQuota.Error() {
		cause = filledUp
	}
	for _, e := range c.waiting {
		c.dropped.add(e.records, e.from, e.until, cause)
	}
	c.waiting = nil
}

// classifier divides windows among classes.
type classifier struct {
	rules   []config.PriorityRule
	classes []*class
	groups  map[*aggregate.Group]groupClasses
}

// groupClasses says of which classes a group's series are, as positions among the
// classes.
type groupClasses struct {
	all    int   // of all of them, -1 if they are not the same
	series []int // of each, if they are not
}

// divide makes the classes' parts of a window, which share its memory: summaries
// of other classes are empty in them.
func (f *classifier) divide(w *aggregate.Window) {
	for _, c := range f.classes {
		c.part.Start, c.part.Duration, c.part.Revision, c.part.Stamp = w.Start, w.Duration, w.Revision, w.Stamp
		clear(c.part.Groups)
		c.part.Groups, c.summaries = c.part.Groups[:0], c.summaries[:0]
	}
	for i := range w.Groups {
		g := &w.Groups[i]
		of, ok := f.groups[g.Group]
		if !ok {
			of = f.classify(g.Group)
			f.groups[g.Group] = of
		}
		if of.all >= 0 {
			part := &f.classes[of.all].part
			part.Groups = append(part.Groups, *g)
			continue
		}
		for n, c := range f.classes {
			c.take(g, of.series, n)
		}
	}
}

// take adds the summaries of a group that are of the class with a number, if there
// are any.
func (c *class) take(g *aggregate.GroupSummary, classes []int, number int) {
	start := len(c.summaries)
	samples := false
	for i := range g.Summaries {
		if classes[i] != number {
			c.summaries = append(c.summaries, aggregate.Summary{})
			continue
		}
		c.summaries = append(c.summaries, g.Summaries[i])
		samples = samples || g.Summaries[i].Count != 0 || g.Summaries[i].Absent
	}
	if !samples {
		c.summaries = c.summaries[:start]
		return
	}
	c.part.Groups = append(c.part.Groups, aggregate.GroupSummary{Group: g.Group, Summaries: c.summaries[start:]})
}

func (f *classifier) classify(g *aggregate.Group) (of groupClasses) {
	of.series = make([]int, len(g.Series))
	for i := range g.Series {
		p := config.PriorityOf(f.rules, g.Bus, g.Name, g.Series[i].Name)
		for n, c := range f.classes {
			if c.spool.priority == p {
				of.series[i] = n
			}
		}
		if of.series[i] != of.series[0] {
			of.all = -1
		}
	}
	if of.all == 0 && len(of.series) > 0 {
		of.all = of.series[0]
	}
	return of
}
