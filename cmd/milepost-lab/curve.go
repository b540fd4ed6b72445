package main

import "math"

// curveColumns is how many columns a curve has.
const curveColumns = 20

// curve is the course of a signal over the drive: sums of values and their
// counts.
type curve [curveColumns]struct {
	sum   float64
	count uint64
}

// add adds values to a column; what is beyond the last one belongs to it.
func (c *curve) add(column int64, sum float64, count uint64) {
	cell := &c[max(0, min(column, curveColumns-1))]
	cell.sum += sum
	cell.count += count
}

// String draws the averages between the lowest and the highest one, with spaces
// where there are none.
func (c *curve) String() string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, cell := range c {
		if cell.count > 0 {
			average := cell.sum / float64(cell.count)
			low, high = min(low, average), max(high, average)
		}
	}
	levels := []rune("▁▂▃▄▅▆▇█")
	var drawing []rune
	for _, cell := range c {
		if cell.count == 0 {
			drawing = append(drawing, ' ')
			continue
		}
		level := 0
		if high > low {
			level = int((cell.sum/float64(cell.count) - low) / (high - low) * float64(len(levels)))
		}
		drawing = append(drawing, levels[max(0, min(level, len(levels)-1))])
	}
	return string(drawing)
}
