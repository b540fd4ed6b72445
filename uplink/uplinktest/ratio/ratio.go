// Package ratio reports what benchmarks measure as ratios within one run: the
// median of several rounds, how far they are apart, and whether the goal is met.
package ratio

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// Goal is what a ratio should be.
type Goal struct {
	limit float64
	sign  string // "" where there is none
}

// AtLeast and AtMost are goals; None is none.
func AtLeast(limit float64) Goal { return Goal{limit, "at least"} }
func AtMost(limit float64) Goal  { return Goal{limit, "at most"} }
func None() Goal                 { return Goal{} }

func (g Goal) met(got float64) bool {
	if g.sign == "at most" {
		return got <= g.limit
	}
	return got >= g.limit
}

// Report logs the median of the rounds' ratios, the middle half of them, and the
// goal, and reports the median as a metric of that name, in which spaces become
// hyphens.
func Report(b *testing.B, what string, ratios []float64, goal Goal) {
	b.Helper()
	ratios = slices.Sorted(slices.Values(ratios))
	if len(ratios) == 0 {
		b.Fatalf("%s was not measured", what)
	}
	at := func(q float64) float64 { return ratios[int(math.Round(q*float64(len(ratios)-1)))] }
	b.ReportMetric(at(.5), strings.ReplaceAll(what, " ", "-"))
	line := fmt.Sprintf("%-34s %-42s %6.3g", strings.TrimPrefix(b.Name(), "Benchmark"), what, at(.5))
	if len(ratios) > 1 {
		line += fmt.Sprintf(" (%.3g to %.3g in %d rounds)", at(.25), at(.75), len(ratios))
	}
	switch {
	case goal.sign == "":
	case goal.met(at(.5)):
		line += fmt.Sprintf("   %s %g: met", goal.sign, goal.limit)
	default:
		line += fmt.Sprintf("   %s %g: MISSED", goal.sign, goal.limit)
	}
	b.Log(line)
}
