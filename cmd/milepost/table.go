package main

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"milepost/aggregate"
)

// signalTable collects what a replay prints at its end: the signals with their
// values over the whole log. Its memory does not grow with the length of the
// log. One goroutine uses it.
type signalTable struct {
	messages map[*aggregate.Group]*messageRows
	time     timeline
	// window is the length of a window, from and to are where the first one
	// begins and the last one ends, in nanoseconds.
	window, from, to int64
}

// messageRows are the rows of one group.
type messageRows struct {
	group *aggregate.Group
	rows  []signalRow
}

// signalRow is a series over the whole log, in physical values.
type signalRow struct {
	count         uint64
	min, max, sum float64
	curve         curve
}

func newSignalTable() *signalTable {
	return &signalTable{messages: make(map[*aggregate.Group]*messageRows)}
}

// add takes the summaries of a window, which remains the caller's. Windows may
// come in any order, but have the same duration.
func (t *signalTable) add(w *aggregate.Window) {
	if len(w.Groups) == 0 {
		return
	}
	if t.window == 0 {
		t.window, t.from, t.to = max(w.Duration, 1), w.Start, w.Start+w.Duration
	}
	t.from, t.to = min(t.from, w.Start), max(t.to, w.Start+w.Duration)
	number := w.Start / t.window
	if number*t.window > w.Start { // before 1970
		number--
	}
	at := t.time.reach(number, t.follow)
	for i := range w.Groups {
		g := &w.Groups[i]
		m := t.messages[g.Group]
		if m == nil {
			m = t.newMessage(g.Group)
		}
		for j := range g.Summaries {
			if s := &g.Summaries[j]; s.Count > 0 {
				m.rows[j].add(s.Count, s.Value(&g.Group.Series[j]), at)
			}
		}
	}
}

// newMessage makes the rows of a group, or finds them where another group
// stands for the same series, as those of several workers do.
func (t *signalTable) newMessage(g *aggregate.Group) *messageRows {
	for _, m := range t.messages {
		if m.group.Compare(g) == 0 && len(m.rows) == len(g.Series) {
			t.messages[g] = m
			return m
		}
	}
	m := &messageRows{group: g, rows: make([]signalRow, len(g.Series))}
	t.messages[g] = m
	return m
}

func (t *signalTable) follow(change curveChange) {
	for g, m := range t.messages {
		if g != m.group {
			continue // rows that another group has already
		}
		for i := range m.rows {
			m.rows[i].curve.follow(change)
		}
	}
}

func (r *signalRow) add(count uint64, v aggregate.Value, at int) {
	if r.count == 0 {
		r.min, r.max = v.Min, v.Max
	}
	r.min, r.max = min(r.min, v.Min), max(r.max, v.Max)
	r.count += count
	r.sum += v.Sum
	r.curve[at].add(v.Sum, float64(count))
}

// tableColumns are those of the table, the numbers aligned to the right. The
// sparkline takes what is left.
var tableColumns = [...]struct {
	title string
	right bool
}{{"signal", false}, {"count", true}, {"min", true}, {"avg", true}, {"max", true}, {"unit", false}}

const (
	columnSignal = 0
	columnUnit   = 5

	leastTable, mostTable = 80, 200
	leastCurve            = 10
	leastSignal           = 12
	leastUnit             = 4
)

// writeTo prints the table: for each message a line with its bus, ID and name,
// and below it a line for each signal that had values. It is at most width
// columns wide, but not below 80 nor above 200.
func (t *signalTable) writeTo(out io.Writer, width int) error {
	messages := t.sorted()
	if len(messages) == 0 {
		return nil
	}
	width = min(max(width, leastTable), mostTable)
	widths := tableWidths(messages, width)
	var text []byte
	titles := tableCells{}
	for i, c := range tableColumns {
		titles[i] = c.title
	}
	spark := width - widths.total()
	over := "over " + spanText(time.Duration(t.to-t.from))
	if columns(over) > spark {
		over = ""
	}
	text = appendRow(text, titles, widths, over)
	var drawing []rune
	for _, m := range messages {
		text = appendHead(text, m.group)
		for i := range m.rows {
			r := &m.rows[i]
			if r.count == 0 {
				continue
			}
			drawing = r.curve.sparkline(drawing[:0], t.time.used, spark)
			text = appendRow(text, r.cells(&m.group.Series[i]), widths, string(drawing))
		}
	}
	_, err := out.Write(text)
	return err
}

