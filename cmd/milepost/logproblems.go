package main

import (
	"fmt"
	"io"
	"strings"

	"milepost/can/canlog"
)

// logProblems tells what is wrong with logs: the first problems in full, all
// others as a number, because a file that is something else has millions.
type logProblems struct {
	w     io.Writer
	shown int
}

const mostProblems = 10

// report shows a problem, if there have not been too many.
func (p *logProblems) report(problem canlog.Problem) {
	if p.shown < mostProblems {
		fmt.Fprintln(p.w, problem)
	}
	if p.shown++; p.shown == mostProblems {
		fmt.Fprintln(p.w, "further problems are only counted")
	}
}

// summarise says in a line what of a log could not be used; nothing if all
// could.
func (p *logProblems) summarise(name string, s canlog.Stats) {
	var facts []string
	if s.Bad > 0 {
		facts = append(facts, fmt.Sprintf("%d of %s left out as senseless", s.Bad, plural(s.Lines, "line")))
	}
	if s.XL > 0 {
		facts = append(facts, plural(s.XL, "CAN XL frame")+" left out")
	}
	if s.RecorderDrops > 0 {
		facts = append(facts, plural(s.RecorderDrops, "frame")+" lost by the recorder")
	}
	if s.Truncated {
		facts = append(facts, "it ends without a line end, perhaps cut off")
	}
	if len(facts) > 0 {
		fmt.Fprintf(p.w, "%s: %s\n", name, strings.Join(facts, ", "))
	}
}
