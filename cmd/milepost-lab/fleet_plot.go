package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"milepost/cmd/internal/gateway"
)

// Measures of the picture, in pixels.
const (
	fleetWidth  = 860
	fleetLeft   = 78
	fleetRight  = 846
	fleetHeight = 130 // of a panel
	fleetStep   = 176 // from panel to panel
	fleetTop    = 66
)

// fleetShown is how much of the return is drawn, in seconds.
const fleetShown = 360

// The rates are drawn on a logarithmic scale.
const (
	leastRate = 100
	mostRate  = 1_000_000
)

// fleetStyle makes the picture readable on a light and on a dark page.
const fleetStyle = `<style>
text { font: 12px sans-serif; fill: #333 }
.title { font-weight: bold }
.note { fill: #666 }
.grid { stroke: #ccc }
.cut { fill: #e8743b; fill-opacity: .14 }
.before { fill: #e8743b; stroke: #e8743b }
.after { fill: #2a78b5; stroke: #2a78b5 }
.room { stroke: #333; stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
text { fill: #ddd }
.note { fill: #aaa }
.grid { stroke: #555 }
.cut { fill-opacity: .28 }
.before { fill: #ff9a63; stroke: #ff9a63 }
.after { fill: #6db9f2; stroke: #6db9f2 }
.room { stroke: #ddd }
}
</style>
`

// draw draws how often the fleet connects, before and after, and how much of it
// is back.
func (f *fleet) draw(before, after *returning) []byte {
	var b bytes.Buffer
	lead := min(before.lead, after.lead)
	perSecond := float64(fleetRight-fleetLeft) / float64(lead+fleetShown)
	x := func(second int) float64 { return fleetLeft + float64(float64(second+lead)*perSecond) }
	height := fleetTop + 3*fleetStep - 10
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d">`+"\n", fleetWidth, height)
	b.WriteString(fleetStyle)
	fmt.Fprintf(&b, `<text x="%d" y="18" class="title">%s gateways return to a broker that was gone for %s and takes %s connections a second</text>`+"\n",
		fleetLeft, gateway.Grouped(uint64(f.gateways)), plain(f.outage), gateway.Grouped(uint64(f.accept)))
	fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" class="cut"/>`+"\n", fleetLeft, fleetTop-22, x(0)-fleetLeft, 3*fleetStep-24)
	fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" class="note">broker gone</text>`+"\n", (fleetLeft+x(0))/2, fleetTop-28)
	for i, r := range []*returning{before, after} {
		top := float64(fleetTop + i*fleetStep)
		class, title := "before", "Connects a second without jitter"
		if i == 1 {
			class, title = "after", "Connects a second with milepost's full jitter"
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="title">%s: at most %s</text>`+"\n", x(0)+6, top-8, title, gateway.Grouped(uint64(r.peak())))
		f.drawRates(&b, r, top, class, x)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">what the broker takes</text>`+"\n", fleetRight-4, rateY(fleetTop+fleetStep, f.accept)-5)
	top := float64(fleetTop + 2*fleetStep)
	fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="title">Share of the fleet that is back: 99 %% after %s without jitter, %s with it</text>`+"\n",
		x(0)+6, top-8, plain(before.until(.99)), plain(after.until(.99)))
	for percent := 0; percent <= 100; percent += 25 {
		grid(&b, top+fleetHeight*(1-float64(percent)/100), fmt.Sprintf("%d %%", percent))
	}
	for i, r := range []*returning{before, after} {
		class := []string{"before", "after"}[i]
		var line strings.Builder
		fmt.Fprintf(&line, "%.1f,%.1f", x(0), top+fleetHeight)
		for second := 1; second <= fleetShown; second++ {
			share := float64(r.back[min(second, len(r.back))-1]) / float64(f.gateways)
			fmt.Fprintf(&line, " %.1f,%.1f", x(second), top+float64(fleetHeight*(1-share)))
		}
		fmt.Fprintf(&b, `<polyline points="%s" class="%s" style="fill:none" stroke-width="2"/>`+"\n", line.String(), class)
	}
	for minute := -lead / 60; minute <= fleetShown/60; minute++ {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" class="note">%d min</text>`+"\n", min(x(60*minute), fleetRight-14), height-6, minute)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// drawRates draws a bar a second, and what the broker takes as a line.
func (f *fleet) drawRates(b *bytes.Buffer, r *returning, top float64, class string, x func(int) float64) {
	for rate := leastRate; rate <= mostRate; rate *= 10 {
		grid(b, rateY(top, rate), gateway.Grouped(uint64(rate)))
	}
	fmt.Fprintf(b, `<path class="%s" stroke-width=".3" d="`, class)
	for i := 0; i < len(r.connects) && i-r.lead < fleetShown; i++ {
		if r.connects[i] > leastRate {
			left, right := x(i-r.lead), x(i-r.lead+1)
			fmt.Fprintf(b, "M%.1f %.1fV%.1fH%.1fV%.1fz", left, top+fleetHeight, rateY(top, r.connects[i]), right, top+fleetHeight)
		}
	}
	b.WriteString(`"/>` + "\n")
	fmt.Fprintf(b, `<path class="room" d="M%.1f %.1fH%d"/>`+"\n", x(0), rateY(top, f.accept), fleetRight)
}

// rateY is where a rate is in the panel that begins at top.
func rateY(top float64, rate int) float64 {
	scale := math.Log10(float64(min(max(rate, leastRate), mostRate))/leastRate) / math.Log10(mostRate/leastRate)
	return top + float64(fleetHeight*(1-scale))
}

func grid(b *bytes.Buffer, y float64, label string) {
	fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end" class="note">%s</text>`+"\n",
		fleetLeft, y, fleetRight, fleetLeft-6, y+4, label)
}

// plain writes a duration for readers: 49 min, 2 min 5 s.
func plain(d time.Duration) string {
	minutes, seconds := int(d/time.Minute), int(d%time.Minute/time.Second)
	switch {
	case minutes == 0:
		return fmt.Sprintf("%d s", seconds)
	case seconds == 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d min %d s", minutes, seconds)
}