// sorted gives the messages with values in the order of windows.
func (t *signalTable) sorted() []*messageRows {
	var messages []*messageRows
	for g, m := range t.messages {
		if g == m.group && slices.ContainsFunc(m.rows, func(r signalRow) bool { return r.count > 0 }) {
			messages = append(messages, m)
		}
	}
	slices.SortFunc(messages, func(a, b *messageRows) int {
		// Equal ones differ in the number of their signals.
		return cmp.Or(a.group.Compare(b.group), cmp.Compare(len(a.rows), len(b.rows)))
	})
	return messages
}

type tableCells [len(tableColumns)]string

func (r *signalRow) cells(s *aggregate.Series) tableCells {
	number := func(x float64) string { return string(appendReadable(nil, x)) }
	return tableCells{
		printable(s.Name), strconv.FormatUint(r.count, 10),
		number(r.min), number(r.sum / float64(r.count)), number(r.max), printable(s.Unit),
	}
}

// columnWidths are the widths of the columns without the spaces between them.
type columnWidths [len(tableColumns)]int

// total is where the sparkline begins.
func (w columnWidths) total() int {
	total := len("  ")
	for _, n := range w {
		total += n + len("  ")
	}
	return total
}

// tableWidths finds widths in which everything fits; if there are none, units
// and then names are cut.
func tableWidths(messages []*messageRows, width int) columnWidths {
	var widths columnWidths
	for i, c := range tableColumns {
		widths[i] = len(c.title)
	}
	for _, m := range messages {
		for i := range m.rows {
			if m.rows[i].count == 0 {
				continue
			}
			for j, cell := range m.rows[i].cells(&m.group.Series[i]) {
				widths[j] = max(widths[j], columns(cell))
			}
		}
	}
	shrink := func(column, least int) {
		if over := widths.total() + leastCurve - width; over > 0 {
			widths[column] = max(min(widths[column], least), widths[column]-over)
		}
	}
	const usualUnit = 8
	shrink(columnUnit, usualUnit)
	shrink(columnSignal, leastSignal)
	shrink(columnUnit, leastUnit)
	return widths
}

// spanText writes a time for people: 10m, 1h30m.
func spanText(span time.Duration) string {
	text := span.String()
	for _, zero := range [...]string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len("0s")]
		}
	}
	return text
}

func appendHead(dst []byte, g *aggregate.Group) []byte {
	dst = append(append(dst, '\n'), printable(g.Bus)...)
	if g.HasID {
		dst = appendID(append(dst, ' '), g.ID, g.Extended, false)
	}
	if g.Name != "" {
		dst = append(append(dst, ' '), printable(g.Name)...)
	}
	return append(dst, '\n')
}

func appendRow(dst []byte, cells tableCells, widths columnWidths, curve string) []byte {
	dst = append(dst, ' ', ' ')
	for i, cell := range cells {
		cell = cut(cell, widths[i])
		space := widths[i] - columns(cell)
		if tableColumns[i].right {
			dst = appendSpaces(dst, space)
		}
		dst = append(dst, cell...)
		if !tableColumns[i].right {
			dst = appendSpaces(dst, space)
		}
		dst = append(dst, ' ', ' ')
	}
	dst = append(dst, curve...)
	for dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, '\n')
}

// cut shortens a text to a number of columns, in the middle: the names of
// signals often differ at their ends.
func cut(text string, width int) string {
	n := utf8.RuneCountInString(text)
	if n <= width {
		return text
	}
	runes := []rune(text)
	head := width / 2
	tail := width - head - 1
	return strings.Join([]string{string(runes[:head]), string(runes[n-tail:])}, "…")
}
