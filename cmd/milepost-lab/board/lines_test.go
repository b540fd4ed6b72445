package board_test

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
)

// The vehicle's lines: the ignition, pulses of a wheel, and switches.
var dayLines = []string{"ignition", "door", "wheel", "panic", "in4", "in5", "in6", "in7"}

const (
	ignitionLine = 0
	wheelLine    = 2
	roundEvery   = 100 * time.Millisecond // in each, each line but the ignition changes
)

// sensorsConfig is all lines but the ignition as sensors.
func sensorsConfig() string {
	var b strings.Builder
	for line, name := range dayLines {
		switch line {
		case ignitionLine:
		case wheelLine:
			fmt.Fprintf(&b, "  - {name: %s, type: pulses, line: %[1]s}\n", name)
		default:
			fmt.Fprintf(&b, "  - {name: %s, type: line, line: %[1]s}\n", name)
		}
	}
	return b.String()
}

// vehicleLines is what was done to the lines, the ignition aside, over all lives of
// the board.
type vehicleLines struct {
	high            [board.GPIOLines]bool
	rising, falling [board.GPIOLines]int
	edges           int
	served          int // interrupts that they have caused in this life of the board
}

// newBoard says that all lines are low, which no kernel has seen.
func (l *vehicleLines) newBoard() {
	l.high, l.served = [board.GPIOLines]bool{}, 0
}

// round changes each line, and waits until the kernel has served that: edges that a
// late emulator merges would not be the gateway's fault.
func (l *vehicleLines) round(ctx context.Context, b *board.Board) error {
	for line := range dayLines {
		if line == ignitionLine {
			continue
		}
		high := !l.high[line]
		if err := b.SetLine(line, high); err != nil {
			return err
		}
		l.high[line] = high
		l.edges++
		if high {
			l.rising[line]++
		} else {
			l.falling[line]++
		}
		if high || line != wheelLine { // pulses are asked of the kernel by one of their edges
			l.served++
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		text, err := b.ReadFile(ctx, "/proc/interrupts")
		if err != nil {
			return err
		}
		served := servedInterrupts(text)
		switch {
		case served == l.served:
			return nil
		case served > l.served || time.Now().After(deadline):
			return fmt.Errorf("the kernel has served %d edges of %d:\n%s", served, l.served, text)
		}
	}
}

// lineInterrupts is a line of /proc/interrupts about a GPIO line: how often it has
// interrupted, and its number on the chip.
var lineInterrupts = regexp.MustCompile(`(?m)^\s*\d+:\s+(\d+)\s+\S*pl061\s+(\d+)\s`)

// servedInterrupts adds up those of all lines that are held now but the ignition.
func servedInterrupts(text []byte) (served int) {
	for _, m := range lineInterrupts.FindAllSubmatch(text, -1) {
		if n, err := strconv.Atoi(string(m[1])); err == nil && string(m[2]) != strconv.Itoa(ignitionLine) {
			served += n
		}
	}
	return served
}

// driveLines changes the lines until it is told to finish, and then goes on until
// there were so many edges since it began.
func (d *day) driveLines() (finish func(atLeast int)) {
	enough, ended := make(chan int, 1), make(chan error, 1)
	before := d.lines.edges
	go func() {
		tick := time.NewTicker(roundEvery)
		defer tick.Stop()
		atLeast := -1
		for {
			select {
			case atLeast = <-enough:
			case <-tick.C:
			case <-d.b.Ended():
				ended <- net.ErrClosed
				return
			}
			if driven := d.lines.edges - before; atLeast >= 0 && driven >= atLeast {
				ended <- nil
				return
			}
			if err := d.lines.round(d.t.Context(), d.b); err != nil {
				ended <- err
				return
			}
		}
	}()
	return func(atLeast int) {
		d.t.Helper()
		enough <- atLeast
		d.check(<-ended)
	}
}

// checkEdges checks that the records add up to what was done to the lines.
func (d *deliveries) checkEdges(t *testing.T, l *vehicleLines) {
	t.Helper()
	got, dropped := map[string]float64{}, 0.0
	for _, r := range d.records {
		switch {
		case r.Group.Bus == "gpio":
			got[r.Group.Name+" "+r.Series.Name] += r.Value().Sum
		case r.Group.Name == "ledger" && r.Series.Name == "readings_dropped":
			dropped += r.Value().Sum
		}
	}
	if dropped != 0 {
		t.Errorf("the records tell of %v readings that were dropped", dropped)
	}
	check := func(line int, series string, want int) {
		t.Helper()
		if sum, ok := got[dayLines[line]+" "+series]; !ok || sum != float64(want) {
			t.Errorf("line %s: the records have a sum of %s of %v (there are any: %v), want %d", dayLines[line], series, sum, ok, want)
		}
	}
	for line := range dayLines {
		switch line {
		case ignitionLine:
		case wheelLine:
			check(line, "pulses", l.rising[line])
		default:
			check(line, "rising", l.rising[line])
			check(line, "falling", l.falling[line])
		}
	}
	t.Logf("%d edges were driven on %d lines", l.edges, len(dayLines)-1)
}
