package board

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"milepost/cmd/milepost-lab/board/control"
)

// GPIOChip is the guest's name of the chip.
const GPIOChip = "gpiochip0"

// gpio is the outer side of the chip's lines.
type gpio struct {
	qtest *qtest
	chip  string // QEMU's path of it

	mu      sync.Mutex
	outputs [GPIOLines]bool
	changed chan struct{} // closed by the next change
}

func newGPIO(q *qmp, conn net.Conn) (*gpio, error) {
	chip, err := q.find("pl061")
	if err != nil {
		return nil, err
	}
	g := &gpio{chip: chip, changed: make(chan struct{})}
	g.qtest = newQTest(conn, g.driven)
	return g, g.qtest.command("irq_intercept_out %s", chip)
}

// driven notes what the guest does to an output.
func (g *gpio) driven(line int, high bool) {
	if line < 0 || line >= GPIOLines {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.outputs[line] = high
	close(g.changed)
	g.changed = make(chan struct{})
}

// SetLine sets the level of an input from outside. Levels that change faster than
// the guest serves its interrupts are merged, as on hardware.
func (b *Board) SetLine(line int, high bool) error {
	if line < 0 || line >= GPIOLines {
		return fmt.Errorf("board: there is no GPIO line %d", line)
	}
	level := 0
	if high {
		level = 1
	}
	if err := b.gpio.qtest.command("set_irq_in %s unnamed-gpio-in %d %d", b.gpio.chip, line, level); err != nil {
		return fmt.Errorf("board: %w", err)
	}
	return nil
}

// WaitOutput waits until the guest drives an output to a level.
func (b *Board) WaitOutput(ctx context.Context, line int, high bool) error {
	if line < 0 || line >= GPIOLines {
		return fmt.Errorf("board: there is no GPIO line %d", line)
	}
	for {
		b.gpio.mu.Lock()
		level, changed := b.gpio.outputs[line], b.gpio.changed
		b.gpio.mu.Unlock()
		if level == high {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("board: line %d is still %v: %w", line, level, context.Cause(ctx))
		case <-b.emulator.ended:
			return fmt.Errorf("board: %w", b.emulator.err())
		}
	}
}

// LineInfo describes the lines as the guest's kernel sees them.
func (b *Board) LineInfo(ctx context.Context) (infos []control.LineInfo, err error) {
	err = b.call(ctx, "LineInfo", GPIOChip, &infos)
	return infos, err
}

// Watch is lines whose edges the guest keeps.
type Watch struct {
	board *Board
	id    int
}

// WatchLines has the guest keep the edges of lines, by their numbers, apart from
// the product.
func (b *Board) WatchLines(ctx context.Context, debounce time.Duration, lines ...int) (*Watch, error) {
	w := &Watch{board: b}
	return w, b.call(ctx, "Watch", control.Lines{Chip: GPIOChip, Offsets: lines, Debounce: debounce}, &w.id)
}

// Edges returns the edges from a place on. It waits until there are at least so
// many, but no longer than it is told.
func (w *Watch) Edges(ctx context.Context, from, atLeast int, wait time.Duration) ([]control.Edge, error) {
	var r control.Edges
	err := w.board.call(ctx, "Edges", control.Captured{ID: w.id, From: from, AtLeast: atLeast, Wait: wait}, &r)
	return r.Edges, err
}

// Outputs is lines that the guest drives.
type Outputs struct {
	board *Board
	id    int
}

// DriveLines has the guest drive lines, by their numbers, to levels.
func (b *Board) DriveLines(ctx context.Context, lines, levels []int) (*Outputs, error) {
	o := &Outputs{board: b}
	return o, b.call(ctx, "Drive", control.Lines{Chip: GPIOChip, Offsets: lines, Values: levels}, &o.id)
}

// Set sets the levels of all the lines.
func (o *Outputs) Set(ctx context.Context, levels ...int) error {
	return o.board.call(ctx, "SetOutputs", control.Outputs{ID: o.id, Values: levels}, nil)
}
