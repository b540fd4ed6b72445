package main

import "math"

// timeline is the axis that the curves of a table have in common: at most
// curveCells cells of equal length, in event time. When they do not reach, cells
// are merged by twos.
type timeline struct {
	// first is the number of the first cell, counted from the Unix epoch in
	// cells; used is how many there are so far.
	first int64
	used  int
	// merged says that a cell is 2^merged windows long.
	merged uint
}

const curveCells = 64

// curve is the course of one series.
type curve [curveCells]curveCell

// curveCell holds the sum of weighted values and of their weights; none if that
// is 0.
type curveCell struct{ sum, weight float64 }

// reach makes room for a window, given by its number since the Unix epoch, and
// returns its cell. follow is called for each change of the cells: every curve
// must follow it.
func (t *timeline) reach(window int64, follow func(curveChange)) int {
	if t.used == 0 {
		t.first, t.used = window>>t.merged, 1
	}
	for {
		n := window >> t.merged
		lowest, highest := min(t.first, n), max(t.first+int64(t.used)-1, n)
		// The difference may overflow for garbage times; it is negative then.
		if span := highest - lowest; span >= 0 && span < curveCells {
			if n < t.first {
				follow(curveChange{shift: int(t.first - n)})
			}
			t.first, t.used = lowest, int(span)+1
			return int(n - t.first)
		}
		follow(curveChange{halve: true, odd: t.first&1 != 0})
		last := (t.first + int64(t.used) - 1) >> 1
		t.first >>= 1
		t.used = int(last-t.first) + 1
		t.merged++
	}
}

// curveChange is what happens to the cells of all curves: they are merged by
// twos, the first one alone if its number is odd, or shifted towards the end.
type curveChange struct {
	halve, odd bool
	shift      int
}

func (c *curve) follow(change curveChange) {
	if !change.halve {
		copy(c[change.shift:], c[:])
		clear(c[:change.shift])
		return
	}
	var merged curve
	first := 0
	if change.odd {
		first = 1
	}
	for i, cell := range c {
		merged[(i+first)/2].add(cell.sum, cell.weight)
	}
	*c = merged
}

func (c *curveCell) add(sum, weight float64) {
	c.sum += sum
	c.weight += weight
}

// sparkline draws the first used cells of a curve in at most width columns: the
// means between the lowest and the highest one. Where there was nothing, there
// is a space.
func (c *curve) sparkline(dst []rune, used, width int) []rune {
	width = min(width, used)
	var means [curveCells]float64
	lowest, highest := math.Inf(1), math.Inf(-1)
	for i := range width {
		var cell curveCell
		for _, part := range c[i*used/width : (i+1)*used/width] {
			cell.add(part.sum, part.weight)
		}
		means[i] = cell.sum / cell.weight // NaN if there was nothing
		if finite(means[i]) {
			lowest, highest = min(lowest, means[i]), max(highest, means[i])
		}
	}
	levels := []rune("▁▂▃▄▅▆▇█")
	for _, mean := range means[:width] {
		if !finite(mean) {
			dst = append(dst, ' ')
			continue
		}
		level := 0
		// Halves, because the span of two numbers may be beyond all numbers.
		if span := highest/2 - lowest/2; span > 0 {
			level = int((mean/2 - lowest/2) / span * float64(len(levels)))
		}
		dst = append(dst, levels[max(0, min(level, len(levels)-1))])
	}
	return dst
}
