package main

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"sync"

	"milepost/uplink"
)

// checker compares what was delivered with an account of what was summarised:
// each record by itself.
type checker struct {
	account *account
	device  string
	boot    uplink.BootID

	found   findings
	arrived []bool // by entry
	highest uint64 // sequence that has arrived
	totals  []total
	curves  []curve // parallel to totals
	from    int64   // of the curves' first column, in nanoseconds
	column  int64   // length of a column
	scratch []byte
}

// findings are what a check found. All is right if everything but Delivered
// and Copies is 0.
type findings struct {
	// Delivered records arrived, each counted once; Copies are the further times
	// that one of them arrived unchanged, as MQTT may have it (QoS 1: at least
	// once).
	Delivered, Copies uint64
	// Missing records never arrived. Altered ones, first or not, are not what
	// was summarised under their key. Disordered ones arrived for the first time
	// after one with a higher sequence. Unexpected lines are no record of this
	// replay.
	Missing, Altered, Disordered, Unexpected uint64
	// Different signals are, over the whole drive, not what the vehicle sent.
	// Unbalanced sums of the replay's ledger are not those of the others.
	Different, Unbalanced uint64
	// Examples name the first few.
	Examples []string
}

// maxExamples is how many findings are named.
const maxExamples = 5

// right reports whether everything is as it should be.
func (f *findings) right() bool {
	return f.Missing+f.Altered+f.Disordered+f.Unexpected+f.Different+f.Unbalanced == 0
}

func (f *findings) count(what *uint64, format string, args ...any) {
	*what++
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}

// total is what was delivered of a series over the whole drive, each record
// counted once.
type total struct {
	count                      uint64
	min, max, first, last, sum float64
}

func newChecker(a *account, device string, boot uplink.BootID) *checker {
	c := &checker{
		account: a, device: device, boot: boot,
		arrived: make([]bool, len(a.entries)),
		totals:  make([]total, len(a.series)),
		curves:  make([]curve, len(a.series)),
		column:  1,
	}
	if n := len(a.entries); n > 0 {
		last := &a.entries[n-1]
		c.from = a.entries[0].start
		c.column = max(1, (last.start+last.duration-c.from)/curveColumns)
	}
	return c
}

// read checks a delivery: lines of JSON in the order of their arrival.
func (c *checker) read(delivery io.Reader) error {
	var line uint64
	err := decodeLines(delivery, func(r *uplink.Record, err error) {
		line++
		if err != nil {
			c.found.count(&c.found.Unexpected, "line %d: %v", line, err)
			return
		}
		c.add(r)
	})
	if err != nil {
		return fmt.Errorf("read what was delivered: %w", err)
	}
	for i, arrived := range c.arrived {
		if !arrived {
			c.found.count(&c.found.Missing, "%s is missing", c.account.name(uint64(i+1)))
		}
	}
	return nil
}

// add checks one record.
func (c *checker) add(r *uplink.Record) {
	n := uint64(len(c.account.entries))
	if r.Device != c.device || r.Boot != c.boot || r.Sequence < 1 || r.Sequence > n {
		c.found.count(&c.found.Unexpected, "%s is none of this replay, which has %d", r.Key(), n)
		return
	}
	e := &c.account.entries[r.Sequence-1]
	copied := c.arrived[r.Sequence-1]
	c.arrived[r.Sequence-1] = true
	if difference := c.compare(e, r); difference != "" {
		c.found.count(&c.found.Altered, "%s: %s", c.account.name(r.Sequence), difference)
	} else if copied {
		c.found.Copies++
	} else {
		c.found.Delivered++
	}
	if copied {
		return
	}
	if r.Sequence < c.highest {
		c.found.count(&c.found.Disordered, "%s arrived after record %d", c.account.name(r.Sequence), c.highest)
	}
	c.highest = max(c.highest, r.Sequence)
	v := r.Value()
	c.totals[e.series].add(r.Summary.Count, v.Min, v.Max, v.First, v.Last, v.Sum)
	c.curves[e.series].add((r.Start-c.from)/c.column, v.Sum, r.Summary.Count)
}

// compare says in what a record differs from its entry; in nothing if that is
// empty.
func (c *checker) compare(e *entry, r *uplink.Record) string {
	s := &c.account.series[e.series]
	got := series{r.Group.Bus, r.Group.Name, r.Series.Name, r.Series.Unit, r.Group.ID, r.Group.Extended}
	switch {
	case got != *s:
		return fmt.Sprintf("is of %v [%s], not [%s]", &got, got.unit, s.unit)
	case r.Start != e.start || r.Duration != e.duration || r.Revision != e.revision:
		return fmt.Sprintf("is of the window %d+%d ns, revision %d, not %d+%d, %d", r.Start, r.Duration, r.Revision, e.start, e.duration, e.revision)
	case r.Summary.Count != e.count:
		return fmt.Sprintf("count is %d, not %d", r.Summary.Count, e.count)
	}
	v := r.Value()
	for _, x := range []struct {
		name      string
		got, want float64
	}{
		{"min", v.Min, e.value.Min}, {"max", v.Max, e.value.Max}, {"sum", v.Sum, e.value.Sum},
		{"first", v.First, e.value.First}, {"last", v.Last, e.value.Last},
	} {
		if x.got != x.want {
			return fmt.Sprintf("%s is %v, not %v", x.name, x.got, x.want)
		}
	}
	if c.account.hash(&r.Summary.Histogram) != e.histogram {
		return "the histogram is another one"
	}
	return ""
}

func (t *total) add(count uint64, low, high, first, last, sum float64) {
	if t.count == 0 {
		t.min, t.max, t.first = low, high, first
	}
	t.count += count
	t.min, t.max = min(t.min, low), max(t.max, high)
	t.last = last
	t.sum += sum
}

// lines are as many lines of a delivery as one worker decodes at a time.
type lines struct {
	text    []byte
	ends    []int // of the lines in text
	records []uplink.Record
	errs    []error
	decoded chan struct{} // closed when the two above are there
}

const linesAtATime = 256

// decodeLines decodes lines with as many workers as there are processors and
// calls each for them in their order.
func decodeLines(text io.Reader, each func(*uplink.Record, error)) error {
	workers := runtime.GOMAXPROCS(0)
	work := make(chan *lines)
	order := make(chan *lines, 4*workers)
	var readErr error
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for l := range work {
				l.decode()
			}
		})
	}
	running.Go(func() {
		defer close(order)
		defer close(work)
		readErr = splitLines(text, func(l *lines) {
			order <- l
			work <- l
		})
	})
	for l := range order {
		<-l.decoded
		for i := range l.records {
			each(&l.records[i], l.errs[i])
		}
	}
	running.Wait()
	return readErr
}

func splitLines(text io.Reader, put func(*lines)) error {
	const maxLine = 1 << 20
	scanner := bufio.NewScanner(text)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	l := &lines{decoded: make(chan struct{})}
	for scanner.Scan() {
		l.text = append(l.text, scanner.Bytes()...)
		l.ends = append(l.ends, len(l.text))
		if len(l.ends) == linesAtATime {
			put(l)
			l = &lines{text: make([]byte, 0, len(l.text)), decoded: make(chan struct{})}
		}
	}
	put(l)
	return scanner.Err()
}

func (l *lines) decode() {
	defer close(l.decoded)
	start := 0
	for _, end := range l.ends {
		record, err := uplink.DecodeJSON(l.text[start:end])
		l.records, l.errs = append(l.records, record), append(l.errs, err)
		start = end
	}
}
