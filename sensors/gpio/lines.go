package gpio

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Line is what the kernel says of a line, whoever uses it.
type Line struct {
	Chip     string // "gpiochip0"
	Label    string // of the chip: "pinctrl-bcm2711"
	Number   int    // on the chip
	Name     string // from the device tree; often empty
	Used     bool   // by a program, or in the kernel
	Consumer string // who uses it, by its own account; may be empty

	Output    bool // else it is an input
	ActiveLow bool
	Bias      Bias // BiasAsIs if nobody has asked for one
	Debounce  time.Duration
}

// Place is how a line is named without doubt: "gpiochip0/17".
func (l *Line) Place() string { return fmt.Sprintf("%s/%d", l.Chip, l.Number) }

// String is one line about the line.
func (l *Line) String() string {
	var b strings.Builder
	b.WriteString(l.Place())
	if l.Name != "" {
		fmt.Fprintf(&b, " %q", l.Name)
	}
	if l.Output {
		b.WriteString(" output")
	} else {
		b.WriteString(" input")
	}
	if l.ActiveLow {
		b.WriteString(" active-low")
	}
	if l.Bias != BiasAsIs {
		b.WriteString(" " + l.Bias.String())
	}
	if l.Used {
		b.WriteString(", held by " + l.holder())
	}
	return b.String()
}

// holder names who has the line.
func (l *Line) holder() string {
	if l.Consumer == "" {
		return "the kernel or a program that gives no name"
	}
	return fmt.Sprintf("%q", l.Consumer)
}

func (l *Line) busy() error { return fmt.Errorf("%s: %w by %s", l.Place(), ErrBusy, l.holder()) }

// What is wrong with a line, for those who branch on it.
var (
	// ErrNoChip says that the chip is not there, or that there is none at all.
	ErrNoChip = errors.New("no such GPIO chip")
	// ErrNoLine says that no chip has such a line.
	ErrNoLine = errors.New("no such GPIO line")
	// ErrBusy says that someone else holds the line.
	ErrBusy = errors.New("in use")
)

// Lines are the lines of all chips, by chip and number. What it could open it
// returns, together with an error that says what it could not.
func Lines() ([]Line, error) { return systemLines() }

// Find is the line of a name, or of a place ("gpiochip0/17").
func Find(name string) (Line, error) {
	o := LineOptions{Line: name}
	if chip, number, ok := strings.Cut(name, "/"); ok && isNumber(number) {
		o = LineOptions{Chip: canonical(chip), Line: number}
	}
	lines, err := systemLines()
	line, missing := find(lines, &o)
	if missing != nil {
		return Line{}, errors.Join(missing, err)
	}
	return line, nil
}

// find looks a line up in a list. A name must be the only one of its kind: two
// lines of a name, and a boot decides which is meant.
func find(lines []Line, o *LineOptions) (Line, error) {
	chip := strings.TrimPrefix(o.Chip, "/dev/")
	var there []Line
	for _, l := range lines {
		if chip == "" || l.Chip == chip || l.Label == chip {
			there = append(there, l)
		}
	}
	if len(there) == 0 {
		return Line{}, noChip(lines, o)
	}
	var found []Line
	number, err := strconv.ParseUint(o.Line, 10, 32)
	byNumber := chip != "" && err == nil
	for _, l := range there {
		if l.Name == o.Line || byNumber && uint64(l.Number) == number {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Line{}, noLine(there, o)
	}
	var places []string
	for i := range found {
		places = append(places, found[i].Place())
	}
	return Line{}, fmt.Errorf("%w that %q names without doubt: it is %s; give the chip and the number", ErrNoLine, o.Line, strings.Join(places, " and "))
}

func noChip(lines []Line, o *LineOptions) error {
	if len(lines) == 0 {
		return fmt.Errorf("%w: the kernel has none (is the driver loaded, and /dev mounted?)", ErrNoChip)
	}
	var names, chips []string
	for i := range lines {
		if i == 0 || lines[i].Chip != lines[i-1].Chip {
			names = append(names, lines[i].Chip, lines[i].Label)
			chips = append(chips, fmt.Sprintf("%s [%s]", lines[i].Chip, lines[i].Label))
		}
	}
	if near := nearest(o.Chip, names); near != "" {
		return fmt.Errorf("%w as %s; is %s meant? There are %s", ErrNoChip, o.Chip, near, strings.Join(chips, ", "))
	}
	return fmt.Errorf("%w as %s; there are %s", ErrNoChip, o.Chip, strings.Join(chips, ", "))
}

func noLine(there []Line, o *LineOptions) error {
	where := ""
	if o.Chip != "" {
		where = fmt.Sprintf(" on %s, which has %d", there[0].Chip, len(there))
	}
	if isNumber(o.Line) {
		return fmt.Errorf("%w as %s%s: 0 to %d", ErrNoLine, o.Line, where, len(there)-1)
	}
	var names []string
	for _, l := range there {
		if l.Name != "" {
			names = append(names, l.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w as %q%s: its device tree names no lines; give the chip and the number", ErrNoLine, o.Line, where)
	}
	if near := nearest(o.Line, names); near != "" {
		return fmt.Errorf("%w as %q%s; is %q meant?", ErrNoLine, o.Line, where, near)
	}
	const some = 12
	more := ""
	if len(names) > some {
		more = fmt.Sprintf(" and %d more", len(names)-some)
		names = names[:some]
	}
	return fmt.Errorf("%w as %q%s; there are %s%s", ErrNoLine, o.Line, where, strings.Join(names, ", "), more)
}

// nearest returns the name that word was probably meant to be, or "". A third of
// it may be mistyped; case does not count.
func nearest(word string, names []string) string {
	best, bestDistance := "", 0
	for _, name := range names {
		d := distance(strings.ToLower(word), strings.ToLower(name))
		if d <= max(1, len(name)/3) && (best == "" || d < bestDistance) {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is the number of bytes to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
